//! The bytes of one data request: its options and its item.
//!
//! A single request is options and one item; a batch is options, a count, and that many items; a request forwarded
//! between nodes carries the same bytes. Lengths come first, then the runs of bytes.

use bytes::Bytes;
use core::time::Duration;

use super::DecodeError;
use super::client_message::BatchKind;
use super::reader::Reader;
use super::reply::Refusal;
use super::request::{DataRequest, Level, RequestOptions};
use crate::limits;
use crate::ring::ObjectKey;

/// Bytes of the options.
pub(super) const OPTIONS_BYTES: usize = 8;
/// The length of the keyspace's name, which begins a routed key.
const ROUTED_PREFIX_BYTES: usize = 2;

/// One item: the request, or why it cannot be.
pub(super) type Item = Result<DataRequest, Refusal>;

/// Appends `u8 level | u8 N | u16 zero | u32 timeout in milliseconds`. A timeout rounds up to a millisecond, so that a
/// short one does not turn into the default.
pub(super) fn append_options(options: &RequestOptions, out: &mut Vec<u8>) {
    out.extend_from_slice(&[options.level.code(), options.replicas, 0, 0]);
    out.extend_from_slice(&millis_up(options.timeout).to_le_bytes());
}

/// The inverse of [`append_options`]; a meaning that cannot be is refused.
pub(super) fn read_options(reader: &mut Reader) -> Result<Result<RequestOptions, Refusal>, DecodeError> {
    let level = Level::from_code(reader.u8("level")?);
    let replicas = reader.u8("replicas")?;
    reader.zeros(2, "reserved bytes of the options")?;
    let timeout = Duration::from_millis(u64::from(reader.u32("timeout")?));
    let Some(level) = level else { return Ok(Err(Refusal::BadQuorum)) };
    if timeout > limits::REQUEST_TIMEOUT_MAX {
        return Ok(Err(Refusal::BadRequest));
    }
    Ok(Ok(RequestOptions { replicas, level, timeout }))
}

/// Milliseconds, rounded up.
pub(super) fn millis_up(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// What [`append_item`] appends, in bytes.
pub(super) fn item_bytes(request: &DataRequest) -> usize {
    let routed = request.key().routed().len();
    match request {
        DataRequest::Get { .. } => 4 + routed,
        DataRequest::Put { context, value, .. } => 12 + routed + context.len() + value.len(),
        DataRequest::Delete { context, .. } => 8 + routed + context.len(),
    }
}

/// The shortest item of a kind, in bytes.
pub(super) fn item_bytes_min(kind: BatchKind) -> usize {
    match kind {
        BatchKind::Get => 4 + ROUTED_PREFIX_BYTES,
        BatchKind::Put => 12 + ROUTED_PREFIX_BYTES,
        BatchKind::Delete => 8 + ROUTED_PREFIX_BYTES,
    }
}

/// Appends the lengths (routed key; context unless a get; value if a put), then the bytes in the same order.
pub(super) fn append_item(request: &DataRequest, out: &mut Vec<u8>) {
    let routed: &[u8] = request.key().routed();
    match request {
        DataRequest::Get { .. } => append_runs(&[routed], out),
        DataRequest::Put { context, value, .. } => append_runs(&[routed, context, value], out),
        DataRequest::Delete { context, .. } => append_runs(&[routed, context], out),
    }
}

fn append_runs(runs: &[&[u8]], out: &mut Vec<u8>) {
    for run in runs {
        let length = u32::try_from(run.len()).expect("the caller bounded the body");
        out.extend_from_slice(&length.to_le_bytes());
    }
    for run in runs {
        out.extend_from_slice(run);
    }
}

/// The inverse of [`append_item`], without a copy.
pub(super) fn read_item(reader: &mut Reader, kind: BatchKind, options: RequestOptions) -> Result<Item, DecodeError> {
    let routed_bytes = reader.length("routed key length")?;
    let context_bytes = match kind {
        BatchKind::Get => 0,
        BatchKind::Put | BatchKind::Delete => reader.length("context length")?,
    };
    let value_bytes = match kind {
        BatchKind::Get | BatchKind::Delete => 0,
        BatchKind::Put => reader.length("value length")?,
    };
    let key = read_key(reader, routed_bytes)?;
    let context = reader.bytes(context_bytes, "context")?;
    let value = reader.bytes(value_bytes, "value")?;
    Ok(key.and_then(|key| request_of(kind, key, options, context, value)))
}

/// The routed key. A keyspace's name that goes past its end breaks the protocol; one that cannot exist, or a key too
/// short or too long, is refused.
fn read_key(reader: &mut Reader, routed_bytes: usize) -> Result<Result<ObjectKey, Refusal>, DecodeError> {
    let routed = reader.bytes(routed_bytes, "routed key")?;
    let Some(prefix) = routed.first_chunk::<ROUTED_PREFIX_BYTES>() else {
        return Err(DecodeError::BadValue { what: "routed key length", found: routed_bytes as u64 });
    };
    let keyspace_bytes = usize::from(u16::from_le_bytes(*prefix));
    let rest = routed_bytes - ROUTED_PREFIX_BYTES;
    if keyspace_bytes > rest {
        return Err(DecodeError::TooLong {
            what: "keyspace name inside a routed key",
            found: keyspace_bytes,
            max: rest,
        });
    }
    if !(1..=limits::KEYSPACE_NAME_BYTES_MAX).contains(&keyspace_bytes) {
        return Ok(Err(Refusal::UnknownKeyspace));
    }
    Ok(ObjectKey::from_routed(routed).ok_or(Refusal::BadKey))
}

fn request_of(kind: BatchKind, key: ObjectKey, options: RequestOptions, context: Bytes, value: Bytes) -> Item {
    if context.len() > limits::CONTEXT_BYTES_MAX {
        return Err(Refusal::BadContext);
    }
    if value.len() > limits::VALUE_BYTES_MAX {
        return Err(Refusal::ValueTooLarge);
    }
    Ok(match kind {
        BatchKind::Get => DataRequest::Get { key, options },
        BatchKind::Put => DataRequest::Put { key, options, context, value },
        BatchKind::Delete => DataRequest::Delete { key, options, context },
    })
}
