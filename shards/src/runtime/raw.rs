//! What the compiler cannot check: descriptors as numbers, and two system calls.
//!
//! Each function is safe to call; why it is sound stands beside its `unsafe` line.

#![expect(unsafe_code, reason = "the only module of the crate that may; see the argument beside each block")]

use core::time::Duration;
use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use glommio::net::{TcpListener, TcpStream};

/// Makes a stream of the present executor from a connected socket. Must be called inside an executor.
pub(super) fn stream_of(socket: OwnedFd) -> TcpStream {
    // SAFETY: `into_raw_fd` gives up the only owner of an open descriptor, and the stream becomes the next one: it is
    // closed exactly once. `OwnedFd` promises that it is open.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

/// Makes a listener of the present executor from a listening socket. Must be called inside an executor.
pub(super) fn listener_of(socket: StdListener) -> TcpListener {
    // SAFETY: as above: the descriptor is open, and ownership passes from one owner to the next.
    unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }
}

/// The stream's descriptor, for as long as the stream is borrowed.
pub(super) fn descriptor_of(stream: &TcpStream) -> BorrowedFd<'_> {
    // SAFETY: the stream owns the descriptor and closes it only when it is dropped, which the lifetime of the borrow
    // forbids; it offers no way to close it earlier.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

/// Asks the kernel for a ring of four entries and gives it back at once.
pub(crate) fn probe_io_uring() -> io::Result<()> {
    // `struct io_uring_params` is 120 bytes, all of whose fields may be zero.
    let mut params = [0_u64; 15];
    // SAFETY: io_uring_setup(u32 entries, struct io_uring_params *) reads and writes only the 120 bytes behind its second
    // argument, which are ours, initialised, and aligned to 8 bytes as the structure needs.
    let answer = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4_u32, params.as_mut_ptr()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(answer).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just opened this descriptor for us and nobody else knows of it.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    Ok(())
}

/// Processor time that the present thread has taken.
pub(super) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one timespec behind its second argument, which is ours. It fails only for clocks that do
    // not exist; then the time stays zero.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Sends `signal` to a thread of this process; nothing happens if it has ended.
pub(super) fn nudge(thread: rustix::thread::Pid, signal: i32) {
    let process = rustix::process::getpid();
    // SAFETY: tgkill(int, int, int) touches no memory of ours. The signal has a handler that only sets a flag, so whichever
    // thread of this process gets it (the number may have been given again) goes on as before.
    unsafe { libc::syscall(libc::SYS_tgkill, process.as_raw_nonzero().get(), thread.as_raw_nonzero().get(), signal) };
}

const _: () = assert!(size_of::<[u64; 15]>() == 120);
