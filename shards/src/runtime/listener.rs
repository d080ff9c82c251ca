//! A listening socket of one executor.
//!
//! Bound outside, without `SO_REUSEPORT`, so that a second node on the same port fails instead of silently sharing it.

use std::io;
use std::net::TcpListener as StdListener;

use glommio::net::TcpListener;

use super::{Stream, raw};

/// Accepts connections.
#[derive(Debug)]
pub(crate) struct Listener {
    inner: TcpListener,
}

impl Listener {
    /// Takes over a listening socket. Must be called inside an executor.
    pub(crate) fn new(socket: StdListener) -> Listener {
        Listener { inner: raw::listener_of(socket) }
    }

    /// The next connection. Not to be dropped while it waits: a connection that arrives then would be lost.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        self.inner.accept().await.map(Stream::of).map_err(io::Error::from)
    }
}
