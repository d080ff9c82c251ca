//! What clients say, as bytes and back.
//!
//! Two kinds of trouble come out of here, and they end differently. Bytes that break the protocol are a
//! [`DecodeError`]: the stream is lost. Bytes that keep it and ask for something that cannot be (an empty key, a value
//! too long) are [`Decoded::Refused`], or in a batch the fate of one item: the connection goes on.
//!
//! The routed key stands in one piece in each request, so its token is computed from the read buffer in place.

use bytes::Bytes;

use super::data_body::{self, Item};
use super::reader::Reader;
use super::request::{DataRequest, RequestOptions};
use super::{ClientHello, DecodeError, EncodeError, FrameStart, Header, Opcode, begin_frame, reply::Refusal};
use crate::limits;

/// Something that a client may say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientMessage {
    /// The first words.
    Hello(ClientHello),
    /// Send these bytes back (at most [`limits::PING_BYTES_MAX`]).
    Ping {
        /// Any bytes.
        echo: Bytes,
    },
    /// What does the cluster look like?
    Topology,
    /// One request for one key.
    Data(DataRequest),
    /// Many requests of one kind.
    Batch(BatchRequest),
}

/// The kind of a batch's items.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BatchKind {
    /// All are gets.
    Get,
    /// All are puts.
    Put,
    /// All are deletes.
    Delete,
}

/// Many requests of one kind: 1 to [`limits::BATCH_ITEMS_MAX`], answered in this order by one reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchRequest {
    /// Of what kind.
    pub kind: BatchKind,
    /// What they share; each valid item carries a copy.
    pub options: RequestOptions,
    /// The items; one that asks for the impossible is refused here already, and the others are not held up by it.
    pub items: Vec<Result<DataRequest, Refusal>>,
}

/// A frame of a client, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// To be done.
    Message(ClientMessage),
    /// To be answered with [`super::reply::DataReply::Refused`] (a batch as a whole, too); the connection goes on.
    Refused(Refusal),
}

