//! Answers as a driver gets them.

use bytes::Bytes;
use rondo_protocol::ring::RingError;
use rondo_protocol::wire::{DataAnswer, DecodeError, EncodeError, ErrorCode, ErrorReply};

use super::RequestId;
use crate::error::Error;
use crate::outcome::{Context, Get, Outcome, Written};
use crate::routing::Routing;

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
    /// To a request on a key: refused and unknown are errors here.
    Data(Result<Outcome, Error>),
    /// To a batch: one for each item, in order.
    Batch(Vec<Result<Outcome, Error>>),
    /// To a ping.
    Pong,
    /// To a topology request.
    Topology(Box<Routing>),
    /// The server did not understand this request; the connection goes on.
    NotUnderstood(ErrorReply),
}

/// The request was not encoded, nothing was appended, and the tag comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum NotEncoded<T> {
    /// As many requests are unanswered as the connection may have. Try again when one is answered.
    Full(T),
    /// The handshake is not done, or the connection has failed.
    NotOpen(T),
    /// Longer than a frame may be. It never fits.
    TooLong(T, EncodeError),
}

/// The connection makes no sense any more: close it. All requests in flight are lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Bytes that are no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The topology makes no ring.
    #[error("the topology makes no ring: {0}")]
    Ring(#[from] RingError),
    /// The server said why it ends the connection.
    #[error("the server ended the connection: {reason}")]
    Rejected {
        /// What kind of trouble.
        code: ErrorCode,
        /// Its words.
        reason: String,
    },
    /// An answer to a request that was never sent.
    #[error("an answer to request {id}, which was never asked")]
    Unasked {
        /// The request it names.
        id: u32,
    },
    /// An answer of another kind than its request.
    #[error("the answer to request {id} is of another kind than the request")]
    OtherKind {
        /// The request.
        id: u32,
    },
    /// The first reply is no welcome, or a second one came.
    #[error("the handshake is not what it should be")]
    Handshake,
}

/// The outcome of one request on a key.
pub(super) fn outcome_of(answer: DataAnswer) -> Result<Outcome, Error> {
    let context = |bytes: Bytes| Context::from_bytes(bytes);
    match answer {
        DataAnswer::Found { receipt, context: seen, values } => {
            Ok(Outcome::Get(Get { values, context: context(seen), receipt }))
        }
        DataAnswer::NotFound { receipt, context: seen } => {
            Ok(Outcome::Get(Get { values: Vec::new(), context: context(seen), receipt }))
        }
        DataAnswer::Stored { receipt, context: seen, versions } => {
            Ok(Outcome::Written(Written { context: context(seen), receipt, versions }))
        }
        DataAnswer::Refused { refusal, retry_after } => Err(Error::Refused { refusal, retry_after }),
        DataAnswer::Unknown { receipt } => Err(Error::Unknown { receipt }),
    }
}
