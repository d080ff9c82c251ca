//! A socket and what is still to be sent on it.
//!
//! Whoever has something to say appends it; at the end of the turn all of it leaves with one call. What the kernel does
//! not take then goes to a writer task, which waits for the other side and ends when there is nothing left. Reading is
//! left to the task of the connection.

use core::cell::{Cell, RefCell};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rondo_protocol::now::Instant;

use crate::limits::REPLY_BYTES_UNSENT_MAX;
use crate::runtime::{Notify, Stream, spawn_detached};

/// Buffers kept for the next ones who need them, and the largest that is kept.
const SPARE_BUFFERS_MAX: usize = 64;
const SPARE_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// What the sockets of one kind share: their traffic so far, and buffers that nobody uses just now, so that an idle
/// connection holds none.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
    spare: RefCell<Vec<Vec<u8>>>,
}

/// One connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    traffic: Rc<Traffic>,
    out: RefCell<Vec<u8>>,
    /// Bytes that the writer task holds; it runs as long as there are any.
    with_writer: Cell<usize>,
    has_writer: Cell<bool>,
    ends_when_sent: Cell<bool>,
    is_listed: Cell<bool>,
    /// Bytes sent when the other side was last seen to take some, and when that was.
    last_progress: Cell<(u64, Instant)>,
    sent: Cell<u64>,
    /// Rung when there is room again for what reading would bring, and when the socket has broken.
    pub(crate) resume: Notify,
}

impl Socket {
    /// Wraps a connected stream.
    pub(crate) fn new(stream: Stream, traffic: &Rc<Traffic>, now: Instant) -> Rc<Socket> {
        Rc::new(Socket {
            stream,
            traffic: Rc::clone(traffic),
            out: RefCell::default(),
            with_writer: Cell::new(0),
            has_writer: Cell::new(false),
            ends_when_sent: Cell::new(false),
            is_listed: Cell::new(false),
            last_progress: Cell::new((0, now)),
            sent: Cell::new(0),
            resume: Notify::default(),
        })
    }

    /// Reads what there is, or arranges to be woken.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let polled = self.stream.poll_read(cx, buffer);
        if let Poll::Ready(Ok(count)) = &polled {
            self.traffic.bytes_in.set(self.traffic.bytes_in.get() + *count as u64);
        }
        polled
    }

    /// Appends to what is to be sent. True if the caller must see to it that [`Socket::flush`] is called.
    pub(crate) fn push(&self, append: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut out = self.out.borrow_mut();
        if out.capacity() == 0
            && let Some(spare) = self.traffic.spare.borrow_mut().pop()
        {
            *out = spare;
        }
        append(&mut out);
        !self.is_listed.replace(true)
    }

    /// Bytes appended and not yet taken by the kernel.
    pub(crate) fn unsent(&self) -> usize {
        self.out.borrow().len() + self.with_writer.get()
    }

    /// Sends what the kernel takes now and leaves the rest to a writer task.
    pub(crate) fn flush(self: &Rc<Self>) {
        self.is_listed.set(false);
        if self.has_writer.get() {
            return; // It takes what was appended when it is done with what it has.
        }
        let out = self.out.take();
        match self.stream.try_send(&out) {
            Ok(sent) => {
                self.count_sent(sent);
                if sent == out.len() {
                    self.all_sent(out);
                } else {
                    self.has_writer.set(true);
                    self.with_writer.set(out.len() - sent);
                    spawn_detached(Rc::clone(self).write_rest(out, sent));
                }
            }
            Err(_) => self.break_off(),
        }
    }

    /// Sends what is left, then says that nothing more comes.
    pub(crate) fn end_when_sent(self: &Rc<Self>) {
        self.ends_when_sent.set(true);
        self.flush();
    }

    /// Ends the conversation at once; the reader sees the end.
    pub(crate) fn break_off(&self) {
        self.stream.shutdown();
        self.resume.ring();
    }

    /// True if the other side has taken nothing for `limit` though there is something for it.
    pub(crate) fn is_stuck(&self, now: Instant, limit: Duration) -> bool {
        let (sent, since) = self.last_progress.get();
        if !self.has_writer.get() || self.sent.get() != sent {
            self.last_progress.set((self.sent.get(), now));
            return false;
        }
        now - since > limit
    }

    /// A second descriptor of the connection, to travel to another executor.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.stream.duplicate()
    }

    /// The other end, for messages.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    async fn write_rest(self: Rc<Self>, mut chunk: Vec<u8>, mut at: usize) {
        while at < chunk.len() {
            match self.stream.send_some(&chunk[at..]).await {
                Ok(0) | Err(_) => {
                    self.with_writer.set(0);
                    self.break_off();
                    return; // `has_writer` stays: nothing can be sent any more.
                }
                Ok(sent) => {
                    at += sent;
                    self.count_sent(sent);
                    self.with_writer.set(chunk.len() - at);
                }
            }
            if at == chunk.len() {
                chunk.clear();
                core::mem::swap(&mut chunk, &mut self.out.borrow_mut());
                self.with_writer.set(chunk.len());
                at = 0;
            }
            if self.unsent() <= REPLY_BYTES_UNSENT_MAX / 2 {
                self.resume.ring();
            }
        }
        self.has_writer.set(false);
        self.all_sent(chunk);
    }

    fn count_sent(&self, sent: usize) {
        self.sent.set(self.sent.get() + sent as u64);
        self.traffic.bytes_out.set(self.traffic.bytes_out.get() + sent as u64);
    }

    fn all_sent(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.traffic.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS_MAX && (1..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity()) {
            spare.push(buffer);
        }
        if self.ends_when_sent.get() {
            self.stream.shutdown_write();
        }
        // Whoever stopped reading for all that was unsent may go on; the writer task, which tells him otherwise, was
        // perhaps never needed.
        self.resume.ring();
    }
}
