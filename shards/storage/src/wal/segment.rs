//! Reading a segment back: batch by batch, and then the question how it ends.
//!
//! A batch is written only after the one before it was synced. So when a batch does not check out, what follows decides: if
//! nothing valid follows, it was being written when the power went, and was never acknowledged; if a valid batch follows,
//! then it had been durable and the disk has changed it since.
//!
//! Pure: works on bytes in memory. Whether an end is a good end is recovery's judgement, which knows the next segment.

use super::format::{BatchHeader, HeaderFault, SegmentHeader, decode_record};
use crate::error::StorageError;
use crate::limits::PAGE_BYTES;
use crate::planted::{Planted, is_planted};
use crate::record::{LogRecord, Lsn};

/// How a segment ends after its last good batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SegmentEnd {
    /// Nothing was written there.
    Clean,
    /// Something was, and it is no batch.
    Torn { offset: u64, what: String },
    /// A good batch stands behind a bad place.
    Damaged { offset: u64, what: String },
}

/// Goes through the batches of one segment.
#[derive(Debug)]
pub(crate) struct SegmentReader<'a> {
    bytes: &'a [u8],
    salt: u64,
    offset: usize,
    next_lsn: Lsn,
    fault: Option<String>,
}

impl<'a> SegmentReader<'a> {
    /// Starts behind the header page of `bytes`.
    pub(crate) fn new(bytes: &'a [u8], header: &SegmentHeader) -> SegmentReader<'a> {
        let offset = PAGE_BYTES.min(bytes.len());
        SegmentReader { bytes, salt: header.salt, offset, next_lsn: header.first_lsn, fault: None }
    }

    /// The record that comes next.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The byte behind the last good batch.
    pub(crate) fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// Hands the records of the next batch to `visit`, all or none; false at the end of the good ones.
    pub(crate) fn next_batch(
        &mut self,
        visit: &mut dyn FnMut(Lsn, LogRecord<'a>) -> Result<(), StorageError>,
    ) -> Result<bool, StorageError> {
        let rest = &self.bytes[self.offset..];
        let mut records = match self.read_batch(rest) {
            Ok(records) => records,
            Err(what) => {
                self.fault = Some(what);
                return self.accept_torn(rest, visit);
            }
        };
        for record in records.drain(..) {
            visit(self.next_lsn, record)?;
            self.next_lsn = self.next_lsn.next();
        }
        Ok(true)
    }

    fn read_batch(&mut self, rest: &'a [u8]) -> Result<Vec<LogRecord<'a>>, String> {
        let header = BatchHeader::decode(rest)?;
        header.check(self.salt, rest)?;
        if header.first_lsn != self.next_lsn {
            return Err(format!("a batch from {}, expected {}", header.first_lsn, self.next_lsn));
        }
        let mut payload = &rest[super::format::BATCH_HEADER_BYTES..header.used_bytes()];
        let mut records = Vec::new();
        for _ in 0..header.records {
            records.push(decode_record(&mut payload)?);
        }
        if !payload.is_empty() {
            return Err(format!("{} bytes behind the last record of a batch", payload.len()));
        }
        self.offset = (self.offset + header.used_bytes()).next_multiple_of(PAGE_BYTES).min(self.bytes.len());
        Ok(records)
    }

    /// The planted bug: takes what happens to parse at the torn end.
    fn accept_torn(
        &mut self,
        rest: &'a [u8],
        visit: &mut dyn FnMut(Lsn, LogRecord<'a>) -> Result<(), StorageError>,
    ) -> Result<bool, StorageError> {
        if !is_planted(Planted::TornTailAccepted) {
            return Ok(false);
        }
        let Some(header) = BatchHeader::decode(rest).ok().filter(|header| header.first_lsn == self.next_lsn) else {
            return Ok(false);
        };
        let mut payload = &rest[super::format::BATCH_HEADER_BYTES..header.used_bytes()];
        for _ in 0..header.records {
            let Ok(record) = decode_record(&mut payload) else { break };
            visit(self.next_lsn, record)?;
            self.next_lsn = self.next_lsn.next();
        }
        Ok(false)
    }

    /// How the segment ends behind the last good batch. Call it when [`SegmentReader::next_batch`] has said false.
    pub(crate) fn end(&self) -> SegmentEnd {
        let rest = &self.bytes[self.offset..];
        if rest.iter().all(|&byte| byte == 0) {
            return SegmentEnd::Clean;
        }
        let what = self.fault.clone().unwrap_or_default();
        let offset = self.offset as u64;
        match self.later_batch() {
            Some(later) => {
                SegmentEnd::Damaged { offset, what: format!("{what}, but a good batch follows at byte {later}") }
            }
            None => SegmentEnd::Torn { offset, what },
        }
    }

    /// The first place behind the bad one where a batch checks out. It counts even at the bad place itself: then its
    /// records are not the ones that belong there.
    fn later_batch(&self) -> Option<usize> {
        (self.offset..self.bytes.len()).step_by(PAGE_BYTES).find(|&at| {
            let rest = &self.bytes[at..];
            BatchHeader::decode(rest).is_ok_and(|header| header.check(self.salt, rest).is_ok())
        })
    }
}

/// Why the bytes of a segment were not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplayFault {
    /// No header.
    Header(String),
    /// Torn behind the last good batch, at this byte.
    Torn(u64),
    /// Damaged at this byte.
    Damaged(u64),
}

/// Reads a segment from memory: how many records its good batches hold, and why it ends early if it does. For tools and
/// fuzzing; never panics.
pub fn check_segment(bytes: &[u8]) -> (u64, Option<ReplayFault>) {
    let header = match SegmentHeader::decode(bytes) {
        Ok(header) => header,
        Err(HeaderFault::Bad(what)) => return (0, Some(ReplayFault::Header(what))),
        Err(HeaderFault::Version(version)) => return (0, Some(ReplayFault::Header(format!("version {version}")))),
    };
    let mut reader = SegmentReader::new(bytes, &header);
    let mut records = 0;
    let mut count = |_: Lsn, _: LogRecord<'_>| -> Result<(), StorageError> {
        records += 1;
        Ok(())
    };
    while let Ok(true) = reader.next_batch(&mut count) {}
    let fault = match reader.end() {
        SegmentEnd::Clean => None,
        SegmentEnd::Torn { offset, .. } => Some(ReplayFault::Torn(offset)),
        SegmentEnd::Damaged { offset, .. } => Some(ReplayFault::Damaged(offset)),
    };
    (records, fault)
}

/// A segment with one batch around `payload`, whatever that is, sealed as if the writer had written it: for tools and
/// fuzzing, which would never guess a checksum.
pub fn segment_around(payload: &[u8], records: u32) -> Vec<u8> {
    let header = SegmentHeader { shard: 0, first_lsn: Lsn(1), salt: 7 };
    let used = super::format::BATCH_HEADER_BYTES + payload.len();
    let mut segment = vec![0; PAGE_BYTES + used.next_multiple_of(PAGE_BYTES)];
    let (page, batch) = segment.split_at_mut(PAGE_BYTES);
    header.encode(page);
    batch[super::format::BATCH_HEADER_BYTES..used].copy_from_slice(payload);
    super::format::seal_batch(header.salt, header.first_lsn, records as usize, &mut batch[..used]);
    segment
}
