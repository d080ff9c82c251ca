//! An executor on a thread of its own, surely awake.
//!
//! The [`Pacemaker`](super::Pacemaker) wakes an executor through one of its tasks, so it can do nothing before the first
//! task has run; and glommio 0.9.0 can fall asleep before that too, if its preempt timer fires between being set and the
//! first look at the queues (seen once in some three hundred starts). Until then the thread is nudged from outside: a
//! signal that does nothing ends its sleep, and the second look finds the task.

use core::future::Future;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use glommio::{LocalExecutorBuilder, Placement};

use super::raw;

/// Memory that each executor registers with io_uring: the least that glommio takes, since no file is written through it.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// Entries of each of an executor's rings.
const RING_DEPTH: usize = 256;
/// How long a task may run before the others are looked after. Sound only beside the pacemaker.
const PREEMPT_AFTER: Duration = Duration::from_millis(1);
/// Time between two nudges of an executor that has not begun: a few times what beginning takes.
const NUDGE_INTERVAL: Duration = Duration::from_millis(5);
/// Ignored by default and used for nothing else here; only a signal that is handled ends a system call.
const NUDGE_SIGNAL: i32 = libc::SIGURG;

/// An executor that has begun to run.
#[derive(Debug)]
pub(crate) struct Executor<T> {
    thread: JoinHandle<Result<T, String>>,
}

impl<T: Send + 'static> Executor<T> {
    /// Starts an executor, pinned to `core` if there is one, and runs the future that `main` makes. Returns when that
    /// has been polled for the first time, or when the executor has ended: [`Executor::join`] says why.
    ///
    /// The future must follow the pacemaker before it waits for anything: after its first poll nobody nudges any more. One
    /// that opened a file first was seen asleep for ever, twice in some thousand starts.
    ///
    /// # Errors
    /// No thread could be had, or no signal handler installed.
    pub(crate) fn spawn<M, F>(name: &str, core: Option<usize>, main: M) -> io::Result<Executor<T>>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = T> + 'static,
    {
        signal_hook::flag::register(NUDGE_SIGNAL, Arc::default())?;
        let has_begun = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&has_begun);
        let (named, names) = flume::bounded(1);
        let run = move || {
            // The one who listens waits for nothing else.
            let _ = named.send(rustix::thread::gettid());
            let executor = LocalExecutorBuilder::new(core.map_or(Placement::Unbound, Placement::Fixed))
                .io_memory(IO_MEMORY_BYTES)
                .ring_depth(RING_DEPTH)
                .preempt_timer(PREEMPT_AFTER)
                .make()
                .map_err(|error| error.to_string())?;
            Ok(executor.run(async move {
                begun.store(true, Ordering::Release);
                main().await
            }))
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        if let Ok(thread_id) = names.recv() {
            while !has_begun.load(Ordering::Acquire) && !thread.is_finished() {
                thread::sleep(NUDGE_INTERVAL);
                raw::nudge(thread_id, NUDGE_SIGNAL);
            }
        }
        Ok(Executor { thread })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It panicked, or never came up; the text says which.
    pub(crate) fn join(self) -> Result<T, String> {
        self.thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()))
    }
}
