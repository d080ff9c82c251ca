//! The one small layer over glommio: executors, streams, listeners, direct-I/O files, and the pacemaker.
//!
//! Everything the crate knows of its runtime passes through here, so that it can be replaced here; and everything that
//! the compiler cannot check is in [`raw`], line by line.

mod dma;
mod listener;
mod notify;
mod pacemaker;
mod raw;
mod stream;

use core::future::Future;
use core::time::Duration;
use std::io;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

pub(crate) use dma::GlommioDisk;
pub(crate) use listener::Listener;
pub(crate) use notify::Notify;
pub(crate) use pacemaker::Pacemaker;
pub(crate) use raw::probe_io_uring;
pub(crate) use stream::Stream;

/// Memory that each executor registers with io_uring: the least that glommio takes, since only the log writes through it.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// Entries of each of an executor's rings.
const RING_DEPTH: usize = 256;
/// How long a task may run before the others are looked after. Sound only beside the [`Pacemaker`].
const PREEMPT_AFTER: Duration = Duration::from_millis(1);

/// Starts an executor on a thread of its own, pinned to `core` if there is one, and runs the future that `main` makes.
pub(crate) fn spawn_executor<M, F>(
    name: &str,
    core: Option<usize>,
    main: M,
) -> io::Result<ExecutorJoinHandle<F::Output>>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    let placement = core.map_or(Placement::Unbound, Placement::Fixed);
    LocalExecutorBuilder::new(placement)
        .name(name)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT_AFTER)
        .spawn(main)
        .map_err(io::Error::from)
}

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
