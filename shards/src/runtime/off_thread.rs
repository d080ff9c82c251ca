//! Calls that may block, where io_uring has no way to ask: on a thread of their own.
//!
//! For the rare ones only (names of a directory, at a checkpoint's end). Each call has its own thread, so that one that
//! hangs with its disk keeps nobody else waiting; `spawn_blocking` of the runtime has one for all, and loses it to a panic.

use std::io;
use std::thread;

/// Does `call` on another thread and waits for it.
pub(super) async fn off_thread<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, outcome) = flume::bounded(1);
    // Whoever asked may have given up; then nobody needs the outcome.
    thread::Builder::new().name("disk-call".to_owned()).spawn(move || drop(done.send(call())))?;
    outcome.recv_async().await.unwrap_or_else(|_| Err(io::Error::other("the call ended without an outcome")))
}
