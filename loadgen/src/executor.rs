//! The threads, each with an executor of its own, and the pacemaker that keeps them awake.
//!
//! glommio can park an executor that still has something to do, until something outside wakes it. So one plain thread holds a waker of
//! a task in each executor and calls it every few milliseconds. For the same reason executors never end: the process does.

use core::future::{pending, poll_fn};
use core::task::{Poll, Waker};
use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use glommio::timer::sleep;
use glommio::{LocalExecutorBuilder, Placement};
use rondo_client::Routing;

use crate::lane::Shared;
use crate::limits::{BEGIN_ATTEMPTS, BEGIN_WITHIN, PACE, REPORTS_MAX, SLEEP_MIN, TICK};
use crate::plan::Plan;
use crate::tally::Tally;
use crate::worker::Worker;

/// What a thread says to whoever watches.
#[derive(Debug)]
pub(crate) enum Report {
    /// The first connection is open.
    Ready,
    /// About once a second: what happened since the last one.
    Recent(Box<Recent>),
    /// All is done; nothing more will come.
    Finished(Box<Finished>),
    /// Lines for the record.
    Record(Vec<u8>),
}

#[derive(Debug)]
pub(crate) struct Recent {
    pub(crate) tally: Tally,
    pub(crate) connections: usize,
    pub(crate) backlog: u64,
}

#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) measured: Tally,
    /// Requests that were due and never sent.
    pub(crate) unsent: u64,
    pub(crate) bad_keys: Vec<(u64, &'static str)>,
    /// When the last operation ended, since the start.
    pub(crate) took: Duration,
}

/// The moment from which all threads count, once it is there.
pub(crate) type Start = Arc<OnceLock<Instant>>;

/// The running threads.
#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) reports: flume::Receiver<Report>,
    pub(crate) start: Start,
}

type Wakers = Arc<Mutex<Vec<Waker>>>;

impl Threads {
    /// Starts one thread for each of the plan's.
    pub(crate) fn start(plan: &Arc<Plan>, routing: &Arc<Routing>, cpus: &[usize]) -> io::Result<Threads> {
        let (sender, reports) = flume::bounded(REPORTS_MAX);
        let (start, wakers) = (Start::default(), Wakers::default());
        for thread in 0..plan.threads {
            let placement = cpus.get(thread).map_or(Placement::Unbound, |cpu| Placement::Fixed(*cpu));
            let job = Job {
                plan: plan.clone(),
                routing: routing.clone(),
                reports: sender.clone(),
                start: start.clone(),
                wakers: wakers.clone(),
                thread,
            };
            job.begin(placement)?;
        }
        thread::Builder::new().name("pacemaker".to_owned()).spawn(move || keep_pace(&wakers))?;
        Ok(Threads { reports, start })
    }
}

/// What one thread is to do.
#[derive(Clone)]
struct Job {
    plan: Arc<Plan>,
    routing: Arc<Routing>,
    reports: flume::Sender<Report>,
    start: Start,
    wakers: Wakers,
    thread: usize,
}

impl Job {
    /// Starts an executor for it, and returns when it has begun.
    ///
    /// An executor can be parked before its first task has run, and then the pacemaker knows no task to wake. Nothing is
    /// lost with it: another one is started, and whichever begins first does the work.
    fn begin(self, placement: Placement) -> io::Result<()> {
        let is_taken = Arc::new(AtomicBool::new(false));
        let (begun, begins) = flume::bounded(BEGIN_ATTEMPTS);
        for _ in 0..BEGIN_ATTEMPTS {
            let (job, is_taken, begun) = (self.clone(), is_taken.clone(), begun.clone());
            LocalExecutorBuilder::new(placement.clone())
                .name(&format!("load-{}", self.thread))
                .io_memory(1 << 20)
                .preempt_timer(Duration::from_millis(1))
                .spawn(move || async move {
                    if !is_taken.swap(true, Ordering::AcqRel) {
                        // There is room for the word of each attempt.
                        let _ = begun.send(());
                        job.run().await;
                    }
                    pending::<()>().await;
                })
                .map_err(|error| io::Error::other(format!("an executor could not be started: {error}")))?;
            if begins.recv_timeout(BEGIN_WITHIN).is_ok() {
                return Ok(());
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "no executor began to run"))
    }

    async fn run(self) {
        take_heart(&self.wakers);
        let worker = Worker::new(self.plan, self.thread, self.routing);
        let shared = Shared { worker: RefCell::new(worker), started_at: Cell::new(None) };
        work(Rc::new(shared), &self.reports, &self.start).await;
    }
}

/// Leaves a waker of a task that never ends with the pacemaker.
fn take_heart(wakers: &Wakers) {
    let wakers = wakers.clone();
    let mut is_known = false;
    let task = poll_fn(move |context| {
        if !is_known {
            wakers.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker().clone());
            is_known = true;
        }
        Poll::<()>::Pending
    });
    glommio::spawn_local(task).detach();
}

fn keep_pace(wakers: &Wakers) {
    loop {
        thread::sleep(PACE);
        wakers.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Waker::wake_by_ref);
    }
}

/// From the first connection to the last answer.
async fn work(shared: Rc<Shared>, reports: &flume::Sender<Report>, start: &Start) {
    let lanes = shared.worker.borrow().lanes.len();
    (0..lanes).for_each(|lane| shared.serve(lane));
    while !shared.worker.borrow().is_connected() {
        sleep(TICK).await;
    }
    report(reports, Report::Ready).await;
    let started_at = loop {
        match start.get() {
            Some(started_at) => break *started_at,
            None => sleep(TICK).await,
        }
    };
    shared.started_at.set(Some(started_at));
    let mut reported_at = 0;
    loop {
        let now = shared.now();
        shared.worker.borrow_mut().turn(now);
        if shared.worker.borrow().is_finished() {
            break;
        }
        if now - reported_at >= 1_000_000_000 {
            reported_at = now;
            tell(&shared, reports, now).await;
        }
        let due = shared.worker.borrow().next_due().map_or(TICK, |due| Duration::from_nanos(due.saturating_sub(now)));
        sleep(due.clamp(SLEEP_MIN, TICK)).await;
    }
    let now = shared.now();
    tell(&shared, reports, now).await;
    let finished = {
        let mut worker = shared.worker.borrow_mut();
        Finished {
            measured: worker.sum_up(),
            unsent: worker.backlog(now),
            bad_keys: core::mem::take(&mut worker.bad_keys),
            took: Duration::from_nanos(now),
        }
    };
    report(reports, Report::Finished(Box::new(finished))).await;
}

/// Says what happened since the last time.
async fn tell(shared: &Shared, reports: &flume::Sender<Report>, now: u64) {
    let (recent, lines) = {
        let mut worker = shared.worker.borrow_mut();
        let recent =
            Recent { tally: worker.recent.clone(), connections: worker.connections(), backlog: worker.backlog(now) };
        let (lost, late) = (worker.recent.connections_lost, worker.recent.late_answers);
        worker.measured.connections_lost += lost;
        worker.measured.late_answers += late;
        worker.recent.clear();
        (recent, core::mem::take(&mut worker.record_lines))
    };
    if !lines.is_empty() {
        report(reports, Report::Record(lines)).await;
    }
    report(reports, Report::Recent(Box::new(recent))).await;
}

/// Whoever watches is gone only when the process ends.
async fn report(reports: &flume::Sender<Report>, report: Report) {
    let _ = reports.send_async(report).await;
}
