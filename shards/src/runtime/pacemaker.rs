//! Keeps executors from oversleeping.
//!
//! glommio 0.9.0 can go to sleep though a task is ready to run, if its preempt timer fires at the wrong moment; only an
//! event from outside wakes it then. So one plain thread gives each executor a wake a few milliseconds apart, as a
//! pacemaker gives a heart its beat. The same beat serves as the shard's coarse clock: deadlines are looked at there.

use core::convert::Infallible;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Time between two beats: short against the 10 ms that a request may take at its worst, long against the 2 us that a beat costs.
pub(crate) const BEAT_INTERVAL: Duration = Duration::from_millis(5);

/// The thread and the wakers of the executors it serves.
#[derive(Debug)]
pub(crate) struct Pacemaker {
    wakers: Mutex<Vec<Option<Waker>>>,
    ended: AtomicBool,
}

impl Pacemaker {
    /// Starts the thread, for `executors` of them.
    pub(crate) fn start(executors: usize) -> std::io::Result<(Arc<Pacemaker>, JoinHandle<()>)> {
        let pacemaker =
            Arc::new(Pacemaker { wakers: Mutex::new(vec![None; executors]), ended: AtomicBool::new(false) });
        let beating = Arc::clone(&pacemaker);
        let thread = thread::Builder::new().name("pacemaker".to_owned()).spawn(move || beating.beat())?;
        Ok((pacemaker, thread))
    }

    /// Registers the present task under `executor` and calls `on_beat` at each beat, for ever.
    pub(crate) async fn follow(self: Arc<Self>, executor: usize, mut on_beat: impl FnMut()) -> Infallible {
        let mut is_registered = false;
        poll_fn(move |cx| {
            if !is_registered {
                self.wakers()[executor] = Some(cx.waker().clone());
                is_registered = true;
            }
            on_beat();
            Poll::Pending
        })
        .await
    }

    /// Forgets an executor. To be called on its own thread before it ends: afterwards no beat is under way to it.
    pub(crate) fn leave(&self, executor: usize) {
        self.wakers()[executor] = None;
    }

    /// Ends the thread after the present beat.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn beat(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            thread::sleep(BEAT_INTERVAL);
            self.wakers().iter().flatten().for_each(Waker::wake_by_ref);
        }
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Option<Waker>>> {
        // The list is whole at every moment, whoever panicked while holding it.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
