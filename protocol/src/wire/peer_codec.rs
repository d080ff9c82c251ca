//! What cores of different nodes say, as bytes and back.
//!
//! Written by hand like the client's messages, because an object's canonical bytes are what most of them carry: they
//! go out as they are and come in as a slice. Each body begins with the sender's epoch and wall clock, then the ticket.

use bytes::Bytes;
use core::time::Duration;

use super::client_message::BatchKind;
use super::client_reply::{RECEIPT_BYTES, append_receipt, append_refusal_fields, read_receipt, read_refusal_fields};
use super::data_body;
use super::peer::{FetchAnswer, PeerEnvelope, PeerMessage};
use super::reader::Reader;
use super::reply::{DataReply, Receipt, Refusal};
use super::request::DataRequest;
use super::{DecodeError, Header, Opcode, PeerHello, PeerReject, PeerWelcome, begin_frame};
use crate::limits;
use crate::object::EncodedObject;
use crate::ring::ObjectKey;
use crate::ticket::Ticket;

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

/// Appends a ping of the link.
pub fn encode_link_ping(nonce: u64, out: &mut Vec<u8>) {
    encode_nonce(Opcode::LinkPing, nonce, out);
}

/// Appends the answer to a ping of the link.
pub fn encode_link_pong(nonce: u64, out: &mut Vec<u8>) {
    encode_nonce(Opcode::LinkPong, nonce, out);
}

fn encode_nonce(opcode: Opcode, nonce: u64, out: &mut Vec<u8>) {
    let frame = begin_frame(out, opcode, 0);
    out.extend_from_slice(&nonce.to_le_bytes());
    frame.finish(out);
}

/// Appends the frame of a message, with the sender's epoch and wall clock (Unix milliseconds).
pub fn encode_envelope(epoch: u64, clock_millis: u64, message: &PeerMessage, out: &mut Vec<u8>) {
    let frame = begin_frame(out, opcode_of(message), 0);
    out.extend_from_slice(&epoch.to_le_bytes());
    out.extend_from_slice(&clock_millis.to_le_bytes());
    append_message(message, out);
    let body_bytes = frame.body_bytes(out);
    assert!(body_bytes <= limits::PEER_BODY_BYTES_MAX, "a peer message of {body_bytes} bytes");
    frame.finish(out);
}

fn opcode_of(message: &PeerMessage) -> Opcode {
    match message {
        PeerMessage::Replicate { .. } => Opcode::Replicate,
        PeerMessage::Replicated { .. } => Opcode::Replicated,
        PeerMessage::Fetch { .. } => Opcode::Fetch,
        PeerMessage::Fetched { .. } => Opcode::Fetched,
        PeerMessage::Forward { .. } => Opcode::Forward,
        PeerMessage::Forwarded { .. } => Opcode::Forwarded,
        PeerMessage::EpochTooOld { .. } => Opcode::EpochTooOld,
    }
}

fn append_message(message: &PeerMessage, out: &mut Vec<u8>) {
    match message {
        PeerMessage::Replicate { ticket, key, object } => {
            append_ticket(*ticket, out);
            append_run(key.routed(), out);
            append_run(object.bytes(), out);
        }
        PeerMessage::Replicated { ticket, outcome } => {
            append_ticket(*ticket, out);
            match outcome {
                Ok(()) => out.extend_from_slice(&[OUTCOME_DONE, 0, 0, 0]),
                Err(refusal) => append_outcome_refused(OUTCOME_REFUSED, *refusal, out),
            }
        }
        PeerMessage::Fetch { ticket, key, digest_only } => {
            append_ticket(*ticket, out);
            out.extend_from_slice(&[u8::from(*digest_only), 0, 0, 0]);
            append_run(key.routed(), out);
        }
        PeerMessage::Fetched { ticket, answer } => {
            append_ticket(*ticket, out);
            append_fetch_answer(answer, out);
        }
        PeerMessage::Forward { ticket, request, timeout } => {
            append_ticket(*ticket, out);
            append_forward(request, *timeout, out);
        }
        PeerMessage::Forwarded { ticket, reply } => {
            append_ticket(*ticket, out);
            append_reply(reply, out);
        }
        PeerMessage::EpochTooOld { epoch } => out.extend_from_slice(&epoch.to_le_bytes()),
    }
}

