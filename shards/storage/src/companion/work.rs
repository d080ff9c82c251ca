//! What the companion thread does: whatever is most urgent, one piece at a time.

use super::hands::{Done, Hands, Look, Task};
use super::jobs::Jobs;
use super::{ColdAnswer, ColdFound, ColdRead, CompanionAnswer, CompanionRequest, ReopenedStore, StoreRescue};
use crate::checkpoint::CheckpointJob;
use crate::limits::{REOPEN_AFTER_MAX, REOPEN_AFTER_MIN};
use crate::record::Lsn;
use crate::sorted_store::{FailureKind, SortedStore, SortedStoreError};
use crate::table::FrozenTable;
use flume::Selector;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nobody listens any more, or the work is done.
struct Ended;

/// The store, as far as there is one.
enum Held {
    /// It does everything.
    Up(Box<dyn SortedStore>),
    /// It failed.
    Down(Down),
}

/// A store on its way back.
struct Down {
    /// It may still answer reads.
    old: Option<Box<dyn SortedStore>>,
    kind: FailureKind,
    /// What it gives goes into another one, meanwhile.
    rescue: Option<Box<dyn StoreRescue>>,
    /// A rescue found that the old handle gives nothing.
    is_past_rescue: bool,
    /// When to look whether it is time to open it; `None` while the hands or a rescue are at it.
    look_at: Option<Instant>,
    wait: Duration,
}

/// The checkpoint under way.
enum Checkpoint {
    /// A job is at a piece that it must not come between.
    Waiting(Arc<FrozenTable>),
    /// Its pieces are being applied.
    Applying(CheckpointJob),
    /// The hands make it durable.
    Flushing(Arc<FrozenTable>),
    /// The store is down; it begins anew when there is one.
    Resting(Arc<FrozenTable>),
}

impl Checkpoint {
    fn into_table(self) -> Arc<FrozenTable> {
        match self {
            Checkpoint::Applying(job) => job.into_table(),
            Checkpoint::Waiting(table) | Checkpoint::Flushing(table) | Checkpoint::Resting(table) => table,
        }
    }
}

/// What woke the companion.
enum Moment {
    Asked(CompanionRequest),
    Done(Done),
    /// Time for the next piece of whatever there is.
    Quiet,
    /// The hands are gone: they panicked, for they outlive the companion otherwise.
    Lost,
}

pub(super) struct Work {
    held: Held,
    generation: u32,
    /// The store durably holds all records up to this one.
    upto: Lsn,
    checkpoint: Option<Checkpoint>,
    /// A flush is with the hands, also of a store that has failed since.
    is_flushing: bool,
    is_stopping: bool,
    jobs: Jobs,
    requests: flume::Receiver<CompanionRequest>,
    answers: flume::Sender<CompanionAnswer>,
    hands: Hands,
}

impl Work {
    pub(super) fn new(
        store: Box<dyn SortedStore>,
        generation: u32,
        requests: flume::Receiver<CompanionRequest>,
        answers: flume::Sender<CompanionAnswer>,
        hands: Hands,
    ) -> Work {
        let upto = store.durable_upto().unwrap_or_default();
        let (checkpoint, jobs) = (None, Jobs::default());
        let (is_flushing, is_stopping) = (false, false);
        let held = Held::Up(store);
        Work { held, generation, upto, checkpoint, is_flushing, is_stopping, jobs, requests, answers, hands }
    }

    pub(super) fn run_guarded(&mut self) {
        let last = match catch_unwind(AssertUnwindSafe(|| self.run())) {
            Ok(Ok(Ended)) => CompanionAnswer::Stopped,
            Ok(Err(Lost)) => CompanionAnswer::Failed("the thread beside the companion has ended".to_owned()),
            Err(panic) => CompanionAnswer::Failed(format!("the companion panicked: {}", panic_text(&*panic))),
        };
        // Nobody may be listening any more; then nobody needs the answer.
        let _ = self.answers.send(last);
    }

