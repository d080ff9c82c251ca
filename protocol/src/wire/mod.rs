//! Messages to bytes and back: nothing else knows the wire's bytes.
//!
//! Think of a post office. [`frame`] is the envelope: address, weight, seal. What is written on the sheet inside is
//! the business of [`client_message`] and [`client_reply`] between a client and a node, and of [`peer_codec`] between
//! nodes. `docs/spec/wire.md` says the same in tables; golden files hold both to it.
//!
//! Everything that comes in is hostile until it is decoded: lengths are bounded before they are believed, nothing is
//! copied that can be sliced, and what remains unread at the end is an error.

pub mod client_message;
pub mod client_reply;
mod data_body;
pub mod decode_error;
pub mod error_reply;
pub mod frame;
pub mod hello;
pub mod opcode;
pub mod peer;
pub mod peer_codec;
pub mod peer_hello;
mod reader;
pub mod reply;
pub mod request;
pub mod topology_reply;

pub use client_message::{BatchKind, BatchRequest, ClientMessage, Decoded, decode_client, encode_batch, encode_data};
pub use client_reply::{ClientReply, DataAnswer, decode_reply, encode_batch_reply, encode_data_reply, encode_pong};
pub use decode_error::{DecodeError, EncodeError};
pub use error_reply::{ErrorCode, ErrorReply};
pub use frame::{Frame, FrameStart, HEADER_BYTES, Header, begin_frame, next_frame};
pub use hello::{ClientHello, Limits, ServerHello};
pub use opcode::Opcode;
pub use peer_codec::{PeerFrame, decode_peer, encode_envelope, encode_link_ping, encode_link_pong};
pub use peer_hello::{PeerHello, PeerReject, PeerWelcome, RejectReason};
pub use topology_reply::{Acquaintance, TopologyNode, TopologyReply};