fn append_ticket(ticket: Ticket, out: &mut Vec<u8>) {
    out.extend_from_slice(&ticket.to_u64().to_le_bytes());
}

/// `u32 length | bytes`.
fn append_run(run: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(run.len() as u32).to_le_bytes());
    out.extend_from_slice(run);
}

/// `u8 tag | u8 zero | u16 refusal`.
fn append_outcome_refused(tag: u8, refusal: Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(&[tag, 0]);
    out.extend_from_slice(&refusal.number().to_le_bytes());
}

fn append_fetch_answer(answer: &FetchAnswer, out: &mut Vec<u8>) {
    match answer {
        FetchAnswer::Nothing => out.extend_from_slice(&[FETCHED_NOTHING, 0, 0, 0]),
        FetchAnswer::Digest(digest) => {
            out.extend_from_slice(&[FETCHED_DIGEST, 0, 0, 0]);
            out.extend_from_slice(&digest.to_le_bytes());
        }
        FetchAnswer::Object(object) => {
            out.extend_from_slice(&[FETCHED_OBJECT, 0, 0, 0]);
            append_run(object.bytes(), out);
        }
        FetchAnswer::Refused(refusal) => append_outcome_refused(FETCHED_REFUSED, *refusal, out),
    }
}

/// `u32 timeout in microseconds | u8 kind | 3 zero bytes`, then options and item as a client sends them.
fn append_forward(request: &DataRequest, timeout: Duration, out: &mut Vec<u8>) {
    let micros = u32::try_from(timeout.as_micros()).unwrap_or(u32::MAX);
    let kind = match BatchKind::of(request) {
        BatchKind::Get => FORWARD_GET,
        BatchKind::Put => FORWARD_PUT,
        BatchKind::Delete => FORWARD_DELETE,
    };
    out.extend_from_slice(&micros.to_le_bytes());
    out.extend_from_slice(&[kind, 0, 0, 0]);
    data_body::append_options(request.options(), out);
    data_body::append_item(request, out);
}

/// `u8 status | u8 has object | u16 refusal | u32 retry after | receipt | u32 token low | u32 object bytes | object`.
fn append_reply(reply: &DataReply, out: &mut Vec<u8>) {
    let (status, receipt, token_low, object) = match reply {
        DataReply::Found { receipt, token_low, object } => (REPLY_FOUND, *receipt, *token_low, Some(object)),
        DataReply::NotFound { receipt, token_low, object } => (REPLY_NOT_FOUND, *receipt, *token_low, object.as_ref()),
        DataReply::Stored { receipt, token_low, object } => (REPLY_STORED, *receipt, *token_low, Some(object)),
        DataReply::Refused { .. } => (REPLY_REFUSED, Receipt::default(), 0, None),
        DataReply::Unknown { receipt } => (REPLY_UNKNOWN, *receipt, 0, None),
    };
    out.extend_from_slice(&[status, 0]);
    match reply {
        DataReply::Refused { refusal, retry_after } => append_refusal_fields(*refusal, *retry_after, out),
        _ => out.extend_from_slice(&[0; 6]),
    }
    append_receipt(&receipt, out);
    out.extend_from_slice(&token_low.to_le_bytes());
    append_run(object.map_or(&[], |object| object.bytes()), out);
}

