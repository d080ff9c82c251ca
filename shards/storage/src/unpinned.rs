//! Threads that may run wherever the process may.
//!
//! A thread inherits the core of whoever starts it, and an engine's threads that of whoever opens the store: from a
//! companion, which is pinned to its shard's core, both would end up on the core that is to be kept free for requests.

use std::io;

/// Starts the thread `name`, which takes off the pin that it inherits before it calls `work`.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let body = move || {
        take_off_the_pin();
        work();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

/// Of all processors the kernel takes those that the process may use.
fn take_off_the_pin() {
    let mut all = rustix::thread::CpuSet::new();
    (0..rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    if let Err(error) = rustix::thread::sched_setaffinity(None, &all) {
        tracing::warn!(%error, "a thread for background work stays on its starter's core");
    }
}
