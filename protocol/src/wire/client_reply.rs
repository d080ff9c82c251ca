//! What nodes answer, as bytes and back.
//!
//! A node encodes straight from the stored object into the connection's buffer: the values and the context are
//! appended once and nothing is built in between. A client gets slices of the body.
//!
//! A frame has a largest size, and the answers to a batch of gets may exceed it. An answer that does not fit turns into
//! a refusal of its item (`ReplyFull`), and room for such a refusal is kept for every item still to come.

use bytes::Bytes;
use core::time::Duration;

use super::client_message::PING_BYTES_MAX;
use super::data_body::millis_up;
use super::reader::Reader;
use super::reply::{DataReply, Receipt, Refusal};
use super::{DecodeError, ErrorReply, Header, Opcode, ServerHello, TopologyReply, begin_frame};
use crate::limits;
use crate::node::NodeId;
use crate::object::{EncodedObject, SiblingKind};

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

/// Appends a pong frame.
pub fn encode_pong(request_id: u32, echo: &[u8], out: &mut Vec<u8>) {
    let frame = begin_frame(out, Opcode::Pong, request_id);
    out.extend_from_slice(echo);
    frame.finish(out);
}

/// Appends the frame of one data reply. Nothing is allocated beside `out`'s growth.
pub fn encode_data_reply(request_id: u32, reply: &DataReply, out: &mut Vec<u8>) {
    let frame = begin_frame(out, Opcode::DataReply, request_id);
    append_answer(reply, limits::FRAME_BODY_BYTES_MAX, out);
    frame.finish(out);
}

/// Appends the frame of a batch's replies, in the order of its items. Answers that do not fit a frame of
/// [`limits::FRAME_BODY_BYTES_MAX`] are refused with [`Refusal::ReplyFull`]; a `Stored` that does not fit loses only
/// its context, since what is done cannot be refused.
pub fn encode_batch_reply<'a>(
    request_id: u32,
    replies: impl ExactSizeIterator<Item = &'a DataReply>,
    out: &mut Vec<u8>,
) {
    encode_bounded_batch(request_id, replies, limits::FRAME_BODY_BYTES_MAX, out);
}

fn encode_bounded_batch<'a>(
    request_id: u32,
    replies: impl ExactSizeIterator<Item = &'a DataReply>,
    body_max: usize,
    out: &mut Vec<u8>,
) {
    let frame = begin_frame(out, Opcode::BatchReply, request_id);
    let mut items_left = replies.len();
    out.extend_from_slice(&(items_left as u32).to_le_bytes());
    for reply in replies {
        items_left -= 1;
        let kept = items_left * ANSWER_BYTES_MIN;
        append_answer(reply, body_max - kept - frame.body_bytes(out), out);
    }
    frame.finish(out);
}

/// Appends one answer of at most `room` bytes (at least [`ANSWER_BYTES_MIN`]).
fn append_answer(reply: &DataReply, room: usize, out: &mut Vec<u8>) {
    let start = out.len();
    match reply {
        DataReply::Found { receipt, token_low, object } => {
            append_start(STATUS_FOUND, receipt, out);
            append_content(Some((object, *token_low)), true, out);
        }
        DataReply::NotFound { receipt, token_low, object } => {
            append_start(STATUS_NOT_FOUND, receipt, out);
            append_content(object.as_ref().map(|object| (object, *token_low)), false, out);
        }
        DataReply::Stored { receipt, token_low, object } => {
            append_start(STATUS_STORED, receipt, out);
            out[start + VERSIONS_OFFSET] = live_versions(object);
            append_content(Some((object, *token_low)), false, out);
            if out.len() - start > room {
                out.truncate(start + ANSWER_BYTES_MIN);
                out[start + CONTENT_OFFSET..].fill(0);
            }
        }
        DataReply::Refused { refusal, retry_after } => append_refusal(*refusal, *retry_after, out),
        DataReply::Unknown { receipt } => {
            append_start(STATUS_UNKNOWN, receipt, out);
            append_content(None, false, out);
        }
    }
    if out.len() - start > room {
        out.truncate(start);
        append_refusal(Refusal::ReplyFull, None, out);
    }
}