/// Reads a peer's frame; objects, keys and values are slices of `body`.
///
/// # Errors
/// The body is not what the opcode promises, or the opcode is not one that peers send.
pub fn decode_peer(header: Header, body: Bytes) -> Result<PeerFrame, DecodeError> {
    match header.known_opcode()? {
        Opcode::PeerHello => PeerHello::decode(body).map(PeerFrame::Hello),
        Opcode::PeerWelcome => PeerWelcome::decode(body).map(PeerFrame::Welcome),
        Opcode::PeerReject => PeerReject::decode(body).map(PeerFrame::Reject),
        Opcode::LinkPing => decode_nonce(body).map(|nonce| PeerFrame::Ping { nonce }),
        Opcode::LinkPong => decode_nonce(body).map(|nonce| PeerFrame::Pong { nonce }),
        opcode @ (Opcode::Replicate
        | Opcode::Replicated
        | Opcode::Fetch
        | Opcode::Fetched
        | Opcode::Forward
        | Opcode::Forwarded
        | Opcode::EpochTooOld) => decode_envelope(opcode, body).map(PeerFrame::Message),
        Opcode::Hello
        | Opcode::Ping
        | Opcode::Topology
        | Opcode::Get
        | Opcode::Put
        | Opcode::Delete
        | Opcode::BatchGet
        | Opcode::BatchPut
        | Opcode::BatchDelete
        | Opcode::HelloReply
        | Opcode::Pong
        | Opcode::TopologyReply
        | Opcode::DataReply
        | Opcode::BatchReply
        | Opcode::Error => Err(DecodeError::UnknownOpcode { found: header.opcode }),
    }
}

fn decode_nonce(body: Bytes) -> Result<u64, DecodeError> {
    let mut reader = Reader::new(body);
    let nonce = reader.u64("nonce")?;
    reader.finish()?;
    Ok(nonce)
}

fn decode_envelope(opcode: Opcode, body: Bytes) -> Result<PeerEnvelope, DecodeError> {
    let mut reader = Reader::new(body);
    let epoch = reader.u64("epoch")?;
    let clock_millis = reader.u64("clock")?;
    let message = read_message(opcode, &mut reader)?;
    reader.finish()?;
    Ok(PeerEnvelope { epoch, clock_millis, message })
}

fn read_message(opcode: Opcode, reader: &mut Reader) -> Result<PeerMessage, DecodeError> {
    if opcode == Opcode::EpochTooOld {
        return Ok(PeerMessage::EpochTooOld { epoch: reader.u64("newer epoch")? });
    }
    let ticket = Ticket::from_u64(reader.u64("ticket")?);
    match opcode {
        Opcode::Replicate => {
            let key = read_key(reader)?;
            Ok(PeerMessage::Replicate { ticket, key, object: read_object(reader)? })
        }
        Opcode::Replicated => Ok(PeerMessage::Replicated { ticket, outcome: read_outcome(reader)? }),
        Opcode::Fetch => {
            let digest_only = match read_tag(reader, "kind of a fetch")? {
                0 => false,
                1 => true,
                found => return Err(DecodeError::BadValue { what: "kind of a fetch", found: u64::from(found) }),
            };
            reader.zeros(2, "reserved bytes of a fetch")?;
            Ok(PeerMessage::Fetch { ticket, key: read_key(reader)?, digest_only })
        }
        Opcode::Fetched => Ok(PeerMessage::Fetched { ticket, answer: read_fetch_answer(reader)? }),
        Opcode::Forward => read_forward(ticket, reader),
        Opcode::Forwarded => Ok(PeerMessage::Forwarded { ticket, reply: read_reply(reader)? }),
        other => unreachable!("{other:?} carries no message of a core: the caller has sorted it out"),
    }
}

/// `u8 tag | u8 zero`.
fn read_tag(reader: &mut Reader, what: &'static str) -> Result<u8, DecodeError> {
    let tag = reader.u8(what)?;
    reader.zeros(1, what)?;
    Ok(tag)
}

fn read_key(reader: &mut Reader) -> Result<ObjectKey, DecodeError> {
    let length = reader.length("routed key length")?;
    let routed = reader.bytes(length, "routed key")?;
    ObjectKey::from_routed(routed).ok_or(DecodeError::BadValue { what: "routed key of bytes", found: length as u64 })
}

fn read_object(reader: &mut Reader) -> Result<EncodedObject, DecodeError> {
    let length = reader.length("object length")?;
    if length > limits::OBJECT_BYTES_MAX {
        return Err(DecodeError::TooLong { what: "object", found: length, max: limits::OBJECT_BYTES_MAX });
    }
    Ok(EncodedObject::decode(reader.bytes(length, "object")?)?)
}

