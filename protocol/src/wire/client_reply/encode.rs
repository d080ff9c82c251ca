//! Answers to clients, appended to the connection's buffer straight from the stored object.

use core::time::Duration;

use super::{
    ANSWER_BYTES_MIN, CONTENT_OFFSET, FLAG_STRICT, RECEIPT_BYTES, STATUS_FOUND, STATUS_NOT_FOUND, STATUS_REFUSED,
    STATUS_STORED, STATUS_UNKNOWN, VERSIONS_OFFSET,
};
use crate::limits;
use crate::object::{EncodedObject, SiblingKind};
use crate::wire::data_body::millis_up;
use crate::wire::reply::{DataReply, Receipt, Refusal};
use crate::wire::{Opcode, begin_frame};

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
    let mut items_left = replies.len();
    assert!(items_left <= limits::BATCH_ITEMS_MAX, "a batch of {items_left} items was taken in");
    let frame = begin_frame(out, Opcode::BatchReply, request_id);
    out.extend_from_slice(&(items_left as u32).to_le_bytes());
    for reply in replies {
        items_left -= 1;
        let kept = items_left * ANSWER_BYTES_MIN;
        append_answer(reply, limits::FRAME_BODY_BYTES_MAX - kept - frame.body_bytes(out), out);
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
pub(in crate::wire) fn append_refusal_fields(refusal: Refusal, retry_after: Option<Duration>, out: &mut Vec<u8>) {
    out.extend_from_slice(&refusal.number().to_le_bytes());
    out.extend_from_slice(&retry_after.map_or(0, millis_up).to_le_bytes());
}

/// `u64 epoch | u32 coordinator | u8 N | u8 required | u8 answered | u8 flags`.
pub(in crate::wire) fn append_receipt(receipt: &Receipt, out: &mut Vec<u8>) {
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
