//! The thread beside the companion: does one long thing at a time, and says how it went.

use super::{ReopenStore, ReopenedStore};
use crate::record::Lsn;
use crate::sorted_store::{FailureKind, FlushTask, SortedStore, SortedStoreError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One long thing.
pub(super) enum Task {
    /// The slow part of a flush.
    Flush(FlushTask),
    /// Is it time to open the store again?
    Look(FailureKind),
    /// Let go of the old handle, and open the store again.
    Open { old: Option<Box<dyn SortedStore>>, kind: FailureKind, generation: u32, upto: Lsn },
}

/// How it went.
pub(super) enum Done {
    /// A flush.
    Flushed(Result<(), SortedStoreError>),
    /// A look.
    Looked(bool),
    /// An opening.
    Opened(Result<ReopenedStore, SortedStoreError>),
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
        Task::Look(kind) => Done::Looked(catch_unwind(AssertUnwindSafe(|| reopen.is_time(kind))).unwrap_or(true)),
        Task::Open { old, kind, generation, upto } => {
            // Letting go of a failed store may itself go wrong; the files are judged when they are opened.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
            Done::Opened(guarded("open", || reopen.reopen(kind, generation, upto)))
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
