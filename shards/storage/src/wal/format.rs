//! The bytes of the log, both ways. `docs/spec/disk.md` has the tables.
//!
//! Everything is little-endian. A checksum covers all that it guards and, before it, the segment's salt: bytes of another
//! segment, or a value that a client shaped like a batch, never pass for a batch of this one.

use super::batch::PendingRecord;
use crate::limits::{BATCH_BYTES_MAX, OBJECT_BYTES_MAX, PAGE_BYTES, ROUTED_BYTES_MAX};
use crate::record::{LogRecord, Lsn};
use bytes::Bytes;

const SEGMENT_MAGIC: [u8; 8] = *b"RONDOWAL";
/// The version of segments and everything in them.
const SEGMENT_VERSION: u16 = 1;
/// Bytes of a segment's header that mean something; the rest of its page is zero.
const SEGMENT_HEADER_BYTES: usize = 48;
const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"RBAT");
/// Bytes of a batch's header.
pub(crate) const BATCH_HEADER_BYTES: usize = 32;
/// Bytes of a record's header.
pub(crate) const RECORD_HEADER_BYTES: usize = 24;
const KIND_OBJECT: u8 = 1;
const KIND_HLC_BOUND: u8 = 2;

const _: () = assert!(SEGMENT_HEADER_BYTES <= PAGE_BYTES);
const _: () = assert!(ROUTED_BYTES_MAX <= u16::MAX as usize);

/// What a segment says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) shard: u16,
    pub(crate) first_lsn: Lsn,
    pub(crate) salt: u64,
}

/// Why a first page is no segment header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HeaderFault {
    /// Not a header, or one with a flipped bit.
    Bad(String),
    /// A header that checks out, of a version that is not ours.
    Version(u16),
}

/// What a batch says about itself, checked against its bounds only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchHeader {
    crc: u32,
    pub(crate) payload_bytes: usize,
    pub(crate) records: u32,
    pub(crate) first_lsn: Lsn,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl SegmentHeader {
    /// Fills a whole page.
    pub(crate) fn encode(&self, page: &mut [u8]) {
        page.fill(0);
        page[0..8].copy_from_slice(&SEGMENT_MAGIC);
        page[8..10].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        page[10..12].copy_from_slice(&self.shard.to_le_bytes());
        page[12..16].copy_from_slice(&(PAGE_BYTES as u32).to_le_bytes());
        page[16..24].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        page[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&page[..SEGMENT_HEADER_BYTES - 4]);
        page[SEGMENT_HEADER_BYTES - 4..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the head of a segment's first page.
    pub(crate) fn decode(segment: &[u8]) -> Result<SegmentHeader, HeaderFault> {
        let Some(header) = segment.get(..SEGMENT_HEADER_BYTES) else {
            return Err(HeaderFault::Bad(format!("{} bytes are too few for a header", segment.len())));
        };
        if header[0..8] != SEGMENT_MAGIC {
            return Err(HeaderFault::Bad("it does not begin with RONDOWAL".to_owned()));
        }
        let (found, expected) = (crc32c::crc32c(&header[..44]), u32_at(header, 44));
        if found != expected {
            return Err(HeaderFault::Bad(format!("header checksum {found:08x}, expected {expected:08x}")));
        }
        let version = u16_at(header, 8);
        if version != SEGMENT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        let first_lsn = Lsn(u64_at(header, 16));
        Ok(SegmentHeader { shard: u16_at(header, 10), first_lsn, salt: u64_at(header, 24) })
    }
}

fn batch_crc(salt: u64, after_crc: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), after_crc)
}

/// Writes one record; `place` is exactly as long as it needs.
pub(crate) fn encode_record(record: &PendingRecord, place: &mut [u8]) {
    let (head, body) = place.split_at_mut(RECORD_HEADER_BYTES);
    head.fill(0);
    match record {
        PendingRecord::Object { token, routed, object } => {
            head[0] = KIND_OBJECT;
            head[2..4].copy_from_slice(&(routed.len() as u16).to_le_bytes());
            head[4..8].copy_from_slice(&(object.len() as u32).to_le_bytes());
            head[8..24].copy_from_slice(&token.to_le_bytes());
            body[..routed.len()].copy_from_slice(routed);
            body[routed.len()..].copy_from_slice(object);
        }
        PendingRecord::HlcBound(bound) => {
            head[0] = KIND_HLC_BOUND;
            head[4..8].copy_from_slice(&8u32.to_le_bytes());
            body.copy_from_slice(&bound.to_le_bytes());
        }
    }
}

