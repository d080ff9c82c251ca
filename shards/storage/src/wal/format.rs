//! The bytes of the log, both ways. `docs/spec/disk.md` has the tables.
//!
//! Everything is little-endian. A batch is a header, a directory with a head for each record, and the records' bodies. The
//! batch's checksum guards header and directory, each record's checksum its own head and body: rot in one object costs that
//! object, and the directory says whose it was. Each checksum covers the segment's salt too: bytes of another segment, or a
//! value that a client shaped like a batch, never pass for a batch of this one.

use super::batch::PendingRecord;
use crate::bytes_at::{u16_at, u32_at, u64_at, u128_at};
use crate::limits::{BATCH_BYTES_MAX, OBJECT_BYTES_MAX, PAGE_BYTES, ROUTED_BYTES_MAX};
use crate::record::{LogRecord, Lsn};
use bytes::Bytes;

const SEGMENT_MAGIC: [u8; 8] = *b"RONDOWAL";
/// The version of segments and everything in them.
pub(crate) const SEGMENT_VERSION: u16 = 2;
/// Bytes of a segment's header that mean something; the rest of its page is zero.
const SEGMENT_HEADER_BYTES: usize = 48;
/// Where the batches of a segment begin: behind two pages that both hold its header.
pub(crate) const DATA_AT: usize = 2 * PAGE_BYTES;
const FLAG_REPLACES: u32 = 1;
const FLAG_IS_REUSED: u32 = 2;
const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"RBAT");
/// Bytes of a batch's header.
pub(crate) const BATCH_HEADER_BYTES: usize = 32;
/// Bytes of a record's head, in the directory of its batch.
pub(crate) const RECORD_HEAD_BYTES: usize = 32;
/// Bytes of a record's head that its own checksum covers.
const HEAD_CHECKED_BYTES: usize = RECORD_HEAD_BYTES - 4;
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
    /// The length that was set aside; a shorter file has lost its end.
    pub(crate) bytes: u64,
    /// Its records take the place of those of the same numbers in earlier segments: their writer gave those up.
    pub(crate) replaces: bool,
    /// Its file was a segment before: behind the batches and one page of zeros stands what that one held.
    pub(crate) is_reused: bool,
}

/// Why a page is no segment header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HeaderFault {
    /// Not a header, or one with a flipped bit.
    Bad(String),
    /// A header of a version that is not ours.
    Version(u16),
}

/// What a batch says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchHeader {
    crc: u32,
    pub(crate) body_bytes: usize,
    pub(crate) records: usize,
    pub(crate) first_lsn: Lsn,
}

/// What the directory of a batch says about one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHead {
    kind: u8,
    pub(crate) routed_bytes: usize,
    object_bytes: usize,
    pub(crate) token: u128,
    pub(crate) routed_crc: u32,
    crc: u32,
}

impl SegmentHeader {
    /// Fills both header pages.
    pub(crate) fn encode(&self, pages: &mut [u8]) {
        assert_eq!(pages.len(), DATA_AT, "a header and its copy");
        pages.fill(0);
        for page in pages.chunks_exact_mut(PAGE_BYTES) {
            page[0..8].copy_from_slice(&SEGMENT_MAGIC);
            page[8..10].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
            page[10..12].copy_from_slice(&self.shard.to_le_bytes());
            page[12..16].copy_from_slice(&(PAGE_BYTES as u32).to_le_bytes());
            page[16..24].copy_from_slice(&self.first_lsn.0.to_le_bytes());
            page[24..32].copy_from_slice(&self.salt.to_le_bytes());
            page[32..40].copy_from_slice(&self.bytes.to_le_bytes());
            page[40..44].copy_from_slice(&self.flags().to_le_bytes());
            let crc = crc32c::crc32c(&page[..SEGMENT_HEADER_BYTES - 4]);
            page[SEGMENT_HEADER_BYTES - 4..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        }
    }

    /// Reads the header of a segment, from its copy if need be; the fault of the first one where only the copy is good.
    pub(crate) fn decode(segment: &[u8]) -> Result<(SegmentHeader, Option<String>), HeaderFault> {
        let first = match SegmentHeader::decode_page(segment) {
            Ok(header) => return Ok((header, None)),
            Err(fault) => fault,
        };
        match (SegmentHeader::decode_page(segment.get(PAGE_BYTES..).unwrap_or_default()), first) {
            (Ok(header), HeaderFault::Bad(what)) => Ok((header, Some(what))),
            (Ok(header), HeaderFault::Version(version)) => Ok((header, Some(format!("version {version}")))),
            (Err(HeaderFault::Version(version)), HeaderFault::Version(_)) => Err(HeaderFault::Version(version)),
            (Err(_), HeaderFault::Version(version)) => Err(HeaderFault::Bad(format!("version {version}"))),
            (Err(_), bad @ HeaderFault::Bad(_)) => Err(bad),
        }
    }

    fn decode_page(page: &[u8]) -> Result<SegmentHeader, HeaderFault> {
        let Some(header) = page.get(..SEGMENT_HEADER_BYTES) else {
            return Err(HeaderFault::Bad(format!("{} bytes are too few for a header", page.len())));
        };
        if header[0..8] != SEGMENT_MAGIC {
            return Err(HeaderFault::Bad("it does not begin with RONDOWAL".to_owned()));
        }
        // A later version may keep its checksum elsewhere; both pages have to say so.
        let version = u16_at(header, 8);
        if version != SEGMENT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        let (found, expected) = (crc32c::crc32c(&header[..44]), u32_at(header, 44));
        if found != expected {
            return Err(HeaderFault::Bad(format!("header checksum {found:08x}, expected {expected:08x}")));
        }
        Ok(SegmentHeader {
            shard: u16_at(header, 10),
            first_lsn: Lsn(u64_at(header, 16)),
            salt: u64_at(header, 24),
            bytes: u64_at(header, 32),
            replaces: u32_at(header, 40) & FLAG_REPLACES != 0,
            is_reused: u32_at(header, 40) & FLAG_IS_REUSED != 0,
        })
    }

    fn flags(&self) -> u32 {
        (u32::from(self.replaces) * FLAG_REPLACES) | (u32::from(self.is_reused) * FLAG_IS_REUSED)
    }
}

fn batch_crc(salt: u64, after_crc: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), after_crc)
}

