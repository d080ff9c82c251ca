//! What nodes answer, as bytes and back.
//!
//! A node encodes straight from the stored object into the connection's buffer: the values and the context are
//! appended once and nothing is built in between. A client gets slices of the body.
//!
//! A frame has a largest size, and the answers to a batch of gets may exceed it. An answer that does not fit turns into
//! a refusal of its item (`ReplyFull`), and room for such a refusal is kept for every item still to come.

mod decode;
mod encode;

pub use decode::decode_reply;
pub(super) use decode::{read_receipt, read_refusal_fields};
pub(super) use encode::{append_receipt, append_refusal_fields};
pub use encode::{encode_batch_reply, encode_data_reply, encode_pong};

use bytes::Bytes;
use core::time::Duration;

use super::reply::{Receipt, Refusal};
use super::{ErrorReply, ServerHello, TopologyReply};
use crate::limits;

/// Bytes of a receipt.
pub(super) const RECEIPT_BYTES: usize = 16;
/// Bytes of an answer without context and values: the whole of a refusal.
pub(super) const ANSWER_BYTES_MIN: usize = CONTENT_OFFSET + 8;
/// Where an answer counts the live versions.
const VERSIONS_OFFSET: usize = 1;
/// Where an answer tells the lengths of its context and values.
const CONTENT_OFFSET: usize = 8 + RECEIPT_BYTES;
const STATUS_FOUND: u8 = 1;
const STATUS_NOT_FOUND: u8 = 2;
const STATUS_STORED: u8 = 3;
const STATUS_REFUSED: u8 = 4;
const STATUS_UNKNOWN: u8 = 5;
/// Bit 0 of a receipt's flags.
const FLAG_STRICT: u8 = 1;

const _: () =
    assert!(ANSWER_BYTES_MIN + limits::OBJECT_BYTES_MAX + limits::CONTEXT_BYTES_MAX < limits::FRAME_BODY_BYTES_MAX);
const _: () = assert!(4 + limits::BATCH_ITEMS_MAX * ANSWER_BYTES_MIN < limits::FRAME_BODY_BYTES_MAX);

/// Something that a node may answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientReply {
    /// To `HELLO`.
    Hello(Box<ServerHello>),
    /// To `PING`.
    Pong {
        /// The bytes of the ping.
        echo: Bytes,
    },
    /// To `TOPOLOGY`.
    Topology(Box<TopologyReply>),
    /// To a request for one key, and to a batch that is refused as a whole.
    Data(DataAnswer),
    /// To a batch, in its order.
    Batch(Vec<DataAnswer>),
    /// To what could not be understood.
    Error(ErrorReply),
}

/// The answer for one key, as a client sees it. Contexts and values are slices of the frame's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DataAnswer {
    /// The key's live versions, at least one; more than one only in a keyspace that keeps siblings.
    Found {
        /// How it came about.
        receipt: Receipt,
        /// To give back with the put or delete that follows from these values.
        context: Bytes,
        /// The versions.
        values: Vec<Bytes>,
    },
    /// The key holds nothing alive.
    NotFound {
        /// How it came about.
        receipt: Receipt,
        /// Of what was deleted; empty if there never was anything.
        context: Bytes,
    },
    /// The put or delete is durable.
    Stored {
        /// How it came about.
        receipt: Receipt,
        /// What the coordinating replica has seen now. Empty if a batch's reply had no room for it.
        context: Bytes,
        /// Live versions that the key has now. If there are more than one, the context covers some that the writer may
        /// never have seen: a put that carries it would replace them, so get and merge them first.
        versions: u8,
    },
    /// Nothing happened.
    Refused {
        /// Why.
        refusal: Refusal,
        /// When trying again may help.
        retry_after: Option<Duration>,
    },
    /// It may or may not have happened.
    Unknown {
        /// How far it came.
        receipt: Receipt,
    },
}
