//! The reading side of every socket: one task each, one read a turn.
//!
//! What is read goes into the shard's one read buffer and is worked on before anybody else runs, so that no connection
//! owns a buffer while it is idle. A panic while a client's or peer's bytes are worked on closes that connection and is
//! counted; one inside the core or the store ends the shard, because nobody could say what it left behind.

use core::future::poll_fn;
use core::panic::AssertUnwindSafe;
use core::task::{Context, Poll, ready};
use std::panic::{catch_unwind, resume_unwind};
use std::rc::Rc;

use super::Socket;
use crate::runtime::yield_if_needed;
use crate::shard::{Shard, SharedShard};

/// What a socket is to the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    /// Has not introduced itself yet; by number.
    Arrival(u64),
    /// A client's connection; by number.
    Client(u64),
    /// A peer's link to this shard; by number.
    Inlet(u64),
    /// This shard's link to shard `to` of the peer in place `peer`.
    Link { peer: usize, to: usize },
}

/// What comes after a read.
#[derive(Debug)]
pub(crate) enum Next {
    /// The next read.
    Read,
    /// The next read, as something else.
    Become(Port),
    /// A pause until there is room again.
    Pause(Rc<Socket>),
    /// Nothing: the socket is closed, or somebody else's.
    End,
}

/// Reads until the end.
pub(crate) async fn read_loop(shard: SharedShard, mut port: Port) {
    loop {
        match poll_fn(|cx| poll_guarded(&shard, port, cx)).await {
            Next::Read => {}
            Next::Become(other) => port = other,
            Next::Pause(socket) => socket.resume.wait().await,
            Next::End => break,
        }
        yield_if_needed().await;
    }
}

fn poll_guarded(shard: &SharedShard, port: Port, cx: &mut Context<'_>) -> Poll<Next> {
    let polled = catch_unwind(AssertUnwindSafe(|| shard.with(|shard| shard.poll_receive(port, cx))));
    polled.unwrap_or_else(|panic| {
        if shard.with(|shard| shard.is_inside_core) {
            resume_unwind(panic);
        }
        shard.turn(|shard| {
            shard.counters.panics += 1;
            shard.close(port);
        });
        Poll::Ready(Next::End)
    })
}

impl Shard {
    fn poll_receive(&mut self, port: Port, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(socket) = self.socket_of(port) else { return Poll::Ready(Next::End) };
        let read = ready!(socket.poll_read(cx, &mut self.scratch));
        self.begin_turn();
        let next = match read {
            Ok(0) => self.end_of_stream(port),
            Ok(count) => self.receive(port, count),
            Err(_) => self.close(port),
        };
        self.end_turn();
        Poll::Ready(next)
    }

    fn socket_of(&mut self, port: Port) -> Option<Rc<Socket>> {
        match port {
            Port::Arrival(number) => self.arrivals.socket(number),
            Port::Client(number) => self.clients.socket(number),
            Port::Inlet(number) => self.peers.inlet_socket(number),
            Port::Link { peer, to } => self.peers.link_socket(peer, to),
        }
    }

    /// Works on the first `count` bytes of the read buffer.
    fn receive(&mut self, port: Port, count: usize) -> Next {
        // Taken out for the while, because what is read changes the rest of the shard.
        let scratch = core::mem::take(&mut self.scratch);
        let fresh = &scratch[..count];
        let next = match port {
            Port::Arrival(number) => self.receive_first(number, fresh),
            Port::Client(number) => self.receive_client(number, fresh),
            Port::Inlet(number) => self.receive_inlet(number, fresh),
            Port::Link { peer, to } => self.receive_link(peer, to, fresh),
        };
        self.scratch = scratch;
        next
    }

    fn end_of_stream(&mut self, port: Port) -> Next {
        match port {
            // A client that has said its last word may still wait for answers.
            Port::Client(number) => self.client_says_no_more(number),
            Port::Arrival(_) | Port::Inlet(_) | Port::Link { .. } => self.close(port),
        }
    }

    /// Forgets the socket behind `port`.
    fn close(&mut self, port: Port) -> Next {
        // After a panic the read buffer may have been lost on the way.
        self.scratch.resize(crate::limits::READ_BYTES_MAX, 0);
        match port {
            Port::Arrival(number) => self.arrivals.forget(number),
            Port::Client(number) => self.clients.forget(number),
            Port::Inlet(number) => self.peers.forget_inlet(number),
            Port::Link { peer, to } => self.link_down(peer, to, "the peer has closed the link"),
        }
        Next::End
    }
}
