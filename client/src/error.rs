//! What can go wrong, and the two things that a caller wants to know of it: did anything change, does trying again help.

use core::time::Duration;
use std::sync::Arc;

use rondo_protocol::wire::reply::{Receipt, Refusal};

/// Why an operation has no result.
///
/// [`Error::changed`] says whether a write may have happened all the same; [`Error::is_retryable`] whether the same call
/// may do better a moment later.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The cluster said no before it did anything.
    #[error("refused: {}", explain(*refusal))]
    Refused {
        /// The reason.
        refusal: Refusal,
        /// When to return, if the server said.
        retry_after: Option<Duration>,
    },
    /// A write reached some replica, but fewer acknowledged in time than were required. It may still appear.
    #[error("unknown: {} of {} required replicas acknowledged in time; the write may still appear", receipt.answered, receipt.required)]
    Unknown {
        /// Who had answered.
        receipt: Receipt,
    },
    /// The request was sent and no answer came in time: a get changed nothing, a write may have happened.
    #[error("no answer from {address} within {waited:?}")]
    NoAnswer {
        /// Who was asked.
        address: Arc<str>,
        /// How long.
        waited: Duration,
    },
    /// The connection ended after the request was sent: a get changed nothing, a write may have happened.
    #[error("the connection to {address} was lost before the answer came: {reason}")]
    ConnectionLost {
        /// Who was asked.
        address: Arc<str>,
        /// What the socket said.
        reason: Arc<str>,
    },
    /// No known node could be reached, so nothing was sent.
    #[error("no node could be reached within the timeout; last tried {address}: {reason}")]
    Unreachable {
        /// The last address that was tried.
        address: Arc<str>,
        /// What it said.
        reason: Arc<str>,
    },
    /// The timeout passed before the request could be sent; nothing happened.
    #[error("the timeout passed while the request waited for its turn; nothing was sent")]
    NotSent,
    /// The server speaks something else, or not sense. Nothing more is sent on that connection.
    #[error("{address} does not speak the protocol as it should: {reason}")]
    Protocol {
        /// Who.
        address: Arc<str>,
        /// What was wrong with the bytes.
        reason: Arc<str>,
    },
    /// The server ended the connection with a reason of its own.
    #[error("{address} ended the connection: {reason}")]
    Rejected {
        /// Who.
        address: Arc<str>,
        /// Its words.
        reason: Arc<str>,
    },
    /// The call itself cannot be right; nothing was sent.
    #[error("{0}")]
    BadInput(BadInput),
}

/// What is wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInput {
    /// Keys have 1 to [`rondo_protocol::limits::KEY_BYTES_MAX`] bytes.
    #[error("a key has 1 to 4096 bytes, this one has {bytes}")]
    Key {
        /// How many it has.
        bytes: usize,
    },
    /// Values have at most [`rondo_protocol::limits::VALUE_BYTES_MAX`] bytes.
    #[error("a value has at most 1048576 bytes, this one has {bytes}")]
    Value {
        /// How many it has.
        bytes: usize,
    },
    /// Keyspace names have 1 to [`rondo_protocol::limits::KEYSPACE_NAME_BYTES_MAX`] bytes.
    #[error("a keyspace name has 1 to 64 bytes, this one has {bytes}")]
    Keyspace {
        /// How many it has.
        bytes: usize,
    },
    /// Contexts have at most [`rondo_protocol::limits::CONTEXT_BYTES_MAX`] bytes.
    #[error("a context has at most 16448 bytes, this one has {bytes}")]
    Context {
        /// How many it has.
        bytes: usize,
    },
    /// Timeouts are at most [`rondo_protocol::limits::REQUEST_TIMEOUT_MAX`] and not zero.
    #[error("a timeout is more than zero and at most 60 s, this one is {timeout:?}")]
    Timeout {
        /// What it is.
        timeout: Duration,
    },
    /// An address is `HOST:PORT`.
    #[error("{address:?} is no address of the form HOST:PORT: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What the resolver said.
        reason: String,
    },
    /// A client needs at least one address to begin with.
    #[error("no address was given")]
    NoAddress,
}

