//! A client's connection: frames in, requests on their way, replies out.
//!
//! ```text
//! serving ──malformed frame──► ending (error sent, the rest discarded) ──► gone
//!    └────client says no more────► finishing (answers what is in flight) ──► gone
//! ```

use std::rc::Rc;

use bytes::BytesMut;
use rondo_protocol::limits::{CONNECTION_IN_FLIGHT_MAX, FRAME_BODY_BYTES_MAX};
use rondo_protocol::now::Instant;
use rondo_protocol::wire::error_reply::{ErrorCode, ErrorReply};
use rondo_protocol::wire::reply::DataReply;
use rondo_protocol::wire::request::DataRequest;
use rondo_protocol::wire::{
    BatchRequest, ClientMessage, Decoded, Frame, decode_client, encode_batch_reply, encode_data_reply, encode_pong,
};

use super::Socket;
use super::calls::{BatchAssembly, Call, Destination};
use super::frames::Frames;
use super::reader::Next;
use super::socket::Traffic;
use crate::limits::{ENDING_LIMIT, REPLY_BYTES_UNSENT_MAX, SLOW_READER_AFTER};
use crate::mesh::MeshRequest;
use crate::metrics::RequestKind;
use crate::numbered::Numbered;
use crate::runtime::Stream;
use crate::shard::Shard;

/// Requests that are not answered yet.
pub(crate) type Calls = Numbered<Call>;

/// The connections of one shard.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) traffic: Rc<Traffic>,
    all: Numbered<Client>,
    ended: Vec<u64>,
}

#[derive(Debug)]
struct Client {
    socket: Rc<Socket>,
    carry: BytesMut,
    in_flight: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Serving,
    Finishing,
    Ending { until: Instant },
}

impl Clients {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Takes in a connection that has said HELLO.
    pub(crate) fn insert(&mut self, socket: Rc<Socket>) -> u64 {
        self.all.insert(Client { socket, carry: BytesMut::new(), in_flight: 0, stage: Stage::Serving })
    }

    /// A socket around a stream, counted as clients' traffic.
    pub(crate) fn socket_of(&self, stream: Stream, now: Instant) -> Rc<Socket> {
        Socket::new(stream, &self.traffic, now)
    }

    pub(super) fn socket(&mut self, number: u64) -> Option<Rc<Socket>> {
        self.all.get_mut(number).map(|client| Rc::clone(&client.socket))
    }

    /// Forgets a connection; what its writer still holds is sent.
    pub(super) fn forget(&mut self, number: u64) {
        self.all.remove(number);
    }

    /// Forgets those whose last answer has left.
    pub(crate) fn forget_ended(&mut self) {
        while let Some(number) = self.ended.pop() {
            self.all.remove(number);
        }
    }

    /// Breaks off those that take nothing of what is sent or do not go when told; returns how many were too slow.
    pub(crate) fn sweep(&mut self, now: Instant) -> u64 {
        let mut slow = 0;
        for (_, client) in self.all.iter_mut() {
            if client.socket.is_stuck(now, SLOW_READER_AFTER) {
                slow += 1;
                client.socket.break_off();
            } else if matches!(client.stage, Stage::Ending { until } if until <= now) {
                client.socket.break_off();
            }
        }
        slow
    }

    /// Breaks off all of them.
    pub(crate) fn break_off_all(&mut self) {
        self.all.iter_mut().for_each(|(_, client)| client.socket.break_off());
    }
}

impl Shard {
    /// Bytes from a client.
    pub(super) fn receive_client(&mut self, number: u64, fresh: &[u8]) -> Next {
        let Some(client) = self.clients.all.get_mut(number) else { return Next::End };
        if client.stage != Stage::Serving {
            return Next::Read; // Discarded: reading them lets the other side see our last words.
        }
        let mut frames = Frames::begin(&mut client.carry, &mut self.arena, fresh, FRAME_BODY_BYTES_MAX);
        let taken = self.take_frames(number, &mut frames);
        let mut carry = BytesMut::new();
        frames.end(&mut carry, &mut self.arena);
        if let Err(error) = taken {
            self.end_client(number, &error);
            return Next::Read;
        }
        let Some(client) = self.clients.all.get_mut(number) else { return Next::End };
        client.carry = carry;
        if client.in_flight >= CONNECTION_IN_FLIGHT_MAX || client.socket.unsent() > REPLY_BYTES_UNSENT_MAX {
            return Next::Pause(Rc::clone(&client.socket));
        }
        Next::Read
    }

    fn take_frames(&mut self, number: u64, frames: &mut Frames) -> Result<(), ErrorReply> {
        while let Some(frame) = frames.next().map_err(|error| ErrorReply::of_decode(&error))? {
            self.take_frame(number, frame)?;
        }
        Ok(())
    }

