//! The first frame of a connection: who is it, and which core does it want?
//!
//! Both ports are accepted by shard 0, and the first frame is read there. A connection that asked for another shard
//! travels: its descriptor is duplicated and goes through the mesh with what was read, and the shard that takes it in
//! gives the answer. Until a connection has introduced itself it gets little: one small frame, a few seconds, and a bound
//! on how many may be at this stage.

use std::rc::Rc;

use bytes::BytesMut;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::now::Instant;
use rondo_protocol::wire::error_reply::{ErrorCode, ErrorReply};

use super::Socket;
use super::frames::Frames;
use super::listener::Door;
use super::reader::{Next, Port};
use super::verdict::Verdict;
use crate::limits::{HANDSHAKE_LIMIT, HANDSHAKES_MAX};
use crate::mesh::{Greeting, HandedConnection};
use crate::numbered::Numbered;
use crate::runtime::Stream;
use crate::shard::{Shard, ShardPhase};

/// Connections that have not introduced themselves.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    all: Numbered<Arrival>,
    /// The shard that the next client who does not care gets.
    next_shard: u16,
}

#[derive(Debug)]
struct Arrival {
    door: Door,
    socket: Rc<Socket>,
    carry: BytesMut,
    until: Instant,
    is_over: bool,
}

impl Arrivals {
    pub(super) fn socket(&mut self, number: u64) -> Option<Rc<Socket>> {
        self.all.get_mut(number).map(|arrival| Rc::clone(&arrival.socket))
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.all.remove(number);
    }

    /// Breaks off those who have not said who they are in time; returns how many.
    pub(crate) fn sweep(&mut self, now: Instant) -> u64 {
        let mut late = 0;
        for (_, arrival) in self.all.iter_mut().filter(|(_, arrival)| arrival.until <= now) {
            late += u64::from(!arrival.is_over);
            arrival.is_over = true;
            arrival.socket.break_off();
        }
        late
    }

    /// Breaks off all of them.
    pub(crate) fn break_off_all(&mut self) {
        self.all.iter_mut().for_each(|(_, arrival)| arrival.socket.break_off());
    }

    /// The shard that the next client who does not care gets.
    pub(super) fn any_shard(&mut self, shards: u16) -> ShardIndex {
        self.next_shard = (self.next_shard + 1) % shards;
        ShardIndex(self.next_shard)
    }
}

impl Shard {
    /// A connection through one of the doors; the caller starts its reader. `None` if there are too many.
    pub(super) fn arrive(&mut self, door: Door, stream: Stream) -> Option<Port> {
        if self.arrivals.all.len() >= HANDSHAKES_MAX || self.phase != ShardPhase::Serving {
            self.counters.connections_refused += 1;
            return None;
        }
        let socket = match door {
            Door::Clients => self.clients.socket_of(stream, self.now.instant),
            Door::Peers => self.peers.socket_of(stream, self.now.instant),
        };
        let until = self.now.instant + HANDSHAKE_LIMIT;
        Some(Port::Arrival(self.arrivals.all.insert(Arrival {
            door,
            socket,
            carry: BytesMut::new(),
            until,
            is_over: false,
        })))
    }

    /// Bytes from somebody who has not introduced himself.
    pub(super) fn receive_first(&mut self, number: u64, fresh: &[u8]) -> Next {
        let Some(arrival) = self.arrivals.all.get_mut(number) else { return Next::End };
        if arrival.is_over {
            return Next::Read; // Told why not; the rest is discarded.
        }
        let door = arrival.door;
        let mut frames = Frames::begin(&mut arrival.carry, &mut self.arena, fresh, door.first_body_bytes_max());
        let verdict = match frames.next() {
            Ok(None) => {
                frames.end(&mut arrival.carry, &mut self.arena);
                return Next::Read;
            }
            Ok(Some(frame)) => self.judge(door, frame),
            Err(error) => Verdict::Refuse(door.refusal(ErrorReply::of_decode(&error))),
        };
        let rest = BytesMut::from(frames.rest());
        frames.end(&mut BytesMut::new(), &mut self.arena);
        match verdict {
            Verdict::Welcome { shard, said } => self.show_in(number, shard, said, rest),
            Verdict::Refuse(words) => self.turn_away(number, &words),
        }
    }

    fn show_in(&mut self, number: u64, shard: ShardIndex, said: Greeting, rest: BytesMut) -> Next {
        let Some(Arrival { socket, .. }) = self.arrivals.all.remove(number) else { return Next::End };
        if shard == self.index {
            return match self.take_in(socket, said, &rest) {
                Some(port) => Next::Become(port),
                None => Next::End,
            };
        }
        match socket.duplicate() {
            Ok(descriptor) => self.send_on(shard, HandedConnection { descriptor, said, rest }),
            Err(error) => {
                self.counters.accept_failures += 1;
                tracing::warn!(%error, "a connection could not be handed over");
            }
        }
        Next::End
    }

    fn send_on(&mut self, shard: ShardIndex, connection: HandedConnection) {
        match self.mesh.hand_over(shard, connection) {
            Ok(()) => self.counters.connections_handed_over += 1,
            // Closed without a word: the core it asked for has no room, and another would cost it a hop for each request.
            Err(_closed) => self.counters.connections_refused += 1,
        }
    }

    /// Takes in a connection that has introduced itself and works on what it said after that. The caller starts its reader.
    pub(crate) fn take_in(&mut self, socket: Rc<Socket>, said: Greeting, rest: &[u8]) -> Option<Port> {
        match said {
            Greeting::Client { request_id } => self.take_in_client(socket, request_id, rest),
            Greeting::Peer { from } => self.take_in_inlet(socket, from, rest),
        }
    }

    fn take_in_client(&mut self, socket: Rc<Socket>, request_id: u32, rest: &[u8]) -> Option<Port> {
        if self.clients.len() >= self.facts.connections_max {
            self.counters.connections_refused += 1;
            let message = format!("shard {} has its {} connections", self.index.0, self.facts.connections_max);
            let error = ErrorReply { code: ErrorCode::TooManyConnections, ends_connection: true, message };
            socket.push(|out| error.encode(request_id, out));
            socket.end_when_sent();
            return None;
        }
        self.counters.connections_opened += 1;
        let hello = self.server_hello();
        if socket.push(|out| hello.encode(request_id, out)) {
            self.list(&socket);
        }
        let number = self.clients.insert(socket);
        if !rest.is_empty() {
            self.receive_client(number, rest);
        }
        Some(Port::Client(number))
    }

    /// A connection from another shard of this node; the caller starts its reader.
    pub(crate) fn take_over(&mut self, HandedConnection { descriptor, said, rest }: HandedConnection) -> Option<Port> {
        let stream = Stream::from_descriptor(descriptor);
        let socket = match &said {
            Greeting::Client { .. } => self.clients.socket_of(stream, self.now.instant),
            Greeting::Peer { .. } => self.peers.socket_of(stream, self.now.instant),
        };
        self.take_in(socket, said, &rest)
    }

    fn turn_away(&mut self, number: u64, words: &[u8]) -> Next {
        self.counters.connections_malformed += 1;
        let until = self.now.instant + crate::limits::ENDING_LIMIT;
        let Some(arrival) = self.arrivals.all.get_mut(number) else { return Next::End };
        (arrival.is_over, arrival.until) = (true, until);
        arrival.socket.push(|out| out.extend_from_slice(words));
        arrival.socket.end_when_sent();
        Next::Read
    }
}
