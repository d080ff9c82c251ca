//! Reading a segment back: batch by batch, and then the question how it ends.
//!
//! A batch is written only after the one before it was synced. So when a batch does not check out, what follows decides: if
//! nothing valid follows, it was being written when the power went, and was never acknowledged; if a valid batch follows,
//! then it had been durable and the disk has changed it since.
//!
//! Pure: works on bytes in memory. Whether an end is a good end is recovery's judgement, which knows the next segment.

use super::format::{self, BATCH_HEADER_BYTES, BatchHeader, DATA_AT, HeaderFault, RECORD_HEAD_BYTES, SegmentHeader};
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
    /// What stands behind the batches and a page of zeros is of another life of the file.
    is_reused: bool,
    offset: usize,
    next_lsn: Lsn,
    fault: Option<String>,
}

impl<'a> SegmentReader<'a> {
    /// Starts behind the header pages of `bytes`.
    pub(crate) fn new(bytes: &'a [u8], header: &SegmentHeader) -> SegmentReader<'a> {
        let offset = DATA_AT.min(bytes.len());
        let (salt, is_reused) = (header.salt, header.is_reused);
        SegmentReader { bytes, salt, is_reused, offset, next_lsn: header.first_lsn, fault: None }
    }

    /// The record that comes next.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The byte behind the last good batch.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// The mark of the segment's checksums.
    pub(crate) fn salt(&self) -> u64 {
        self.salt
    }

    /// The records of the next batch, all or none; `None` at the end of the good ones.
    pub(crate) fn next_batch(&mut self) -> Option<Vec<(Lsn, LogRecord<'a>)>> {
        let rest = &self.bytes[self.offset..];
        match self.read_batch(rest) {
            Ok(records) => Some(records),
            Err(what) => {
                self.fault = Some(what);
                self.accept_torn(rest)
            }
        }
    }

    fn read_batch(&mut self, rest: &'a [u8]) -> Result<Vec<(Lsn, LogRecord<'a>)>, String> {
        let is_checked = !is_planted(Planted::SkipCrc);
        let header = BatchHeader::decode(rest)?;
        if is_checked {
            header.check(self.salt, rest)?;
        }
        if header.first_lsn != self.next_lsn {
            return Err(format!("a batch from {}, expected {}", header.first_lsn, self.next_lsn));
        }
        let records = header.records(self.salt, rest, is_checked).map(|(lsn, _, record)| match record {
            Ok(record) => Ok((lsn, record)),
            Err(what) => Err(format!("{lsn}: {what}")),
        });
        let records = records.collect::<Result<Vec<_>, String>>()?;
        self.offset = (self.offset + header.used_bytes()).next_multiple_of(PAGE_BYTES).min(self.bytes.len());
        self.next_lsn = header.next_lsn();
        Ok(records)
    }

    /// The planted bug: takes what happens to parse at the torn end, once.
    fn accept_torn(&mut self, rest: &'a [u8]) -> Option<Vec<(Lsn, LogRecord<'a>)>> {
        if !is_planted(Planted::TornTailAccepted) {
            return None;
        }
        let header = BatchHeader::decode(rest).ok().filter(|header| header.first_lsn == self.next_lsn)?;
        let records = header.records(self.salt, rest, false);
        let parsed: Vec<_> = records.map_while(|(lsn, _, record)| Some((lsn, record.ok()?))).collect();
        self.next_lsn = Lsn(self.next_lsn.0 + parsed.len() as u64);
        (!parsed.is_empty()).then_some(parsed)
    }

    /// How the segment ends behind the last good batch. Call it when [`SegmentReader::next_batch`] has said `None`.
    pub(crate) fn end(&self) -> SegmentEnd {
        let rest = &self.bytes[self.offset..];
        let unwritten = if self.is_reused { &rest[..rest.len().min(PAGE_BYTES)] } else { rest };
        let is_unwritten = unwritten.iter().all(|&byte| byte == 0);
        if is_unwritten && (!self.is_reused || self.later_batches().is_empty()) {
            return SegmentEnd::Clean;
        }
        let (what, offset) = (self.fault.clone().unwrap_or_default(), self.offset as u64);
        // A batch that is whole but for some of its records may be the one that was being written.
        let is_later = |&(at, header): &(usize, BatchHeader)| at != self.offset || header.first_lsn != self.next_lsn;
        match self.later_batches().into_iter().find(is_later) {
            Some((later, _)) => {
                SegmentEnd::Damaged { offset, what: format!("{what}, but a good batch follows at byte {later}") }
            }
            None => SegmentEnd::Torn { offset, what },
        }
    }

    /// Batches from the bad place on whose header and directory check out, wherever they lie, in the order of their records.
    pub(crate) fn later_batches(&self) -> Vec<(usize, BatchHeader)> {
        let places = (self.offset..self.bytes.len()).step_by(PAGE_BYTES);
        let found = places.filter_map(|at| {
            let rest = &self.bytes[at..];
            let header = BatchHeader::decode(rest).ok()?;
            header.check(self.salt, rest).is_ok().then_some((at, header))
        });
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(at, header)| (header.first_lsn, *at));
        found
    }

    /// The bytes from `at` on.
    pub(crate) fn bytes_from(&self, at: usize) -> &'a [u8] {
        &self.bytes[at.min(self.bytes.len())..]
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
        Ok((header, _)) => header,
        Err(HeaderFault::Bad(what)) => return (0, Some(ReplayFault::Header(what))),
        Err(HeaderFault::Version(version)) => return (0, Some(ReplayFault::Header(format!("version {version}")))),
    };
    let mut reader = SegmentReader::new(bytes, &header);
    let mut records = 0;
    while let Some(batch) = reader.next_batch() {
        records += batch.len() as u64;
    }
    let fault = match reader.end() {
        SegmentEnd::Clean if (bytes.len() as u64) < header.bytes => Some(ReplayFault::Damaged(bytes.len() as u64)),
        SegmentEnd::Clean => None,
        SegmentEnd::Torn { offset, .. } => Some(ReplayFault::Torn(offset)),
        SegmentEnd::Damaged { offset, .. } => Some(ReplayFault::Damaged(offset)),
    };
    (records, fault)
}

/// A segment with one batch of `records` records, whose directory and bodies are `payload` (filled up with zeros if that is
/// too short), with the checksums that the writer would have written: for tools and fuzzing, which would never guess them.
pub fn segment_around(payload: &[u8], records: u8) -> Vec<u8> {
    let head = BATCH_HEADER_BYTES + RECORD_HEAD_BYTES * usize::from(records);
    let used = head.max(BATCH_HEADER_BYTES + payload.len());
    let bytes = DATA_AT + used.next_multiple_of(PAGE_BYTES);
    let header =
        SegmentHeader { shard: 0, first_lsn: Lsn(1), salt: 7, bytes: bytes as u64, replaces: false, is_reused: false };
    let mut segment = vec![0; bytes];
    let (pages, batch) = segment.split_at_mut(DATA_AT);
    header.encode(pages);
    batch[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + payload.len()].copy_from_slice(payload);
    format::seal_whatever(header.salt, header.first_lsn, records.into(), &mut batch[..used]);
    segment
}
