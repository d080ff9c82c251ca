//! A TCP connection inside one executor.
//!
//! Reads wait for the kernel; writes are tried at once and never wait, unless asked to. Both work on a shared reference,
//! because a connection's reader sits in its own task while replies come from wherever they come.

use core::cell::RefCell;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use rustix::net::{SendFlags, Shutdown};

use super::raw;

/// A connected socket of this executor.
#[derive(Debug)]
pub(crate) struct Stream {
    inner: RefCell<TcpStream>,
}

impl Stream {
    /// Takes over a connected socket. Must be called inside an executor.
    pub(crate) fn from_descriptor(socket: OwnedFd) -> Stream {
        Stream::of(raw::stream_of(socket))
    }

    pub(super) fn of(stream: TcpStream) -> Stream {
        // Replies are gathered by us; the kernel must not wait for more. A socket that is already dead says so on read.
        let _ = stream.set_nodelay(true);
        Stream { inner: RefCell::new(stream) }
    }

    /// Connects to `address`.
    pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> io::Result<Stream> {
        let stream = TcpStream::connect_timeout(address, limit).await.map_err(io::Error::from)?;
        Ok(Stream::of(stream))
    }

    /// A second descriptor of the same socket, to travel to another executor.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        raw::descriptor_of(&self.inner.borrow()).try_clone_to_owned()
    }

    /// The other end's address.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.borrow().peer_addr().map_err(io::Error::from)
    }

    /// Reads what there is into `buffer`, or arranges to be woken. 0 means that the other side has closed.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner.borrow_mut()).poll_read(cx, buffer)
    }

    /// Sends as much of `bytes` as the socket takes without waiting; 0 if it takes none.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.inner.borrow();
        match rustix::net::send(raw::descriptor_of(&stream), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => Ok(sent),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends as much of `bytes` as the socket takes, waiting until it takes some.
    pub(crate) async fn send_some(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *self.inner.borrow_mut()).poll_write(cx, bytes)).await
    }

    /// Ends the conversation both ways: a pending read returns. Trouble is ignored, the socket is going away.
    pub(crate) fn shutdown(&self) {
        let _ = rustix::net::shutdown(raw::descriptor_of(&self.inner.borrow()), Shutdown::Both);
    }

    /// Says that nothing more will be sent.
    pub(crate) fn shutdown_write(&self) {
        let _ = rustix::net::shutdown(raw::descriptor_of(&self.inner.borrow()), Shutdown::Write);
    }
}
