//! The one small layer over glommio: executors, streams, listeners, direct-I/O files, and the pacemaker.
//!
//! Everything the crate knows of its runtime passes through here, so that it can be replaced here; and everything that
//! the compiler cannot check is in [`raw`], line by line.

mod dma;
mod executor;
mod listener;
mod notify;
mod off_thread;
mod pacemaker;
mod raw;
mod stream;

use core::future::Future;
use core::time::Duration;

pub(crate) use dma::GlommioDisk;
pub(crate) use executor::Executor;
pub(crate) use listener::Listener;
pub(crate) use notify::Notify;
pub(crate) use pacemaker::Pacemaker;
pub(crate) use raw::probe_io_uring;
pub(crate) use stream::Stream;

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
