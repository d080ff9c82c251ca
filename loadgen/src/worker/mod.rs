//! One thread's state: which operations are under way on which connections, what came of them, what is next.
//!
//! ```text
//! due ──► in flight ──answer──► counted
//!            │  ▲
//!   refused, │  │ after a wait
//!   lost     ▼  │
//!          waiting ──too long──► counted as failed
//! ```
//!
//! No input or output here: `lane` moves the bytes, and calls in with answers and the time.

mod ending;
mod sending;

use core::task::Waker;
use core::time::Duration;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use rondo_client::retry::RetryPolicy;
use rondo_client::routing::Target;
use rondo_client::session::Session;
use rondo_client::{Error, Routing};

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};
use crate::operation::{Expiry, Operation, Retry};
use crate::pacing::Pacing;
use crate::plan::{Plan, Work};
use crate::routes::Routes;
use crate::tally::Tally;
use crate::value::Stamp;
use crate::workload::Workload;

/// One connection's place; the connection itself comes and goes.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) session: Option<Session<Operation>>,
    /// Which connection this is, counted.
    pub(crate) life: u32,
    /// Bytes that wait to be written.
    pub(crate) out: Vec<u8>,
    /// Who writes them.
    pub(crate) writer: Option<Waker>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    plan: Arc<Plan>,
    routing: Arc<Routing>,
    routes: Routes,
    targets: Vec<Target>,
    /// For each target, the first lane of its group; groups are equally large.
    lanes_per_target: usize,
    pub(crate) lanes: Vec<Lane>,
    workload: Workload,
    pacing: Option<Pacing>,
    policy: RetryPolicy,
    expiries: VecDeque<Expiry>,
    retries: BinaryHeap<Retry>,
    /// Operations in flight or waiting.
    active: usize,
    sequence: u64,
    is_done: bool,
    /// What was measured since the last report, and in the whole window.
    pub(crate) recent: Tally,
    pub(crate) measured: Tally,
    pub(crate) record_lines: Vec<u8>,
    pub(crate) bad_keys: Vec<(u64, &'static str)>,
}

impl Worker {
    pub(crate) fn new(plan: Arc<Plan>, thread: usize, routing: Arc<Routing>) -> Worker {
        let mut targets = Vec::new();
        let routes = Routes::new(&routing, plan.is_routed, &mut targets);
        let pacing = match &plan.work {
            Work::Run(run) => {
                run.rate.map(|rate| Pacing::new(run.arrivals, rate / plan.threads as f64, thread, plan.threads))
            }
            Work::Load { .. } | Work::Verify { .. } => None,
        };
        let lanes_per_target = plan.connections_per_target(targets.len());
        let mut worker = Worker {
            routing,
            routes,
            targets,
            lanes_per_target,
            lanes: Vec::new(),
            workload: Workload::new(plan.clone(), thread),
            pacing,
            policy: RetryPolicy { backoff_first: BACKOFF_FIRST, backoff_max: BACKOFF_MAX, attempts_max: u32::MAX },
            expiries: VecDeque::new(),
            retries: BinaryHeap::new(),
            active: 0,
            sequence: plan.sequence_base,
            is_done: false,
            recent: Tally::new(),
            measured: Tally::new(),
            record_lines: Vec::new(),
            bad_keys: Vec::new(),
            plan,
        };
        worker.add_lanes();
        worker
    }

    /// Makes lanes for targets that have none; gives the numbers of the new ones.
    fn add_lanes(&mut self) -> core::ops::Range<usize> {
        let first = self.lanes.len();
        self.lanes.resize_with(self.targets.len() * self.lanes_per_target, Lane::default);
        first..self.lanes.len()
    }

    /// The target of a lane.
    pub(crate) fn target(&self, lane: usize) -> Target {
        self.targets[lane / self.lanes_per_target].clone()
    }

    /// A connection was opened: its topology may be better than ours. Gives the lanes that must be served from now on.
    pub(crate) fn opened(&mut self, lane: usize, session: Session<Operation>) -> core::ops::Range<usize> {
        let routing = session.welcome().map(|welcome| welcome.routing.clone());
        let place = &mut self.lanes[lane];
        place.session = Some(session);
        place.life += 1;
        place.out.clear();
        match routing {
            Some(routing) if routing.is_better_than(&self.routing) => {
                self.routes = Routes::new(&routing, self.plan.is_routed, &mut self.targets);
                self.routing = Arc::new(routing);
                self.add_lanes()
            }
            Some(_) | None => 0..0,
        }
    }