    fn run(&mut self) -> Result<Ended, Lost> {
        loop {
            let ended = match self.wait() {
                Moment::Asked(request) => self.take(request),
                Moment::Done(done) => self.take_done(done),
                Moment::Quiet if self.is_done() => Some(Ended),
                Moment::Quiet => self.proceed(),
                Moment::Lost => return Err(Lost),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Waits for what is next; not at all while there is work to be done.
    fn wait(&self) -> Moment {
        let wait = self.time_to_next_piece();
        if wait == Some(Duration::ZERO) {
            if let Ok(request) = self.requests.try_recv() {
                return Moment::Asked(request);
            }
            return self.hands.done().try_recv().map_or(Moment::Quiet, Moment::Done);
        }
        // A handle that is gone is the same as Stop; it is heard once, and afterwards only the hands are listened to.
        let asked = |request: Result<_, _>| Moment::Asked(request.unwrap_or(CompanionRequest::Stop));
        let done = |done: Result<_, _>| done.map_or(Moment::Lost, Moment::Done);
        let selector = Selector::new().recv(self.hands.done(), done);
        let selector = if self.is_stopping { selector } else { selector.recv(&self.requests, asked) };
        match wait {
            Some(wait) => selector.wait_timeout(wait).unwrap_or(Moment::Quiet),
            None => selector.wait(),
        }
    }

    /// How long until the next piece of work; `None` if only somebody else can bring the next.
    fn time_to_next_piece(&self) -> Option<Duration> {
        if self.is_done() || (self.is_stopping && !self.requests.is_empty()) {
            return Some(Duration::ZERO);
        }
        match (&self.held, &self.checkpoint) {
            (Held::Up(_), Some(Checkpoint::Applying(_))) => Some(Duration::ZERO),
            (Held::Up(_), Some(Checkpoint::Waiting(_))) if !self.jobs.is_holding() => Some(Duration::ZERO),
            (Held::Up(_), None | Some(Checkpoint::Waiting(_))) => self.jobs.wait(),
            (Held::Up(_), Some(Checkpoint::Flushing(_) | Checkpoint::Resting(_))) => None,
            (Held::Down(_), _) if self.is_flushing => None,
            (Held::Down(down), _) if down.rescue.is_some() => Some(Duration::ZERO),
            (Held::Down(down), _) => down.look_at.map(|at| at.saturating_duration_since(Instant::now())),
        }
    }

    /// Is everything done that a companion that stops must do? What a failed store owes stays in the log.
    fn is_done(&self) -> bool {
        self.is_stopping
            && self.requests.is_empty()
            && match &self.held {
                Held::Up(_) => self.checkpoint.is_none(),
                Held::Down(_) => true,
            }
    }

    fn take(&mut self, request: CompanionRequest) -> Option<Ended> {
        match request {
            CompanionRequest::Get(reads) => return self.serve(reads),
            CompanionRequest::Checkpoint(table) => {
                assert!(self.checkpoint.is_none(), "one checkpoint at a time");
                self.checkpoint = Some(match &self.held {
                    Held::Up(_) if self.jobs.is_holding() => Checkpoint::Waiting(table),
                    Held::Up(_) => Checkpoint::Applying(CheckpointJob::new(table)),
                    Held::Down(_) => Checkpoint::Resting(table),
                });
            }
            CompanionRequest::Run(job) if matches!(self.held, Held::Up(_)) => self.jobs.push(job),
            CompanionRequest::Run(job) => tracing::warn!(job = job.name(), "the sorted store is down: not begun"),
            CompanionRequest::Stop => self.is_stopping = true,
        }
        None
    }

    /// What cannot be read is an answer; that a read fails says nothing about writes, unless the files are damaged.
    fn serve(&mut self, reads: Vec<ColdRead>) -> Option<Ended> {
        let (mut answers, mut damage) = (Vec::with_capacity(reads.len()), None);
        for read in reads {
            let store = match &self.held {
                Held::Up(store) => Some(store),
                Held::Down(down) => down.old.as_ref(),
            };
            let found = match store.map(|store| store.get(read.token, &read.routed)) {
                Some(Ok(Some(object))) => ColdFound::Object(object),
                Some(Ok(None)) => ColdFound::Absent,
                Some(Err(error)) => {
                    tracing::error!(token = format!("{:032x}", read.token), %error, "a stored object is unreadable");
                    if let SortedStoreError::Failed { kind: FailureKind::Damaged, .. } = error {
                        damage = Some(error);
                    }
                    ColdFound::Unreadable
                }
                None => ColdFound::Unreadable,
            };
            answers.push(ColdAnswer { read, found });
        }
        let ended = self.answer(CompanionAnswer::Got(answers));
        match damage {
            Some(error) if matches!(self.held, Held::Up(_)) && ended.is_none() => self.fail(&error),
            Some(_) | None => ended,
        }
    }

    /// The next piece of whatever there is.
    fn proceed(&mut self) -> Option<Ended> {
        match &mut self.held {
            Held::Up(store) => match self.checkpoint.take() {
                Some(Checkpoint::Applying(mut job)) => {
                    let jobs = &mut self.jobs;
                    let applied = job.apply_piece(&mut **store, |entries| jobs.applied(entries));
                    self.checkpoint = Some(match applied {
                        Ok(true) => {
                            let table = job.into_table();
                            self.hands.begin(Task::Flush(store.flush_task(table.last_lsn())));
                            self.is_flushing = true;
                            Checkpoint::Flushing(table)
                        }
                        Ok(false) | Err(_) => Checkpoint::Applying(job),
                    });
                    return applied.err().and_then(|error| self.fail(&error));
                }
                Some(Checkpoint::Waiting(table)) if !self.jobs.is_holding() => {
                    self.checkpoint = Some(Checkpoint::Applying(CheckpointJob::new(table)));
                }
                Some(Checkpoint::Waiting(table)) => {
                    self.jobs.step(store, &mut self.generation);
                    self.checkpoint = Some(Checkpoint::Waiting(table));
                }
                Some(other) => self.checkpoint = Some(other),
                None => self.jobs.step(store, &mut self.generation),
            },
            Held::Down(down) if down.rescue.is_some() => return self.step_rescue(),
            Held::Down(down) => {
                if down.look_at.is_some_and(|at| at <= Instant::now()) {
                    down.look_at = None;
                    let (kind, is_readable) = (down.kind, down.old.is_some() && !down.is_past_rescue);
                    let (generation, upto) = (self.generation, self.upto);
                    self.hands.begin(Task::Look { kind, generation, upto, is_readable });
                }
            }
        }
        None
    }

    /// The next piece of a rescue.
    fn step_rescue(&mut self) -> Option<Ended> {
        let Held::Down(down) = &mut self.held else { return None };
        let (old, rescue) = down.old.as_ref().zip(down.rescue.as_mut())?;
        let step = catch_unwind(AssertUnwindSafe(|| rescue.step(&**old))).unwrap_or_else(|panic| {
            let what = format!("a rescue panicked: {}", panic_text(&*panic));
            let (engine, path, kind) = (old.engine(), String::new(), FailureKind::Damaged);
            Err(SortedStoreError::Failed { engine, path, what, kind })
        });
        match step {
            Ok(None) => None,
            Ok(Some(reopened)) => self.take_reopened(reopened),
            Err(error) => {
                tracing::warn!(%error, "what can be read of a damaged store could not be saved; it is tried again");
                down.rescue = None;
                down.is_past_rescue |= kind_of(&error) == FailureKind::Damaged;
                down.rest();
                None
            }
        }
    }

    fn take_done(&mut self, done: Done) -> Option<Ended> {
        match (done, &mut self.held) {
            (Done::Flushed(outcome), Held::Up(_)) => {
                self.is_flushing = false;
                match outcome {
                    Ok(()) => self.take_flushed(),
                    Err(error) => self.fail(&error),
                }
            }
            // It belonged to the store that failed meanwhile: the checkpoint begins anew in any case.
            (Done::Flushed(_), Held::Down(_)) => {
                self.is_flushing = false;
                None
            }
            (Done::Looked(Look::Rescue(rescue)), Held::Down(down)) => {
                down.rescue = Some(rescue);
                None
            }
            (Done::Looked(Look::Open), Held::Down(down)) => {
                let (old, kind) = (down.old.take(), down.kind);
                self.hands.begin(Task::Open { old, kind, generation: self.generation, upto: self.upto });
                None
            }
            (Done::Looked(Look::Later), Held::Down(down)) => {
                down.rest();
                None
            }
            (Done::Opened(Ok(reopened)), Held::Down(_)) => self.take_reopened(reopened),
            (Done::Opened(Err(error)), Held::Down(down)) => {
                tracing::warn!(%error, "the sorted store could not be opened again; it is tried again");
                down.kind = kind_of(&error);
                down.rest();
                None
            }
            (Done::Looked(_) | Done::Opened(_), Held::Up(_)) => {
                unreachable!("only a store that is down is looked after")
            }
        }
    }

    fn take_flushed(&mut self) -> Option<Ended> {
        let table = self.checkpoint.take().map(Checkpoint::into_table).expect("a flush belongs to a checkpoint");
        self.upto = self.upto.max(table.last_lsn());
        self.answer(CompanionAnswer::Applied { table, generation: self.generation })
    }

    /// The store cannot go on: it is opened again after a while, and what it owes is applied again from the start.
    fn fail(&mut self, error: &SortedStoreError) -> Option<Ended> {
        let kind = kind_of(error);
        let down = Held::Down(Down {
            old: None,
            kind,
            rescue: None,
            is_past_rescue: false,
            look_at: None,
            wait: Duration::ZERO,
        });
        if let (Held::Up(store), Held::Down(down)) = (core::mem::replace(&mut self.held, down), &mut self.held) {
            down.old = Some(store);
            down.rest();
        }
        self.checkpoint = self.checkpoint.take().map(|checkpoint| Checkpoint::Resting(checkpoint.into_table()));
        self.jobs.cancel();
        self.answer(CompanionAnswer::Down { reason: error.to_string(), kind })
    }

    fn take_reopened(&mut self, reopened: ReopenedStore) -> Option<Ended> {
        let ReopenedStore { store, generation, wounds } = reopened;
        let found = store.durable_upto();
        let before = core::mem::replace(&mut self.held, Held::Up(store));
        // Letting go of a failed store may itself go wrong.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(before)));
        self.generation = generation;
        match found {
            Ok(found) if self.upto <= found => {}
            Ok(found) => {
                let what = format!("it goes up to {found} only, and had gone up to {}", self.upto);
                let engine = "reopened";
                let kind = FailureKind::Damaged;
                return self.fail(&SortedStoreError::Failed { engine, path: String::new(), what, kind });
            }
            Err(error) => return self.fail(&error),
        }
        if let Some(checkpoint) = self.checkpoint.take() {
            self.checkpoint = Some(Checkpoint::Applying(CheckpointJob::new(checkpoint.into_table())));
        }
        self.answer(CompanionAnswer::Reopened { generation, wounds })
    }

    fn answer(&self, answer: CompanionAnswer) -> Option<Ended> {
        self.answers.send(answer).err().map(|_| Ended)
    }
}

/// The hands are gone.
struct Lost;

impl Down {
    fn rest(&mut self) {
        self.wait = (self.wait * 2).clamp(REOPEN_AFTER_MIN, REOPEN_AFTER_MAX);
        self.look_at = Some(Instant::now() + self.wait);
    }
}

fn kind_of(error: &SortedStoreError) -> FailureKind {
    match error {
        SortedStoreError::Failed { kind, .. } => *kind,
        SortedStoreError::Unreadable { .. } => FailureKind::Damaged,
    }
}

pub(super) fn panic_text(panic: &(dyn core::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
