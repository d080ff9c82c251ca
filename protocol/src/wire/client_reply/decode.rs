//! Answers of nodes, read by a client: contexts and values are slices of the frame.

use bytes::Bytes;
use core::time::Duration;

use super::{
    ANSWER_BYTES_MIN, ClientReply, DataAnswer, FLAG_STRICT, STATUS_FOUND, STATUS_NOT_FOUND, STATUS_REFUSED,
    STATUS_STORED, STATUS_UNKNOWN,
};
use crate::limits;
use crate::node::NodeId;
use crate::wire::reader::Reader;
use crate::wire::reply::{Receipt, Refusal};
use crate::wire::{DecodeError, ErrorReply, Header, Opcode, ServerHello, TopologyReply};

/// Reads a node's frame, without copying contexts or values.
///
/// # Errors
/// The body is not what the opcode promises, or the opcode is not one that nodes send to clients.
pub fn decode_reply(header: Header, body: Bytes) -> Result<ClientReply, DecodeError> {
    match header.known_opcode()? {
        Opcode::HelloReply => Ok(ClientReply::Hello(Box::new(ServerHello::decode(body)?))),
        Opcode::Pong if body.len() > limits::PING_BYTES_MAX => {
            Err(DecodeError::TooLong { what: "pong", found: body.len(), max: limits::PING_BYTES_MAX })
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
        (STATUS_REFUSED, Some(refusal)) if receipt == Receipt::default() => {
            Ok(DataAnswer::Refused { refusal, retry_after })
        }
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

/// The inverse of [`append_refusal_fields`]; no refusal is 0, and then there is no hint either.
pub(in crate::wire) fn read_refusal_fields(
    reader: &mut Reader,
) -> Result<(Option<Refusal>, Option<Duration>), DecodeError> {
    let number = reader.u16("refusal")?;
    let refusal = match number {
        0 => None,
        _ => Some(
            Refusal::from_number(number).ok_or(DecodeError::BadValue { what: "refusal", found: u64::from(number) })?,
        ),
    };
    let millis = reader.u32("retry after")?;
    if refusal.is_none() && millis != 0 {
        return Err(DecodeError::BadValue { what: "retry after", found: u64::from(millis) });
    }
    Ok((refusal, (millis != 0).then(|| Duration::from_millis(u64::from(millis)))))
}

/// The inverse of [`append_receipt`].
pub(in crate::wire) fn read_receipt(reader: &mut Reader) -> Result<Receipt, DecodeError> {
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