    /// A connection ended: what was in flight on it is tried again or failed.
    pub(crate) fn closed(&mut self, lane: usize, now: u64) {
        let Some(mut session) = self.lanes[lane].session.take() else { return };
        self.lanes[lane].out.clear();
        self.recent.connections_lost += 1;
        self.recent.late_answers += session.late_answers();
        let error = Error::ConnectionLost { address: "".into(), reason: "".into() };
        for operation in session.close() {
            self.failed(operation, &error, now);
        }
    }

    /// The whole measurement, with what the open connections have counted.
    pub(crate) fn sum_up(&mut self) -> Tally {
        let open = self.lanes.iter().filter_map(|lane| lane.session.as_ref());
        self.measured.late_answers += open.map(Session::late_answers).sum::<u64>();
        self.measured.clone()
    }

    /// True as soon as one connection is open.
    pub(crate) fn is_connected(&self) -> bool {
        self.lanes.iter().any(|lane| lane.session.is_some())
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.session.is_some()).count()
    }

    /// Requests due and not sent. What would be due at the end of the window is not sent any more.
    pub(crate) fn backlog(&self, now: u64) -> u64 {
        let (_, end) = self.plan.window();
        self.pacing.as_ref().map_or(0, |pacing| pacing.backlog(now.min(end - 1)))
    }

    /// True when all is sent and answered.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_done && self.active == 0
    }

    /// When to be called again at the latest.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.pacing.as_ref().filter(|_| !self.is_done).map(Pacing::next_due)
    }

    /// Sends what is due now, gives up what has waited too long, and tries again what has waited long enough.
    pub(crate) fn turn(&mut self, now: u64) {
        self.expire(now);
        while let Some(retry) = self.retries.peek().copied().filter(|retry| retry.at <= now) {
            self.retries.pop();
            self.send(retry.operation, None, now);
        }
        let (_, end) = self.plan.window();
        match &mut self.pacing {
            Some(_) => self.send_due(now, end),
            None => self.refill(None, now),
        }
        self.wake_writers();
    }

    /// Open loop: whatever is due, in order, as long as there is room for it.
    fn send_due(&mut self, now: u64, end: u64) {
        while !self.is_done && self.has_room() {
            let Some(pacing) = &mut self.pacing else { return };
            if pacing.next_due() >= end {
                self.is_done = true;
                return;
            }
            let Some(intended) = pacing.take_due(now, self.workload.random()) else { return };
            self.begin(intended, None, now);
        }
    }

    /// Closed loop: as many as connections and depth allow.
    pub(crate) fn refill(&mut self, lane: Option<usize>, now: u64) {
        if self.pacing.is_some() {
            return;
        }
        let window = self.lanes.len() * self.plan.depth;
        while !self.is_done && self.active < window && self.is_connected() {
            if now >= self.plan.window().1 {
                self.is_done = true;
                return;
            }
            self.begin(now, lane, now);
        }
    }

    /// Room for one more on some connection, with what may still be lost and come back.
    fn has_room(&self) -> bool {
        self.active < self.lanes.len() * self.plan.depth && self.is_connected()
    }

    fn begin(&mut self, intended: u64, lane: Option<usize>, now: u64) {
        let Some(next) = self.workload.next() else {
            self.is_done = true;
            return;
        };
        self.sequence += 1;
        let operation = Operation {
            kind: next.kind,
            stamp: Stamp { key_index: next.key_index, sequence: self.sequence },
            intended,
            retry_until: now.saturating_add(self.plan.retry_for.as_nanos() as u64),
            attempt: 1,
            is_suspect: false,
        };
        self.active += 1;
        self.send(operation, lane, now);
    }

    /// Requests whose answer is overdue are tried again or failed; the late answer will be recognised.
    fn expire(&mut self, now: u64) {
        while let Some(expiry) = self.expiries.front().copied().filter(|expiry| expiry.at <= now) {
            self.expiries.pop_front();
            let lane = &mut self.lanes[expiry.lane];
            let given_up = match &mut lane.session {
                Some(session) if lane.life == expiry.life => session.give_up(expiry.id),
                Some(_) | None => None,
            };
            if let Some(operation) = given_up {
                let waited = Duration::from_nanos(now.saturating_sub(operation.intended));
                self.failed(operation, &Error::NoAnswer { address: "".into(), waited }, now);
            }
        }
    }

    /// Lets those write who have something to write.
    pub(crate) fn wake_writers(&mut self) {
        for lane in &mut self.lanes {
            if !lane.out.is_empty()
                && let Some(writer) = lane.writer.take()
            {
                writer.wake();
            }
        }
    }
}