/// Values among the versions of `object`, as far as a byte counts.
fn live_versions(object: &EncodedObject) -> u8 {
    let values = object.siblings().filter(|sibling| sibling.kind != SiblingKind::Tombstone).count();
    u8::try_from(values).unwrap_or(u8::MAX)
}

/// `u8 status | u8 versions | u16 refusal | u32 retry after | receipt` of an answer that is no refusal.
fn append_start(status: u8, receipt: &Receipt, out: &mut Vec<u8>) {
    out.extend_from_slice(&[status, 0, 0, 0, 0, 0, 0, 0]);
    append_receipt(receipt, out);
}

fn append_refusal(refusal: Refusal, retry_after: Option<Duration>, out: &mut Vec<u8>) {
    out.extend_from_slice(&[STATUS_REFUSED, 0]);
    append_refusal_fields(refusal, retry_after, out);
    out.extend_from_slice(&[0; RECEIPT_BYTES]);
    append_content(None, false, out);
}

/// `u16 refusal | u32 retry after, in milliseconds (0: no hint)`.
pub(super) fn append_refusal_fields(refusal: Refusal, retry_after: Option<Duration>, out: &mut Vec<u8>) {
    out.extend_from_slice(&refusal.number().to_le_bytes());
    out.extend_from_slice(&retry_after.map_or(0, millis_up).to_le_bytes());
}

/// `u64 epoch | u32 coordinator | u8 N | u8 required | u8 answered | u8 flags`.
pub(super) fn append_receipt(receipt: &Receipt, out: &mut Vec<u8>) {
    out.extend_from_slice(&receipt.epoch.to_le_bytes());
    out.extend_from_slice(&receipt.coordinator.0.to_le_bytes());
    let flags = if receipt.strict { FLAG_STRICT } else { 0 };
    out.extend_from_slice(&[receipt.replicas, receipt.required, receipt.answered, flags]);
}

/// `u32 context bytes | u32 values | context | values x (u32 length | bytes)`; the two counts are patched in.
fn append_content(object: Option<(&EncodedObject, u32)>, with_values: bool, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 8]);
    let Some((object, token_low)) = object else { return };
    object.append_context(token_low, out);
    let context_bytes = (out.len() - at - 8) as u32;
    let mut values = 0u32;
    if with_values {
        for sibling in object.siblings() {
            let SiblingKind::Value(value) = sibling.kind else { continue };
            values += 1;
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(value);
        }
    }
    out[at..at + 4].copy_from_slice(&context_bytes.to_le_bytes());
    out[at + 4..at + 8].copy_from_slice(&values.to_le_bytes());
}

/// Reads a node's frame, without copying contexts or values.
///
/// # Errors
/// The body is not what the opcode promises, or the opcode is not one that nodes send to clients.
pub fn decode_reply(header: Header, body: Bytes) -> Result<ClientReply, DecodeError> {
    match header.known_opcode()? {
        Opcode::HelloReply => Ok(ClientReply::Hello(Box::new(ServerHello::decode(body)?))),
        Opcode::Pong if body.len() > PING_BYTES_MAX => {
            Err(DecodeError::TooLong { what: "pong", found: body.len(), max: PING_BYTES_MAX })
        }
        Opcode::Pong => Ok(ClientReply::Pong { echo: body }),
        Opcode::TopologyReply => Ok(ClientReply::Topology(Box::new(TopologyReply::decode(body)?))),
        Opcode::DataReply => decode_data_reply(body),
        Opcode::BatchReply => decode_batch_reply(body),
        Opcode::Error => Ok(ClientReply::Error(ErrorReply::decode(body)?)),
        Opcode::Hello
        | Opcode::Ping
        | Opcode::Topology
        | Opcode::Get
        | Opcode::Put
        | Opcode::Delete
        | Opcode::BatchGet
        | Opcode::BatchPut
        | Opcode::BatchDelete
        | Opcode::PeerHello
        | Opcode::PeerWelcome
        | Opcode::PeerReject
        | Opcode::LinkPing
        | Opcode::LinkPong
        | Opcode::Replicate
        | Opcode::Replicated
        | Opcode::Fetch
        | Opcode::Fetched
        | Opcode::Forward
        | Opcode::Forwarded
        | Opcode::EpochTooOld => Err(DecodeError::UnknownOpcode { found: header.opcode }),
    }
}