fn read_refusal(reader: &mut Reader) -> Result<Refusal, DecodeError> {
    let number = reader.u16("refusal")?;
    Refusal::from_number(number).ok_or(DecodeError::BadValue { what: "refusal", found: u64::from(number) })
}

fn read_outcome(reader: &mut Reader) -> Result<Result<(), Refusal>, DecodeError> {
    match read_tag(reader, "outcome")? {
        OUTCOME_DONE => {
            reader.zeros(2, "refusal of an outcome")?;
            Ok(Ok(()))
        }
        OUTCOME_REFUSED => Ok(Err(read_refusal(reader)?)),
        found => Err(DecodeError::BadValue { what: "outcome", found: u64::from(found) }),
    }
}

fn read_fetch_answer(reader: &mut Reader) -> Result<FetchAnswer, DecodeError> {
    let tag = read_tag(reader, "fetch answer")?;
    if tag == FETCHED_REFUSED {
        return Ok(FetchAnswer::Refused(read_refusal(reader)?));
    }
    reader.zeros(2, "refusal of a fetch answer")?;
    match tag {
        FETCHED_NOTHING => Ok(FetchAnswer::Nothing),
        FETCHED_DIGEST => Ok(FetchAnswer::Digest(reader.u64("digest")?)),
        FETCHED_OBJECT => Ok(FetchAnswer::Object(read_object(reader)?)),
        found => Err(DecodeError::BadValue { what: "fetch answer", found: u64::from(found) }),
    }
}

fn read_forward(ticket: Ticket, reader: &mut Reader) -> Result<PeerMessage, DecodeError> {
    let timeout = Duration::from_micros(u64::from(reader.u32("timeout")?));
    let kind = match reader.u8("forwarded kind")? {
        FORWARD_GET => BatchKind::Get,
        FORWARD_PUT => BatchKind::Put,
        FORWARD_DELETE => BatchKind::Delete,
        found => return Err(DecodeError::BadValue { what: "forwarded kind", found: u64::from(found) }),
    };
    reader.zeros(3, "reserved bytes of a forward")?;
    // The sender has checked the request already: one that cannot be is no client's fault here.
    let refused = |refusal: Refusal| DecodeError::BadValue {
        what: "forwarded request, which would be refused with code",
        found: u64::from(refusal.number()),
    };
    let options = data_body::read_options(reader)?.map_err(refused)?;
    let request = data_body::read_item(reader, kind, options)?.map_err(refused)?;
    Ok(PeerMessage::Forward { ticket, request, timeout })
}

fn read_reply(reader: &mut Reader) -> Result<DataReply, DecodeError> {
    let status = read_tag(reader, "status")?;
    let (refusal, retry_after) = read_refusal_fields(reader)?;
    let receipt = read_receipt(reader)?;
    let token_low = reader.u32("token")?;
    let object = read_optional_object(reader)?;
    match (status, refusal, object) {
        (REPLY_FOUND, None, Some(object)) => Ok(DataReply::Found { receipt, token_low, object }),
        (REPLY_NOT_FOUND, None, object) => Ok(DataReply::NotFound { receipt, token_low, object }),
        (REPLY_STORED, None, Some(object)) => Ok(DataReply::Stored { receipt, token_low, object }),
        (REPLY_REFUSED, Some(refusal), None) => Ok(DataReply::Refused { refusal, retry_after }),
        (REPLY_UNKNOWN, None, None) => Ok(DataReply::Unknown { receipt }),
        _ => Err(DecodeError::BadValue { what: "status", found: u64::from(status) }),
    }
}

fn read_optional_object(reader: &mut Reader) -> Result<Option<EncodedObject>, DecodeError> {
    let mut ahead = reader.clone();
    match ahead.length("object length")? {
        0 => {
            *reader = ahead;
            Ok(None)
        }
        _ => read_object(reader).map(Some),
    }
}

const _: () = assert!(
    limits::OBJECT_BYTES_MAX + limits::KEY_BYTES_MAX + limits::KEYSPACE_NAME_BYTES_MAX + 8 * 8 + RECEIPT_BYTES
        <= limits::PEER_BODY_BYTES_MAX
);
