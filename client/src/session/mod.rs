//! The protocol of one connection, without input, output or clock.
//!
//! Think of a cloakroom: each request gets a ticket when it is handed in, answers come back in any order, and the ticket
//! finds whoever waits. A caller who left before the answer came gave the ticket back, so the late answer is recognised.

use bytes::Bytes;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::wire::decode_error::DecodeError;
use rondo_protocol::wire::request::RequestOptions;

use crate::error::Error;
use crate::outcome::{Get, Written};
use crate::routing::Routing;

/// One connection's state; `T` is what the driver wants back with each answer (who waits, since when).
#[derive(Debug)]
pub struct Session<T> {
    _in_flight: Vec<T>,
}

/// The number of a request on its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct RequestId(pub u32);

/// As many requests are unanswered as the connection may have; nothing was encoded, and the tag comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionFull<T>(pub T);

/// One completed request.
#[derive(Debug)]
pub struct Completed<T> {
    /// The request.
    pub id: RequestId,
    /// What the driver gave with it.
    pub tag: T,
    /// What came.
    pub answer: Answer,
}

/// An answer by kind.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a get: found or not.
    Get(Get),
    /// To a put or delete.
    Written(Written),
    /// To a request on a key: refused or unknown.
    Failed(Error),
    /// To a batch: one for each item, in order.
    Batch(Vec<Answer>),
    /// To a ping.
    Pong,
    /// To a topology request.
    Topology(Routing),
}

/// The connection makes no sense any more: close it. All requests in flight are lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Bytes that are no message.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The server said why it ends the connection.
    #[error("the server ended the connection: {reason}")]
    Rejected {
        /// Its words.
        reason: String,
    },
    /// An answer to a request that was never sent.
    #[error("an answer to request {id}, which was never asked")]
    Unasked {
        /// The request it names.
        id: u32,
    },
}

impl<T> Session<T> {
    /// A session with at most `in_flight_max` unanswered requests; says hello into `out`, asking for `shard` (`None`: any).
    pub fn open(in_flight_max: usize, shard: Option<ShardIndex>, out: &mut Vec<u8>) -> Session<T> {
        todo!("{in_flight_max}{shard:?}{out:?}")
    }

    /// The topology that came with the welcome; `None` until the handshake is done. Requests may only be made after it.
    pub fn routing(&self) -> Option<&Routing> {
        todo!()
    }

    /// Appends a get to `out`.
    pub fn get(
        &mut self,
        key: &ObjectKey,
        options: &RequestOptions,
        tag: T,
        out: &mut Vec<u8>,
    ) -> Result<RequestId, SessionFull<T>> {
        let _ = (key, options, out);
        Err(SessionFull(tag))
    }

    /// Appends a put to `out`.
    pub fn put(
        &mut self,
        key: &ObjectKey,
        options: &RequestOptions,
        context: &[u8],
        value: &[u8],
        tag: T,
        out: &mut Vec<u8>,
    ) -> Result<RequestId, SessionFull<T>> {
        let _ = (key, options, context, value, out);
        Err(SessionFull(tag))
    }

    /// Appends a delete to `out`.
    pub fn delete(
        &mut self,
        key: &ObjectKey,
        options: &RequestOptions,
        context: &[u8],
        tag: T,
        out: &mut Vec<u8>,
    ) -> Result<RequestId, SessionFull<T>> {
        let _ = (key, options, context, out);
        Err(SessionFull(tag))
    }

    /// Takes in what the socket gave.
    pub fn receive(&mut self, bytes: &[u8]) {
        let _ = Bytes::copy_from_slice(bytes);
    }

    /// The next completed request, until `Ok(None)`: then feed more bytes.
    pub fn next_completed(&mut self) -> Result<Option<Completed<T>>, SessionError> {
        Ok(None)
    }

    /// The driver waits no longer for `id`: its tag comes back (`None` if it was answered or given up already). Its place
    /// stays taken until the late answer comes.
    pub fn give_up(&mut self, id: RequestId) -> Option<T> {
        let _ = id;
        None
    }

    /// Unanswered requests, given up ones counted.
    pub fn in_flight(&self) -> usize {
        0
    }

    /// The connection is gone: the tags of all requests that will never be answered.
    pub fn close(self) -> Vec<T> {
        Vec::new()
    }
}