/// Reads a client's frame, without copying keys, contexts or values.
///
/// # Errors
/// The body is not what the opcode promises, or the opcode is not one that clients send
/// (see [`DecodeError::ends_connection`]).
pub fn decode_client(header: Header, body: Bytes) -> Result<Decoded, DecodeError> {
    match header.known_opcode()? {
        Opcode::Hello => ClientHello::decode(body).map(|hello| Decoded::Message(ClientMessage::Hello(hello))),
        Opcode::Ping => decode_ping(body),
        Opcode::Topology => {
            Reader::new(body).finish()?;
            Ok(Decoded::Message(ClientMessage::Topology))
        }
        Opcode::Get => decode_data(BatchKind::Get, body),
        Opcode::Put => decode_data(BatchKind::Put, body),
        Opcode::Delete => decode_data(BatchKind::Delete, body),
        Opcode::BatchGet => decode_batch(BatchKind::Get, body),
        Opcode::BatchPut => decode_batch(BatchKind::Put, body),
        Opcode::BatchDelete => decode_batch(BatchKind::Delete, body),
        Opcode::HelloReply
        | Opcode::Pong
        | Opcode::TopologyReply
        | Opcode::DataReply
        | Opcode::BatchReply
        | Opcode::Error
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

fn decode_ping(echo: Bytes) -> Result<Decoded, DecodeError> {
    if echo.len() > limits::PING_BYTES_MAX {
        return Err(DecodeError::TooLong { what: "ping", found: echo.len(), max: limits::PING_BYTES_MAX });
    }
    Ok(Decoded::Message(ClientMessage::Ping { echo }))
}

fn decode_data(kind: BatchKind, body: Bytes) -> Result<Decoded, DecodeError> {
    let mut reader = Reader::new(body);
    let options = match data_body::read_options(&mut reader)? {
        Ok(options) => options,
        Err(refusal) => return Ok(Decoded::Refused(refusal)),
    };
    let item = data_body::read_item(&mut reader, kind, options)?;
    reader.finish()?;
    Ok(match item {
        Ok(request) => Decoded::Message(ClientMessage::Data(request)),
        Err(refusal) => Decoded::Refused(refusal),
    })
}

fn decode_batch(kind: BatchKind, body: Bytes) -> Result<Decoded, DecodeError> {
    let mut reader = Reader::new(body);
    let options = match data_body::read_options(&mut reader)? {
        Ok(options) => options,
        Err(refusal) => return Ok(Decoded::Refused(refusal)),
    };
    let count = reader.length("batch item count")?;
    if count == 0 || count > limits::BATCH_ITEMS_MAX {
        return Ok(Decoded::Refused(Refusal::BadRequest));
    }
    reader.check_count(count, limits::BATCH_ITEMS_MAX, data_body::item_bytes_min(kind), "batch items")?;
    let mut items: Vec<Item> = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(data_body::read_item(&mut reader, kind, options)?);
    }
    reader.finish()?;
    Ok(Decoded::Message(ClientMessage::Batch(BatchRequest { kind, options, items })))
}

/// Appends a ping frame; of `echo` at most [`limits::PING_BYTES_MAX`] bytes are sent.
pub fn encode_ping(request_id: u32, echo: &[u8], out: &mut Vec<u8>) {
    let frame = begin_frame(out, Opcode::Ping, request_id);
    out.extend_from_slice(&echo[..echo.len().min(limits::PING_BYTES_MAX)]);
    frame.finish(out);
}

/// Appends a topology request.
pub fn encode_topology_request(request_id: u32, out: &mut Vec<u8>) {
    begin_frame(out, Opcode::Topology, request_id).finish(out);
}

/// Appends the frame of one data request.
///
/// # Errors
/// The body would exceed [`limits::FRAME_BODY_BYTES_MAX`]; `out` is as it was.
pub fn encode_data(request_id: u32, request: &DataRequest, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let opcode = match BatchKind::of(request) {
        BatchKind::Get => Opcode::Get,
        BatchKind::Put => Opcode::Put,
        BatchKind::Delete => Opcode::Delete,
    };
    check_body(data_body::OPTIONS_BYTES + data_body::item_bytes(request))?;
    let frame = begin_frame(out, opcode, request_id);
    data_body::append_options(request.options(), out);
    data_body::append_item(request, out);
    frame.finish(out);
    Ok(())
}

/// Appends the frame of a batch. The options of the single `items` are not sent: `options` hold for all. An item of
/// another kind than `kind` is a broken belief of the caller and panics.
///
/// # Errors
/// No items, too many, or a body that would exceed [`limits::FRAME_BODY_BYTES_MAX`] (see [`batch_bytes`]); `out` is as
/// it was.
pub fn encode_batch(
    request_id: u32,
    kind: BatchKind,
    options: &RequestOptions,
    items: &[DataRequest],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if items.is_empty() || items.len() > limits::BATCH_ITEMS_MAX {
        let (found, max) = (items.len(), limits::BATCH_ITEMS_MAX);
        return Err(EncodeError::TooLong { what: "number of batch items", found, max });
    }
    check_body(batch_bytes(items))?;
    let frame = begin_batch(request_id, kind, options, items.len(), out);
    for item in items {
        assert_eq!(BatchKind::of(item), kind, "a batch has items of one kind");
        data_body::append_item(item, out);
    }
    frame.finish(out);
    Ok(())
}

fn begin_batch(
    request_id: u32,
    kind: BatchKind,
    options: &RequestOptions,
    items: usize,
    out: &mut Vec<u8>,
) -> FrameStart {
    let opcode = match kind {
        BatchKind::Get => Opcode::BatchGet,
        BatchKind::Put => Opcode::BatchPut,
        BatchKind::Delete => Opcode::BatchDelete,
    };
    let frame = begin_frame(out, opcode, request_id);
    data_body::append_options(options, out);
    out.extend_from_slice(&(items as u32).to_le_bytes());
    frame
}

/// The body of a batch of these items, in bytes: at most [`limits::FRAME_BODY_BYTES_MAX`] may be sent.
pub fn batch_bytes(items: &[DataRequest]) -> usize {
    BATCH_BYTES_MIN + items.iter().map(data_body::item_bytes).sum::<usize>()
}

/// The body of a batch without its items, in bytes.
pub const BATCH_BYTES_MIN: usize = data_body::OPTIONS_BYTES + 4;

/// What one item adds to a batch's body, in bytes.
pub fn batch_item_bytes(item: &DataRequest) -> usize {
    data_body::item_bytes(item)
}

fn check_body(found: usize) -> Result<(), EncodeError> {
    let max = limits::FRAME_BODY_BYTES_MAX;
    if found > max {
        return Err(EncodeError::TooLong { what: "frame body", found, max });
    }
    Ok(())
}

impl BatchKind {
    /// The kind of one request.
    pub fn of(request: &DataRequest) -> BatchKind {
        match request {
            DataRequest::Get { .. } => BatchKind::Get,
            DataRequest::Put { .. } => BatchKind::Put,
            DataRequest::Delete { .. } => BatchKind::Delete,
        }
    }
}
