//! Messages between nodes, appended to the outbox of their link.

use core::time::Duration;

use super::{
    FETCHED_DIGEST, FETCHED_NOTHING, FETCHED_OBJECT, FETCHED_REFUSED, FORWARD_DELETE, FORWARD_GET, FORWARD_PUT,
    OUTCOME_DONE, OUTCOME_REFUSED, REPLY_FOUND, REPLY_NOT_FOUND, REPLY_REFUSED, REPLY_STORED, REPLY_UNKNOWN,
};
use crate::limits;
use crate::ticket::Ticket;
use crate::wire::client_message::BatchKind;
use crate::wire::client_reply::{append_receipt, append_refusal_fields};
use crate::wire::peer::{FetchAnswer, PeerMessage};
use crate::wire::reply::{DataReply, Receipt, Refusal};
use crate::wire::request::DataRequest;
use crate::wire::{Opcode, begin_frame, data_body};

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
