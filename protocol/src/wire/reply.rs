//! What a client is answered.

use crate::node::NodeId;
use crate::object::EncodedObject;
use core::time::Duration;

/// How an answer came about: small, in every reply of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The topology it was decided in.
    pub epoch: u64,
    /// The node that coordinated.
    pub coordinator: NodeId,
    /// N of this request.
    pub replicas: u8,
    /// R or W, as a number.
    pub required: u8,
    /// Replicas that had answered (or acknowledged durably) when the reply left.
    pub answered: u8,
    /// True if only primaries counted.
    pub strict: bool,
}

/// The answer to a request for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataReply {
    /// A get found live versions: all values of `object` that are not tombstones. The context is encoded from
    /// `object` and `token_low` (the low 32 bits of the key's token).
    Found {
        /// How it came about.
        receipt: Receipt,
        /// The low 32 bits of the key's token.
        token_low: u32,
        /// What is held.
        object: EncodedObject,
    },
    /// A get found nothing alive; `object` (if any) is tombstones only and still gives a context.
    NotFound {
        /// How it came about.
        receipt: Receipt,
        /// The low 32 bits of the key's token.
        token_low: u32,
        /// What is held.
        object: Option<EncodedObject>,
    },
    /// A put or delete is durable on `receipt.answered` replicas; `object` is what the coordinating replica holds now,
    /// from which the new context is made.
    Stored {
        /// How it came about.
        receipt: Receipt,
        /// The low 32 bits of the key's token.
        token_low: u32,
        /// What is held.
        object: EncodedObject,
    },
    /// Nothing happened, and why.
    Refused {
        /// Why.
        refusal: Refusal,
        /// When trying again may help.
        retry_after: Option<Duration>,
    },
    /// It may or may not have happened: fewer than `receipt.required` acknowledgements came in time.
    Unknown {
        /// How it came about.
        receipt: Receipt,
    },
}

/// Why nothing happened. The numbers are the wire's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u16)]
pub enum Refusal {
    /// Fewer live replicas than the request requires. Trying later helps.
    NotEnoughReplicas = 1,
    /// A queue is full. Trying later helps; the reply says when.
    Busy = 2,
    /// The deadline passed before any work was done. Trying again helps.
    DeadlinePassed = 3,
    /// No keyspace of that name.
    UnknownKeyspace = 4,
    /// Key empty or longer than [`crate::limits::KEY_BYTES_MAX`].
    BadKey = 5,
    /// Value longer than [`crate::limits::VALUE_BYTES_MAX`].
    ValueTooLarge = 6,
    /// The context is garbage, or of another key.
    BadContext = 7,
    /// The context names a time further ahead than [`crate::limits::CLOCK_DRIFT_MAX`].
    ContextFromFuture = 8,
    /// N, R or W is 0 or does not fit the cluster.
    BadQuorum = 9,
    /// The key has [`crate::limits::SIBLINGS_MAX`] siblings (or the object its largest size): merge them with a context.
    TooManySiblings = 10,
    /// This node's clock is too far from its peers'. Another node may do it.
    ClockSkew = 11,
    /// The disk fails or does not answer: the log takes no writes for now. Another node may do it.
    DiskFailed = 12,
    /// The stored bytes could not be read. Another node may do it.
    Unreadable = 13,
    /// The node is stopping. Another node may do it.
    Stopping = 14,
    /// The batch, option or opcode is not valid.
    BadRequest = 15,
    /// The replies before this one filled the frame of a batch (or one key's siblings are more than a frame holds).
    /// Nothing was changed; ask for this key again, in a smaller batch.
    ReplyFull = 16,
    /// The disk is full: only deletes are taken. Another node may do it.
    DiskFull = 17,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Refusal; 17] = [
        Refusal::NotEnoughReplicas,
        Refusal::Busy,
        Refusal::DeadlinePassed,
        Refusal::UnknownKeyspace,
        Refusal::BadKey,
        Refusal::ValueTooLarge,
        Refusal::BadContext,
        Refusal::ContextFromFuture,
        Refusal::BadQuorum,
        Refusal::TooManySiblings,
        Refusal::ClockSkew,
        Refusal::DiskFailed,
        Refusal::Unreadable,
        Refusal::Stopping,
        Refusal::BadRequest,
        Refusal::ReplyFull,
        Refusal::DiskFull,
    ];

    /// Its number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The refusal of that number.
    pub fn from_number(number: u16) -> Option<Refusal> {
        Refusal::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// True if the same request may be done later or by another node; false if the request itself must change.
    pub fn is_retryable(self) -> bool {
        match self {
            Refusal::NotEnoughReplicas
            | Refusal::Busy
            | Refusal::DeadlinePassed
            | Refusal::ClockSkew
            | Refusal::DiskFailed
            | Refusal::DiskFull
            | Refusal::Unreadable
            | Refusal::Stopping
            | Refusal::ReplyFull => true,
            Refusal::UnknownKeyspace
            | Refusal::BadKey
            | Refusal::ValueTooLarge
            | Refusal::BadContext
            | Refusal::ContextFromFuture
            | Refusal::BadQuorum
            | Refusal::TooManySiblings
            | Refusal::BadRequest => false,
        }
    }
}