/// Salt and number, then the head (which has the key's own checksum), then the object.
fn record_crc(salt: u64, lsn: Lsn, head: &[u8], object: &[u8]) -> u32 {
    let mut start = [0; 16 + HEAD_CHECKED_BYTES];
    start[0..8].copy_from_slice(&salt.to_le_bytes());
    start[8..16].copy_from_slice(&lsn.0.to_le_bytes());
    start[16..].copy_from_slice(&head[..HEAD_CHECKED_BYTES]);
    crc32c::crc32c_append(crc32c::crc32c(&start), object)
}

/// Writes one record: its head into the directory, its body where it belongs. Both are exactly as long as they need to be.
pub(crate) fn encode_record(record: &PendingRecord, salt: u64, lsn: Lsn, head: &mut [u8], body: &mut [u8]) {
    head.fill(0);
    let routed_bytes = match record {
        PendingRecord::Object { token, routed, object } => {
            head[0] = KIND_OBJECT;
            head[4..8].copy_from_slice(&(object.len() as u32).to_le_bytes());
            head[8..24].copy_from_slice(&token.to_le_bytes());
            body[..routed.len()].copy_from_slice(routed);
            body[routed.len()..].copy_from_slice(object);
            routed.len()
        }
        PendingRecord::HlcBound(bound) => {
            head[0] = KIND_HLC_BOUND;
            head[4..8].copy_from_slice(&8u32.to_le_bytes());
            body.copy_from_slice(&bound.to_le_bytes());
            0
        }
    };
    let (routed, object) = body.split_at(routed_bytes);
    head[2..4].copy_from_slice(&(routed_bytes as u16).to_le_bytes());
    head[24..28].copy_from_slice(&crc32c::crc32c(routed).to_le_bytes());
    let crc = record_crc(salt, lsn, head, object);
    head[HEAD_CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
}

/// Writes the header of a batch whose directory is in place: `head` is header and directory.
pub(crate) fn seal_batch(salt: u64, first_lsn: Lsn, records: usize, body_bytes: usize, head: &mut [u8]) {
    head[0..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
    head[8..12].copy_from_slice(&(body_bytes as u32).to_le_bytes());
    head[12..16].copy_from_slice(&(records as u32).to_le_bytes());
    head[16..24].copy_from_slice(&first_lsn.0.to_le_bytes());
    head[24..32].fill(0);
    let crc = batch_crc(salt, &head[8..]);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
}

impl BatchHeader {
    /// Reads a header and checks its bounds alone; the error says what is wrong with it. `bytes` goes on to the end of the
    /// segment.
    pub(crate) fn decode(bytes: &[u8]) -> Result<BatchHeader, String> {
        let Some(header) = bytes.get(..BATCH_HEADER_BYTES) else {
            return Err(format!("{} bytes are too few for a batch header", bytes.len()));
        };
        let magic = u32_at(header, 0);
        if magic != BATCH_MAGIC {
            return Err(format!("no batch begins with {magic:08x}"));
        }
        let (body_bytes, records) = (u32_at(header, 8) as usize, u32_at(header, 12) as usize);
        let payload_bytes = records.saturating_mul(RECORD_HEAD_BYTES).saturating_add(body_bytes);
        if records == 0 || payload_bytes > BATCH_BYTES_MAX || payload_bytes > bytes.len() - BATCH_HEADER_BYTES {
            return Err(format!("a batch of {records} records and {payload_bytes} bytes does not fit here"));
        }
        Ok(BatchHeader { crc: u32_at(header, 4), body_bytes, records, first_lsn: Lsn(u64_at(header, 16)) })
    }

    fn head_bytes(&self) -> usize {
        BATCH_HEADER_BYTES + RECORD_HEAD_BYTES * self.records
    }

    /// Header, directory and bodies, without padding.
    pub(crate) fn used_bytes(&self) -> usize {
        self.head_bytes() + self.body_bytes
    }

    /// The record after the last one.
    pub(crate) fn next_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0.saturating_add(self.records as u64))
    }

    /// Does the checksum of header and directory agree?
    pub(crate) fn check(&self, salt: u64, bytes: &[u8]) -> Result<(), String> {
        let (found, expected) = (batch_crc(salt, &bytes[8..self.head_bytes()]), self.crc);
        if found == expected {
            return Ok(());
        }
        Err(format!("batch checksum {found:08x}, expected {expected:08x}"))
    }

    /// The records of the batch at the start of `bytes`: each with its head, and with itself or what is wrong with it.
    /// Checksums are looked at unless a bug is planted.
    pub(crate) fn records<'a>(
        &self,
        salt: u64,
        bytes: &'a [u8],
        is_checked: bool,
    ) -> impl Iterator<Item = (Lsn, RecordHead, Result<LogRecord<'a>, String>)> + use<'a> {
        let (head, bodies) = bytes[..self.used_bytes()].split_at(self.head_bytes());
        let (mut lsn, mut rest) = (self.first_lsn, bodies);
        head[BATCH_HEADER_BYTES..].chunks_exact(RECORD_HEAD_BYTES).map(move |place| {
            let (this, record_head) = (lsn, RecordHead::decode(place));
            lsn = lsn.next();
            let record = match rest.split_at_checked(record_head.routed_bytes + record_head.object_bytes) {
                Some((body, after)) => {
                    rest = after;
                    record_head.check(salt, this, place, body, is_checked).and_then(|()| record_head.open(body))
                }
                None => Err("it goes past the end of its batch".to_owned()),
            };
            (this, record_head, record)
        })
    }
}