/// Whether a write may have happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// Certainly not.
    Nothing,
    /// It may have happened, or may still happen.
    Perhaps,
}

impl Error {
    /// Whether a write that ended in this error may have happened all the same. For a get the answer does not matter.
    pub fn changed(&self) -> Changed {
        match self {
            Error::Refused { .. } | Error::Unreachable { .. } | Error::NotSent | Error::BadInput(_) => Changed::Nothing,
            Error::Unknown { .. }
            | Error::NoAnswer { .. }
            | Error::ConnectionLost { .. }
            | Error::Protocol { .. }
            | Error::Rejected { .. } => Changed::Perhaps,
        }
    }

    /// Whether the same call may do better a moment later. It says nothing about safety: a write whose error has
    /// [`Changed::Perhaps`] may then happen twice, which in a last-write-wins keyspace is a later write of the same
    /// value, and in a siblings keyspace may be a second sibling.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Refused { refusal, .. } => refusal.is_retryable(),
            Error::Unknown { .. }
            | Error::NoAnswer { .. }
            | Error::ConnectionLost { .. }
            | Error::Unreachable { .. }
            | Error::NotSent => true,
            Error::Protocol { .. } | Error::Rejected { .. } | Error::BadInput(_) => false,
        }
    }

    /// One word for tables and logs, the same for all errors of a kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Refused { refusal, .. } => refusal_name(*refusal),
            Error::Unknown { .. } => "unknown",
            Error::NoAnswer { .. } => "no_answer",
            Error::ConnectionLost { .. } => "connection_lost",
            Error::Unreachable { .. } => "unreachable",
            Error::NotSent => "not_sent",
            Error::Protocol { .. } => "protocol",
            Error::Rejected { .. } => "rejected",
            Error::BadInput(_) => "bad_input",
        }
    }
}

/// One word for a refusal, as tables, logs and JSON show it.
pub fn refusal_name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotEnoughReplicas => "not_enough_replicas",
        Refusal::Busy => "busy",
        Refusal::DeadlinePassed => "deadline_passed",
        Refusal::UnknownKeyspace => "unknown_keyspace",
        Refusal::BadKey => "bad_key",
        Refusal::ValueTooLarge => "value_too_large",
        Refusal::BadContext => "bad_context",
        Refusal::ContextFromFuture => "context_from_future",
        Refusal::BadQuorum => "bad_quorum",
        Refusal::TooManySiblings => "too_many_siblings",
        Refusal::ClockSkew => "clock_skew",
        Refusal::DiskFailed => "disk_failed",
        Refusal::DiskFull => "disk_full",
        Refusal::Unreadable => "unreadable",
        Refusal::Stopping => "stopping",
        Refusal::BadRequest => "bad_request",
        Refusal::ReplyFull => "reply_full",
    }
}

fn explain(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotEnoughReplicas => {
            "fewer replicas are reachable than the request requires; try later, or require fewer"
        }
        Refusal::Busy => "the node is busy; try later",
        Refusal::DeadlinePassed => "the timeout passed before any work was done; try again, with more time",
        Refusal::UnknownKeyspace => "there is no keyspace of that name",
        Refusal::BadKey => "a key has 1 to 4096 bytes",
        Refusal::ValueTooLarge => "a value has at most 1048576 bytes",
        Refusal::BadContext => "the context is not one that a get or put of this key gave",
        Refusal::ContextFromFuture => "the context names a time that has not come yet; compare the clocks of the nodes",
        Refusal::BadQuorum => "N, R or W is 0 or larger than the cluster allows",
        Refusal::TooManySiblings => {
            "the key has too many siblings; get it, merge them, and put with the context of the get"
        }
        Refusal::ClockSkew => "the node's clock is too far from its peers'; another node may do it",
        Refusal::DiskFailed => "the node's disk fails or does not answer; another node may do it",
        Refusal::DiskFull => "the node's disk is full: it takes only deletes; another node may do it",
        Refusal::Unreadable => "the node could not read the stored bytes; another node may do it",
        Refusal::Stopping => "the node is stopping; another node may do it",
        Refusal::BadRequest => "the request is not valid",
        Refusal::ReplyFull => "the reply has no room for this key; ask again for it in a smaller batch",
    }
}
