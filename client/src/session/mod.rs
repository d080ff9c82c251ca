//! The protocol of one connection, without input, output or clock.
//!
//! Think of a cloakroom: each request gets a ticket when it is handed in, answers come back in any order, and the ticket
//! finds whoever waits. A caller who left before the answer came gave the ticket back, so the late answer is recognised.
//!
//! The driver moves bytes: what is appended to `out` goes to the socket, what the socket gives goes to
//! [`Session::receive`]. Time is the driver's too: it decides when to [`Session::give_up`].
//!
//! ```
//! use rondo_client::session::Session;
//! use rondo_protocol::ring::ObjectKey;
//! use rondo_protocol::wire::request::{DataRequest, RequestOptions};
//!
//! let mut out = Vec::new();
//! let mut session: Session<&str> = Session::open(16, None, "example", &mut out);
//! assert!(!out.is_empty(), "the hello is to be sent first");
//!
//! // Until the welcome has come, requests are not taken.
//! let key = ObjectKey::new(b"default", b"greeting").expect("a short key");
//! let get = DataRequest::Get { key, options: RequestOptions::default() };
//! assert!(session.request(&get, "who waits", &mut out).is_err());
//! ```

mod answer;
mod places;
#[cfg(test)]
mod tests;

use bytes::BytesMut;
use rondo_protocol::limits::FRAME_BODY_BYTES_MAX;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::wire::client_message::{encode_ping, encode_topology_request};
use rondo_protocol::wire::request::{DataRequest, RequestOptions};
use rondo_protocol::wire::{
    BatchKind, ClientHello, ClientReply, EncodeError, ErrorReply, Frame, ServerHello, decode_reply, encode_batch,
    encode_data, next_frame,
};

use crate::limits::IN_FLIGHT_MAX;
use crate::routing::Routing;
pub use answer::{Answer, Completed, NotEncoded, SessionError};
use places::{Claim, Expected, Places};

/// One connection's state; `T` is what the driver wants back with each answer (who waits, since when).
#[derive(Debug)]
pub struct Session<T> {
    stage: Stage,
    in_flight_max: usize,
    places: Places<T>,
    buffer: BytesMut,
    late_answers: u64,
}

/// The number of a request on its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct RequestId(pub u32);

/// What the node said when the connection was opened.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// Who it is, and what it accepts.
    pub hello: ServerHello,
    /// The topology that came with it.
    pub routing: Routing,
}

#[derive(Debug)]
enum Stage {
    /// The hello is sent, the welcome has not come.
    Greeting,
    Open(Box<Welcome>),
    Failed,
}

/// The request id of the hello.
const HELLO_ID: u32 = 0;

impl<T> Session<T> {
    /// A session with at most `in_flight_max` unanswered requests (at least 1, and no more than the server allows); says hello
    /// into `out` as `client_name`, asking for `shard` (`None`: any).
    pub fn open(in_flight_max: usize, shard: Option<ShardIndex>, client_name: &str, out: &mut Vec<u8>) -> Session<T> {
        ClientHello::new(client_name, shard).encode(HELLO_ID, out);
        let in_flight_max = in_flight_max.clamp(1, IN_FLIGHT_MAX);
        Session {
            stage: Stage::Greeting,
            in_flight_max,
            places: Places::new(in_flight_max),
            buffer: BytesMut::new(),
            late_answers: 0,
        }
    }

    /// What the server said when the connection was opened; `None` until then. Requests may only be made after it.
    pub fn welcome(&self) -> Option<&Welcome> {
        match &self.stage {
            Stage::Open(welcome) => Some(welcome),
            Stage::Greeting | Stage::Failed => None,
        }
    }

    /// Appends a request on one key to `out`.
    ///
    /// # Errors
    /// See [`NotEncoded`]; `out` is as it was.
    pub fn request(&mut self, request: &DataRequest, tag: T, out: &mut Vec<u8>) -> Result<RequestId, NotEncoded<T>> {
        self.ask(Expected::Data, tag, |id| encode_data(id, request, out))
    }

    /// Appends a batch of requests of one kind to `out`; `options` hold for all of them, whatever theirs are.
    ///
    /// # Errors
    /// See [`NotEncoded`]; `out` is as it was.
    pub fn batch(
        &mut self,
        kind: BatchKind,
        options: &RequestOptions,
        items: &[DataRequest],
        tag: T,
        out: &mut Vec<u8>,
    ) -> Result<RequestId, NotEncoded<T>> {
        let expected = Expected::Batch { items: items.len() };
        self.ask(expected, tag, |id| encode_batch(id, kind, options, items, out))
    }

    /// Appends a ping to `out`.
    ///
    /// # Errors
    /// See [`NotEncoded`]; `out` is as it was.
    pub fn ping(&mut self, tag: T, out: &mut Vec<u8>) -> Result<RequestId, NotEncoded<T>> {
        self.ask(Expected::Pong, tag, |id| {
            encode_ping(id, b"", out);
            Ok(())
        })
    }

    /// Appends a request for the topology to `out`.
    ///
    /// # Errors
    /// See [`NotEncoded`]; `out` is as it was.
    pub fn topology(&mut self, tag: T, out: &mut Vec<u8>) -> Result<RequestId, NotEncoded<T>> {
        self.ask(Expected::Topology, tag, |id| {
            encode_topology_request(id, out);
            Ok(())
        })
    }