impl RecordHead {
    fn decode(place: &[u8]) -> RecordHead {
        RecordHead {
            kind: place[0],
            routed_bytes: usize::from(u16_at(place, 2)),
            object_bytes: u32_at(place, 4) as usize,
            token: u128_at(place, 8),
            routed_crc: u32_at(place, 24),
            crc: u32_at(place, HEAD_CHECKED_BYTES),
        }
    }

    /// Is it the record of a key?
    pub(crate) fn is_object(&self) -> bool {
        self.kind == KIND_OBJECT
    }

    /// Are key and object the ones that were written?
    fn check(&self, salt: u64, lsn: Lsn, place: &[u8], body: &[u8], is_checked: bool) -> Result<(), String> {
        if self.routed_bytes > ROUTED_BYTES_MAX || self.object_bytes > OBJECT_BYTES_MAX {
            return Err(format!("a key of {} and an object of {} bytes", self.routed_bytes, self.object_bytes));
        }
        let (routed, object) = body.split_at(self.routed_bytes);
        let found = (crc32c::crc32c(routed), record_crc(salt, lsn, place, object));
        let expected = (self.routed_crc, self.crc);
        if found == expected || !is_checked {
            return Ok(());
        }
        Err(format!("checksums {found:08x?}, expected {expected:08x?}"))
    }

    /// Objects get memory of their own, so that they do not keep the segment's.
    fn open<'a>(&self, body: &'a [u8]) -> Result<LogRecord<'a>, String> {
        match (self.kind, body.len()) {
            (KIND_OBJECT, _) => {
                let (routed, object) = body.split_at(self.routed_bytes);
                Ok(LogRecord::Object { token: self.token, routed, object: Bytes::copy_from_slice(object) })
            }
            (KIND_HLC_BOUND, 8) => Ok(LogRecord::HlcBound(u64_at(body, 0))),
            (kind, length) => Err(format!("a record of kind {kind} with {length} bytes")),
        }
    }
}

/// Seals the batch at the start of `bytes` as if the writer had written it, whatever is in it: for tools and fuzzing.
pub(super) fn seal_whatever(salt: u64, first_lsn: Lsn, records: usize, batch: &mut [u8]) {
    let (head, bodies) = batch.split_at_mut(BATCH_HEADER_BYTES + RECORD_HEAD_BYTES * records);
    let (mut lsn, mut rest) = (first_lsn, &*bodies);
    for place in head[BATCH_HEADER_BYTES..].chunks_exact_mut(RECORD_HEAD_BYTES) {
        let record = RecordHead::decode(place);
        if let Some((body, after)) = rest.split_at_checked(record.routed_bytes + record.object_bytes) {
            let (routed, object) = body.split_at(record.routed_bytes);
            place[24..28].copy_from_slice(&crc32c::crc32c(routed).to_le_bytes());
            let crc = record_crc(salt, lsn, place, object);
            place[HEAD_CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
            rest = after;
        }
        lsn = lsn.next();
    }
    seal_batch(salt, first_lsn, records, bodies.len(), head);
}