fn decode_data_reply(body: Bytes) -> Result<ClientReply, DecodeError> {
    let mut reader = Reader::new(body);
    let answer = read_answer(&mut reader)?;
    reader.finish()?;
    Ok(ClientReply::Data(answer))
}

fn decode_batch_reply(body: Bytes) -> Result<ClientReply, DecodeError> {
    let mut reader = Reader::new(body);
    let count = reader.length("batch reply count")?;
    reader.check_count(count, limits::BATCH_ITEMS_MAX, ANSWER_BYTES_MIN, "batch replies")?;
    let answers = (0..count).map(|_| read_answer(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    reader.finish()?;
    Ok(ClientReply::Batch(answers))
}

fn read_answer(reader: &mut Reader) -> Result<DataAnswer, DecodeError> {
    let status = reader.u8("status")?;
    let versions = reader.u8("version count")?;
    let (refusal, retry_after) = read_refusal_fields(reader)?;
    let receipt = read_receipt(reader)?;
    let context_bytes = reader.length("context length")?;
    let value_count = reader.length("value count")?;
    let context = reader.bytes(context_bytes, "context")?;
    let values = read_values(reader, value_count)?;
    check_shape(status, versions, &context, &values)?;
    match (status, refusal) {
        (STATUS_FOUND, None) => Ok(DataAnswer::Found { receipt, context, values }),
        (STATUS_NOT_FOUND, None) => Ok(DataAnswer::NotFound { receipt, context }),
        (STATUS_STORED, None) => Ok(DataAnswer::Stored { receipt, context, versions }),
        (STATUS_REFUSED, Some(refusal)) => Ok(DataAnswer::Refused { refusal, retry_after }),
        (STATUS_UNKNOWN, None) => Ok(DataAnswer::Unknown { receipt }),
        _ => Err(DecodeError::BadValue { what: "status", found: u64::from(status) }),
    }
}

/// What an answer of this status does not carry must be absent.
fn check_shape(status: u8, versions: u8, context: &Bytes, values: &[Bytes]) -> Result<(), DecodeError> {
    let may_have_context = [STATUS_FOUND, STATUS_NOT_FOUND, STATUS_STORED].contains(&status);
    if status != STATUS_STORED && versions != 0 {
        return Err(DecodeError::BadValue { what: "version count", found: u64::from(versions) });
    }
    if !may_have_context && !context.is_empty() {
        return Err(DecodeError::BadValue { what: "context length", found: context.len() as u64 });
    }
    if (status == STATUS_FOUND) == values.is_empty() {
        return Err(DecodeError::BadValue { what: "value count", found: values.len() as u64 });
    }
    Ok(())
}

fn read_values(reader: &mut Reader, count: usize) -> Result<Vec<Bytes>, DecodeError> {
    reader.check_count(count, limits::SIBLINGS_STORED_MAX, 4, "values")?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.length("value length")?;
        values.push(reader.bytes(length, "value")?);
    }
    Ok(values)
}

/// The inverse of [`append_refusal_fields`]; no refusal is 0.
pub(super) fn read_refusal_fields(reader: &mut Reader) -> Result<(Option<Refusal>, Option<Duration>), DecodeError> {
    let number = reader.u16("refusal")?;
    let refusal = match number {
        0 => None,
        _ => Some(
            Refusal::from_number(number).ok_or(DecodeError::BadValue { what: "refusal", found: u64::from(number) })?,
        ),
    };
    let millis = reader.u32("retry after")?;
    Ok((refusal, (millis != 0).then(|| Duration::from_millis(u64::from(millis)))))
}

/// The inverse of [`append_receipt`].
pub(super) fn read_receipt(reader: &mut Reader) -> Result<Receipt, DecodeError> {
    let epoch = reader.u64("epoch of a receipt")?;
    let coordinator = NodeId(reader.u32("coordinator of a receipt")?);
    let replicas = reader.u8("replicas of a receipt")?;
    let required = reader.u8("required answers of a receipt")?;
    let answered = reader.u8("answers of a receipt")?;
    let strict = match reader.u8("flags of a receipt")? {
        0 => false,
        FLAG_STRICT => true,
        found => return Err(DecodeError::BadValue { what: "flags of a receipt", found: u64::from(found) }),
    };
    Ok(Receipt { epoch, coordinator, replicas, required, answered, strict })
}
