//! The one small layer over glommio: executors, streams, listeners, and the pacemaker; and the disk, which has a thread of its own.
//!
//! Everything the crate knows of its runtime passes through here, so that it can be replaced here; and everything that
//! the compiler cannot check is in [`raw`], line by line.

mod executor;
mod labour;
mod listener;
mod notify;
mod pacemaker;
mod page_buffer;
mod raw;
mod stream;
mod thread_disk;

use core::future::Future;
use core::time::Duration;

pub(crate) use executor::Executor;
pub(crate) use labour::{thread_time, with_longest_poll};
pub(crate) use listener::Listener;
pub(crate) use notify::Notify;
pub(crate) use pacemaker::Pacemaker;
pub(crate) use raw::probe_io_uring;
pub(crate) use stream::Stream;
pub(crate) use thread_disk::ThreadDisk;

/// Starts a task that lives as long as its executor (or until it returns). It is polled once before this returns, so
/// the caller must hold no borrow that the task wants.
pub(crate) fn spawn_detached(task: impl Future<Output = ()> + 'static) {
    // The handle goes at once: in glommio 0.9.0 a task that another thread wakes while its handle is dropped may be freed
    // under the waker.
    glommio::spawn_local(task).detach();
}

/// Waits about as long as `duration`.
pub(crate) async fn sleep(duration: Duration) {
    glommio::timer::sleep(duration).await;
}

/// Lets other tasks and the rings have their turn, if the present one has run for long.
pub(crate) async fn yield_if_needed() {
    glommio::yield_if_needed().await;
}