/// Writes the header of a batch whose records are in place: `batch` is header and payload without padding.
pub(crate) fn seal_batch(salt: u64, first_lsn: Lsn, records: usize, batch: &mut [u8]) {
    let payload_bytes = batch.len() - BATCH_HEADER_BYTES;
    batch[0..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
    batch[8..12].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    batch[12..16].copy_from_slice(&(records as u32).to_le_bytes());
    batch[16..24].copy_from_slice(&first_lsn.0.to_le_bytes());
    batch[24..32].fill(0);
    let crc = batch_crc(salt, &batch[8..]);
    batch[4..8].copy_from_slice(&crc.to_le_bytes());
}

impl BatchHeader {
    /// Reads a header; the error says what is wrong with it. `bytes` goes on to the end of the segment.
    pub(crate) fn decode(bytes: &[u8]) -> Result<BatchHeader, String> {
        let Some(header) = bytes.get(..BATCH_HEADER_BYTES) else {
            return Err(format!("{} bytes are too few for a batch header", bytes.len()));
        };
        let magic = u32_at(header, 0);
        if magic != BATCH_MAGIC {
            return Err(format!("no batch begins with {magic:08x}"));
        }
        let payload_bytes = u32_at(header, 8) as usize;
        if payload_bytes > BATCH_BYTES_MAX || payload_bytes > bytes.len() - BATCH_HEADER_BYTES {
            return Err(format!("a batch of {payload_bytes} bytes goes past the end of the segment"));
        }
        let (crc, records, first_lsn) = (u32_at(header, 4), u32_at(header, 12), Lsn(u64_at(header, 16)));
        Ok(BatchHeader { crc, payload_bytes, records, first_lsn })
    }

    /// Header and payload, without padding.
    pub(crate) fn used_bytes(&self) -> usize {
        BATCH_HEADER_BYTES + self.payload_bytes
    }

    /// Does the checksum of the batch at the start of `bytes` agree?
    pub(crate) fn check(&self, salt: u64, bytes: &[u8]) -> Result<(), String> {
        let (found, expected) = (batch_crc(salt, &bytes[8..self.used_bytes()]), self.crc);
        if found == expected {
            return Ok(());
        }
        Err(format!("batch checksum {found:08x}, expected {expected:08x}"))
    }
}

/// Takes the first record off `payload`. Objects get memory of their own, so that they do not keep the segment's.
pub(crate) fn decode_record<'a>(payload: &mut &'a [u8]) -> Result<LogRecord<'a>, String> {
    let Some((head, rest)) = payload.split_at_checked(RECORD_HEADER_BYTES) else {
        return Err(format!("{} bytes are too few for a record", payload.len()));
    };
    let (kind, routed_bytes, object_bytes) = (head[0], u16_at(head, 2) as usize, u32_at(head, 4) as usize);
    if routed_bytes > ROUTED_BYTES_MAX || object_bytes > OBJECT_BYTES_MAX {
        return Err(format!("a record with a key of {routed_bytes} and an object of {object_bytes} bytes"));
    }
    let Some((body, after)) = rest.split_at_checked(routed_bytes + object_bytes) else {
        return Err("a record goes past the end of its batch".to_owned());
    };
    *payload = after;
    match (kind, body.len()) {
        (KIND_OBJECT, _) => {
            let token = u128::from_le_bytes(head[8..24].try_into().expect("sixteen bytes"));
            let (routed, object) = body.split_at(routed_bytes);
            Ok(LogRecord::Object { token, routed, object: Bytes::copy_from_slice(object) })
        }
        (KIND_HLC_BOUND, 8) => Ok(LogRecord::HlcBound(u64_at(body, 0))),
        (kind, length) => Err(format!("a record of kind {kind} with {length} bytes")),
    }
}
