//! The thread beside the companion: does one long thing at a time, and says how it went.

use super::{ReopenStore, ReopenedStore, StoreRescue};
use crate::record::Lsn;
use crate::sorted_store::{FailureKind, FlushTask, SortedStore, SortedStoreError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One long thing.
pub(super) enum Task {
    /// The slow part of a flush.
    Flush(FlushTask),
    /// Is it time to do something about the store? `is_readable`: its old handle may still give what is to be saved.
    Look { kind: FailureKind, generation: u32, upto: Lsn, is_readable: bool },
    /// Let go of the old handle, and open the store again.
    Open { old: Option<Box<dyn SortedStore>>, kind: FailureKind, generation: u32, upto: Lsn },
}

/// How it went.
pub(super) enum Done {
    /// A flush.
    Flushed(Result<(), SortedStoreError>),
    /// A look.
    Looked(Look),
    /// An opening.
    Opened(Result<ReopenedStore, SortedStoreError>),
}

/// What a look came to.
pub(super) enum Look {
    /// Not yet.
    Later,
    /// The store is to be opened again.
    Open,
    /// What can be read through the old handle is to be saved.
    Rescue(Box<dyn StoreRescue>),
}

/// The handle of the thread. Dropping it ends the thread after its present task.
#[derive(Debug)]
pub(super) struct Hands {
    tasks: flume::Sender<Task>,
    done: flume::Receiver<Done>,
}

impl Hands {
    /// Starts the thread.
    pub(super) fn start(name: String, mut reopen: Box<dyn ReopenStore>) -> io::Result<Hands> {
        // The companion never asks for a second thing before the first is done.
        let (tasks, given) = flume::bounded::<Task>(1);
        let (finished, done) = flume::bounded(1);
        let work = move || {
            for task in given {
                if finished.send(perform(task, &mut *reopen)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name(name).spawn(work)?;
        Ok(Hands { tasks, done })
    }

    /// Begins a task; the one before is done.
    pub(super) fn begin(&self, task: Task) {
        let given = self.tasks.try_send(task);
        assert!(given.is_ok(), "the hands have one task at a time, and never end before the companion");
    }

    /// Where it is said how the task went.
    pub(super) fn done(&self) -> &flume::Receiver<Done> {
        &self.done
    }
}

fn perform(task: Task, reopen: &mut dyn ReopenStore) -> Done {
    match task {
        Task::Flush(flush) => Done::Flushed(guarded("flush", flush)),
        Task::Look { kind, generation, upto, is_readable } => {
            let is_time = catch_unwind(AssertUnwindSafe(|| reopen.is_time(kind, generation))).unwrap_or(true);
            Done::Looked(match (is_time, kind) {
                (false, _) => Look::Later,
                (true, FailureKind::Damaged) if is_readable => begin_rescue(generation, upto, reopen),
                (true, _) => Look::Open,
            })
        }
        Task::Open { old, kind, generation, upto } => {
            // Letting go of a failed store may itself go wrong; the files are judged when they are opened.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
            Done::Opened(guarded("open", || reopen.reopen(kind, generation, upto)))
        }
    }
}

fn begin_rescue(generation: u32, upto: Lsn, reopen: &mut dyn ReopenStore) -> Look {
    match guarded("begin of a rescue", || reopen.rescue(generation, upto)) {
        Ok(Some(rescue)) => Look::Rescue(rescue),
        Ok(None) => Look::Open,
        Err(error) => {
            tracing::warn!(%error, "what can be read of a damaged store could not be saved; it is tried again");
            Look::Later
        }
    }
}

/// The stores catch their engines' panics; this is for our own.
fn guarded<T>(what: &'static str, call: impl FnOnce() -> Result<T, SortedStoreError>) -> Result<T, SortedStoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let what = format!("it panicked at a {what}: {}", super::work::panic_text(&*panic));
        Err(SortedStoreError::Failed { engine: "unknown", path: String::new(), what, kind: FailureKind::Io })
    })
}