    fn take_frame(&mut self, number: u64, Frame { header, body }: Frame) -> Result<(), ErrorReply> {
        let request_id = header.request_id;
        match decode_client(header, body) {
            Ok(Decoded::Message(ClientMessage::Data(request))) => self.take_request(number, request_id, request),
            Ok(Decoded::Message(ClientMessage::Batch(batch))) => self.take_batch_request(number, request_id, batch),
            Ok(Decoded::Message(ClientMessage::Ping { echo })) => {
                self.say(number, |out| encode_pong(request_id, &echo, out));
            }
            Ok(Decoded::Message(ClientMessage::Topology)) => {
                let topology = self.topology_reply();
                self.say(number, |out| topology.encode(request_id, out));
            }
            Ok(Decoded::Message(ClientMessage::Hello(_))) => {
                let message = "HELLO may only be said once".to_owned();
                return Err(ErrorReply { code: ErrorCode::HelloExpected, ends_connection: true, message });
            }
            Ok(Decoded::Refused(refusal)) => {
                let reply = DataReply::Refused { refusal, retry_after: None };
                self.say(number, |out| encode_data_reply(request_id, &reply, out));
            }
            Err(error) if error.ends_connection() => return Err(ErrorReply::of_decode(&error)),
            Err(error) => self.say(number, |out| ErrorReply::of_decode(&error).encode(request_id, out)),
        }
        Ok(())
    }

    fn take_request(&mut self, connection: u64, request_id: u32, request: DataRequest) {
        let kind = match &request {
            DataRequest::Get { .. } => RequestKind::Get,
            DataRequest::Put { .. } => RequestKind::Put,
            DataRequest::Delete { .. } => RequestKind::Delete,
        };
        let arrived = self.now.instant;
        let call = self.calls.insert(Call { connection, request_id, arrived, kind, batch: None });
        self.count_in_flight(connection, 1);
        self.route(Destination { home: self.index, call, item: 0 }, arrived, request);
    }

    fn take_batch_request(&mut self, connection: u64, request_id: u32, batch: BatchRequest) {
        let items = batch.items;
        let arrived = self.now.instant;
        let assembly = Some(BatchAssembly::new(items.len()));
        let kind = RequestKind::Batch;
        self.count_in_flight(connection, items.len());
        let call = self.calls.insert(Call { connection, request_id, arrived, kind, batch: assembly });
        for (item, request) in (0..).zip(items) {
            let destination = Destination { home: self.index, call, item };
            match request {
                Ok(request) => self.route(destination, arrived, request),
                Err(refusal) => self.settle(destination, DataReply::Refused { refusal, retry_after: None }),
            }
        }
    }

    /// Gives a request to the core that owns its key.
    fn route(&mut self, from: Destination, arrived: Instant, request: DataRequest) {
        let (owner, origin) = (self.owner_of(request.key()), from.to_origin());
        if owner == self.index {
            self.admit(origin, arrived, request);
        } else {
            self.counters.mesh_forwards += 1;
            self.mesh.forward(owner, MeshRequest { origin, arrived, request });
        }
    }

    /// An answer for a call of this shard; a late one, for a call that is gone, is dropped.
    pub(crate) fn settle(&mut self, to: Destination, reply: DataReply) {
        let Some(call) = self.calls.get_mut(to.call) else { return };
        let Some(batch) = &mut call.batch else {
            return self.answer(to.call, 1, |request_id, out| encode_data_reply(request_id, &reply, out));
        };
        if batch.record(usize::from(to.item), reply) {
            let batch = core::mem::take(batch);
            self.answer(to.call, batch.len(), |request_id, out| encode_batch_reply(request_id, batch.replies(), out));
        }
    }

    /// The last word on a call of `requests` requests.
    fn answer(&mut self, call: u64, requests: usize, encode: impl FnOnce(u32, &mut Vec<u8>)) {
        let Some(Call { connection, request_id, arrived, kind, .. }) = self.calls.remove(call) else { return };
        self.count_latency(kind, arrived);
        self.say(connection, |out| encode(request_id, out));
        self.count_answered(connection, requests);
    }

    /// Appends to what a connection is sent at the end of the turn.
    fn say(&mut self, connection: u64, append: impl FnOnce(&mut Vec<u8>)) {
        let Some(client) = self.clients.all.get_mut(connection) else { return };
        if client.socket.push(append) {
            let socket = Rc::clone(&client.socket);
            self.list(&socket);
        }
    }

    fn count_in_flight(&mut self, connection: u64, requests: usize) {
        if let Some(client) = self.clients.all.get_mut(connection) {
            client.in_flight += requests;
        }
    }

    fn count_answered(&mut self, connection: u64, requests: usize) {
        let Some(client) = self.clients.all.get_mut(connection) else { return };
        let before = client.in_flight;
        client.in_flight -= requests;
        if before >= CONNECTION_IN_FLIGHT_MAX && client.in_flight < CONNECTION_IN_FLIGHT_MAX {
            client.socket.resume.ring();
        }
        if client.stage == Stage::Finishing && client.in_flight == 0 {
            self.clients.ended.push(connection);
        }
    }

    pub(super) fn client_says_no_more(&mut self, number: u64) -> Next {
        let Some(client) = self.clients.all.get_mut(number) else { return Next::End };
        if client.in_flight == 0 {
            self.clients.forget(number);
        } else {
            client.stage = Stage::Finishing;
        }
        Next::End
    }

    /// Says what was wrong, as the last thing, and waits a little for the other side to take it.
    fn end_client(&mut self, number: u64, error: &ErrorReply) {
        self.counters.connections_malformed += 1;
        let until = self.now.instant + ENDING_LIMIT;
        let Some(client) = self.clients.all.get_mut(number) else { return };
        client.stage = Stage::Ending { until };
        client.socket.push(|out| error.encode(0, out));
        client.socket.end_when_sent();
    }
}
