//! What cores of different nodes say, as bytes and back.
//!
//! Written by hand like the client's messages, because an object's canonical bytes are what most of them carry: they
//! go out as they are and come in as a slice. Each body begins with the sender's epoch and wall clock, then the ticket.

mod decode;
mod encode;

pub use decode::decode_peer;
pub use encode::{encode_envelope, encode_link_ping, encode_link_pong};

use super::client_reply::RECEIPT_BYTES;
use super::peer::PeerEnvelope;
use super::{PeerHello, PeerReject, PeerWelcome};
use crate::limits;

/// Something that a peer may say on a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerFrame {
    /// First, by the node that opened the link.
    Hello(PeerHello),
    /// The answer: go on.
    Welcome(PeerWelcome),
    /// The answer: go away.
    Reject(PeerReject),
    /// Send the number back.
    Ping {
        /// Any number.
        nonce: u64,
    },
    /// The number of a ping.
    Pong {
        /// That number.
        nonce: u64,
    },
    /// For the core.
    Message(PeerEnvelope),
}

const OUTCOME_DONE: u8 = 1;
const OUTCOME_REFUSED: u8 = 2;
const FETCHED_NOTHING: u8 = 1;
const FETCHED_DIGEST: u8 = 2;
const FETCHED_OBJECT: u8 = 3;
const FETCHED_REFUSED: u8 = 4;
const FORWARD_GET: u8 = 1;
const FORWARD_PUT: u8 = 2;
const FORWARD_DELETE: u8 = 3;
const REPLY_FOUND: u8 = 1;
const REPLY_NOT_FOUND: u8 = 2;
const REPLY_STORED: u8 = 3;
const REPLY_REFUSED: u8 = 4;
const REPLY_UNKNOWN: u8 = 5;

const _: () = assert!(
    limits::OBJECT_BYTES_MAX + limits::KEY_BYTES_MAX + limits::KEYSPACE_NAME_BYTES_MAX + 8 * 8 + RECEIPT_BYTES
        <= limits::PEER_BODY_BYTES_MAX
);