    fn ask(
        &mut self,
        expected: Expected,
        tag: T,
        encode: impl FnOnce(u32) -> Result<(), EncodeError>,
    ) -> Result<RequestId, NotEncoded<T>> {
        if !matches!(self.stage, Stage::Open(_)) {
            return Err(NotEncoded::NotOpen(tag));
        }
        let Some(id) = self.places.peek().filter(|_| self.has_room()) else { return Err(NotEncoded::Full(tag)) };
        if let Err(error) = encode(id.0) {
            return Err(NotEncoded::TooLong(tag, error));
        }
        self.places.occupy(id, tag, expected);
        Ok(id)
    }

    /// True if one more request would be taken.
    pub fn has_room(&self) -> bool {
        matches!(self.stage, Stage::Open(_)) && self.places.occupied() < self.in_flight_max
    }

    /// Takes in what the socket gave.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where the socket may put bytes directly; at least `bytes` of them are reserved.
    pub fn receive_buffer(&mut self, bytes: usize) -> &mut BytesMut {
        self.buffer.reserve(bytes);
        &mut self.buffer
    }

    /// The next completed request, until `Ok(None)`: then feed more bytes.
    ///
    /// # Errors
    /// The connection makes no sense any more: close it. What was in flight is in [`Session::close`].
    pub fn next_completed(&mut self) -> Result<Option<Completed<T>>, SessionError> {
        let completed = self.advance();
        if completed.is_err() {
            self.stage = Stage::Failed;
        }
        completed
    }

    fn advance(&mut self) -> Result<Option<Completed<T>>, SessionError> {
        while let Some(Frame { header, body }) = next_frame(&mut self.buffer, FRAME_BODY_BYTES_MAX)? {
            let id = header.request_id;
            match decode_reply(header, body)? {
                ClientReply::Hello(hello) => self.take_welcome(*hello, id)?,
                ClientReply::Error(error) if error.ends_connection || id == HELLO_ID => {
                    return Err(SessionError::Rejected { code: error.code, reason: error.message });
                }
                reply => {
                    let completed = self.match_reply(RequestId(id), reply)?;
                    if completed.is_some() {
                        return Ok(completed);
                    }
                }
            }
        }
        Ok(None)
    }

    fn take_welcome(&mut self, mut hello: ServerHello, id: u32) -> Result<(), SessionError> {
        if !matches!(self.stage, Stage::Greeting) || id != HELLO_ID {
            return Err(SessionError::Handshake);
        }
        // The topology is kept once, as routing.
        let topology = hello.topology.clone();
        hello.topology.owners = Vec::new();
        let routing = Routing::new(hello.cluster_id, topology)?;
        self.in_flight_max = self.in_flight_max.min(hello.limits.in_flight_max.max(1) as usize);
        self.stage = Stage::Open(Box::new(Welcome { hello, routing }));
        Ok(())
    }

    /// The requester of a reply, or `None` if there is none any more.
    fn match_reply(&mut self, id: RequestId, reply: ClientReply) -> Result<Option<Completed<T>>, SessionError> {
        let Stage::Open(welcome) = &self.stage else { return Err(SessionError::Handshake) };
        let (tag, expected) = match self.places.claim(id) {
            Claim::Waiting { tag, expected } => (tag, expected),
            Claim::Late => {
                self.late_answers += 1;
                return Ok(None);
            }
            Claim::Unasked => return Err(SessionError::Unasked { id: id.0 }),
        };
        let answer = match (expected, reply) {
            (Expected::Data, ClientReply::Data(answer)) => Answer::Data(answer::outcome_of(answer)),
            (Expected::Batch { items }, ClientReply::Batch(answers)) if answers.len() == items => {
                Answer::Batch(answers.into_iter().map(answer::outcome_of).collect())
            }
            // A batch that is refused as a whole: each of its items is.
            (Expected::Batch { items }, ClientReply::Data(answer)) => {
                Answer::Batch(vec![answer::outcome_of(answer); items])
            }
            (Expected::Pong, ClientReply::Pong { .. }) => Answer::Pong,
            (Expected::Topology, ClientReply::Topology(topology)) => {
                Answer::Topology(Box::new(Routing::new(welcome.hello.cluster_id, *topology)?))
            }
            (_, ClientReply::Error(error)) => Answer::NotUnderstood(error),
            _ => return Err(SessionError::OtherKind { id: id.0 }),
        };
        Ok(Some(Completed { id, tag, answer }))
    }

    /// The driver waits no longer for `id`: its tag comes back (`None` if it was answered or given up already). Its place
    /// stays taken until the late answer comes, for the server is still busy with it.
    pub fn give_up(&mut self, id: RequestId) -> Option<T> {
        self.places.give_up(id)
    }

    /// Unanswered requests, given up ones counted.
    pub fn in_flight(&self) -> usize {
        self.places.occupied()
    }

    /// Answers that came after their requester had given up.
    pub fn late_answers(&self) -> u64 {
        self.late_answers
    }

    /// The connection is gone: the tags of all requests that will never be answered. The session takes no further requests.
    pub fn close(&mut self) -> Vec<T> {
        self.stage = Stage::Failed;
        self.places.drain()
    }
}

impl Answer {
    /// Words for an answer that does not fit what was asked.
    pub(crate) fn not_understood(error: &ErrorReply) -> String {
        format!("{:?}: {}", error.code, error.message)
    }
}
