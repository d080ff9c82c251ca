//! What cores of different nodes say to each other.

use core::time::Duration;

use crate::object::EncodedObject;
use crate::ring::ObjectKey;
use crate::ticket::Ticket;
use crate::wire::reply::{DataReply, Refusal};
use crate::wire::request::DataRequest;

/// One message on a peer link. Every frame also carries the sender's epoch and wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// Merge this object into yours and say when the result is durable.
    Replicate {
        /// The request of the sender (in an answer: of the receiver).
        ticket: Ticket,
        /// The key.
        key: ObjectKey,
        /// The object.
        object: EncodedObject,
    },
    /// The answer: durable, or refused and nothing changed.
    Replicated {
        /// The request of the sender (in an answer: of the receiver).
        ticket: Ticket,
        /// What came of it.
        outcome: Result<(), Refusal>,
    },
    /// What do you hold of this key? `digest_only` asks for the digest instead of the bytes.
    Fetch {
        /// The request of the sender (in an answer: of the receiver).
        ticket: Ticket,
        /// The key.
        key: ObjectKey,
        /// Whether the digest is enough.
        digest_only: bool,
    },
    /// The answer. What it speaks of is durable.
    Fetched {
        /// The request of the sender (in an answer: of the receiver).
        ticket: Ticket,
        /// What there is.
        answer: FetchAnswer,
    },
    /// Coordinate this write for me: I hold no replica of the key. `timeout` is what is left of the client's.
    Forward {
        /// The request of the sender (in an answer: of the receiver).
        ticket: Ticket,
        /// The request.
        request: DataRequest,
        /// What is left of its time.
        timeout: Duration,
    },
    /// The answer.
    Forwarded {
        /// The request of the sender (in an answer: of the receiver).
        ticket: Ticket,
        /// The answer to it.
        reply: DataReply,
    },
    /// Your last message was of an older epoch; mine is this one.
    EpochTooOld {
        /// The newer epoch.
        epoch: u64,
    },
}

/// What a replica holds of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchAnswer {
    /// Nothing.
    Nothing,
    /// [`EncodedObject::digest`] of it.
    Digest(u64),
    /// All of it.
    Object(EncodedObject),
    /// It cannot say; the reason.
    Refused(Refusal),
}

/// A message in its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEnvelope {
    /// The sender's topology.
    pub epoch: u64,
    /// The sender's wall clock in Unix milliseconds.
    pub clock_millis: u64,
    /// What it says.
    pub message: PeerMessage,
}
