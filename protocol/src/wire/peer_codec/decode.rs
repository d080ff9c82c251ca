//! Messages between nodes, read from a link: objects, keys and values are slices of the frame.

use bytes::Bytes;
use core::time::Duration;

use super::{
    FETCHED_DIGEST, FETCHED_NOTHING, FETCHED_OBJECT, FETCHED_REFUSED, FORWARD_DELETE, FORWARD_GET, FORWARD_PUT,
    OUTCOME_DONE, OUTCOME_REFUSED, PeerFrame, REPLY_FOUND, REPLY_NOT_FOUND, REPLY_REFUSED, REPLY_STORED, REPLY_UNKNOWN,
};
use crate::limits;
use crate::object::EncodedObject;
use crate::ring::ObjectKey;
use crate::ticket::Ticket;
use crate::wire::client_message::BatchKind;
use crate::wire::client_reply::{read_receipt, read_refusal_fields};
use crate::wire::peer::{FetchAnswer, PeerEnvelope, PeerMessage};
use crate::wire::reader::Reader;
use crate::wire::reply::{DataReply, Receipt, Refusal};
use crate::wire::{DecodeError, Header, Opcode, PeerHello, PeerReject, PeerWelcome, data_body};

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
    let no_receipt = receipt == Receipt::default() && token_low == 0;
    match (status, refusal, object) {
        (REPLY_FOUND, None, Some(object)) => Ok(DataReply::Found { receipt, token_low, object }),
        (REPLY_NOT_FOUND, None, object) => Ok(DataReply::NotFound { receipt, token_low, object }),
        (REPLY_STORED, None, Some(object)) => Ok(DataReply::Stored { receipt, token_low, object }),
        (REPLY_REFUSED, Some(refusal), None) if no_receipt => Ok(DataReply::Refused { refusal, retry_after }),
        (REPLY_UNKNOWN, None, None) if token_low == 0 => Ok(DataReply::Unknown { receipt }),
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
