//! The replay under way: records in their order, each taken once, and each that is missing counted.
//!
//! A segment counts up to where the next one begins: whatever an earlier one has from there on was never acknowledged (its
//! writer gave it up, or a start cut it off).

use super::RecoveryReport;
use super::losses::Losses;
use super::segments::{Fault, Live, Survey};
use crate::checkpoint::CheckpointJob;
use crate::error::StorageError;
use crate::limits::{LSN_GAP, PAGE_BYTES};
use crate::manifest::Manifest;
use crate::record::{LogRecord, Lsn};
use crate::shard_store::ShardStore;
use crate::sorted_store::SortedStore;
use crate::table::FrozenTable;
use crate::wal::{SegmentEnd, SegmentReader};
use crate::wounds::WoundCause;
use std::sync::Arc;

/// The replay under way.
pub(super) struct Replay<'a> {
    pub(super) sorted: &'a mut dyn SortedStore,
    pub(super) store: ShardStore,
    /// The first record that is not accounted for yet.
    next: Lsn,
    upto: Lsn,
    /// The log was durable up to here at least.
    end: Lsn,
    /// And no further.
    is_sealed: bool,
    /// Where files begin that should be segments and are not.
    unusable: Vec<Lsn>,
    /// What went to the sorted store up to here: last record and clock bound.
    pub(super) spilled: Option<(Lsn, u64)>,
    pub(super) losses: Losses,
    /// The log is not as it was written, even if nothing is missing.
    pub(super) is_damaged: bool,
    pub(super) report: RecoveryReport,
    /// The sorted store would not take any more.
    pub(super) failure: Option<StorageError>,
}

impl<'a> Replay<'a> {
    /// Begins after what is checkpointed.
    pub(super) fn new(
        sorted: &'a mut dyn SortedStore,
        store: ShardStore,
        manifest: &Manifest,
        report: RecoveryReport,
    ) -> Replay<'a> {
        Replay {
            sorted,
            store,
            next: manifest.upto.next(),
            upto: manifest.upto,
            end: manifest.end,
            is_sealed: manifest.is_sealed,
            unusable: Vec::new(),
            spilled: None,
            losses: Losses::default(),
            is_damaged: false,
            report,
            failure: None,
        }
    }

    /// Is the oldest segment there that must be?
    pub(super) fn begin(&mut self, survey: &Survey, manifest: &Manifest) {
        let first = manifest.first_segment;
        let is_there = survey.live.iter().any(|live| live.header.first_lsn == first);
        let is_unusable = survey.unusable.iter().any(|(id, _)| id.first == first);
        self.unusable = survey.unusable.iter().map(|(id, _)| id.first).collect();
        self.is_damaged = !survey.unusable.is_empty();
        if first == Lsn(0) || is_there || is_unusable {
            return;
        }
        self.is_damaged = true;
        if survey.live.is_empty() {
            self.lose_unknown(WoundCause::LogGap, &format!("the segment that begins with {first} is missing"));
        }
    }

    /// Takes one segment in, up to `cut`, where the next one begins.
    pub(super) fn segment(&mut self, live: &mut Live, bytes: &[u8], cut: Option<Lsn>) {
        let (limit, first) = (cut.unwrap_or(Lsn(u64::MAX)), live.header.first_lsn);
        self.report.segments += 1;
        self.is_damaged |= live.fault.is_some();
        if self.next < first {
            self.lose_to(Lsn(first.0 - 1), WoundCause::LogGap, "the log has a gap there");
        }
        let mut reader = SegmentReader::new(bytes, &live.header);
        while reader.next_lsn() < limit
            && let Some(batch) = reader.next_batch()
        {
            batch.into_iter().filter(|(lsn, _)| *lsn < limit).for_each(|(lsn, record)| self.take(lsn, record));
        }
        // What is missing before the checkpoint is in the sorted store.
        if limit <= reader.next_lsn() || limit <= self.upto.next() {
            return;
        }
        let is_short = (bytes.len() as u64) < live.header.bytes;
        let next = reader.next_lsn();
        // What is missing behind it stood in a file of its own.
        let is_explained = !is_short && self.unusable.iter().any(|first| next <= *first && *first < limit);
        match reader.end() {
            SegmentEnd::Clean if (cut.is_none() && !is_short) || is_explained => {}
            SegmentEnd::Torn { offset, what } if cut.is_none() && !is_short && self.end < reader.next_lsn() => {
                self.report.torn_tail = Some((live.path.clone(), offset, what));
            }
            end => self.salvage(live, &reader, end, limit, is_short),
        }
    }

    /// Takes what is good behind a bad place.
    fn salvage(&mut self, live: &mut Live, reader: &SegmentReader<'_>, end: SegmentEnd, limit: Lsn, is_short: bool) {
        let what = match &end {
            SegmentEnd::Clean if is_short => format!("{} is shorter than it was made", live.path),
            SegmentEnd::Clean => format!("{} holds nothing from byte {} on", live.path, reader.offset()),
            SegmentEnd::Torn { offset, what } | SegmentEnd::Damaged { offset, what } => {
                format!("{} from byte {offset}: {what}", live.path)
            }
        };
        self.is_damaged = true;
        live.fault.get_or_insert(Fault { reason: if is_short { "truncated" } else { "rot" }, what: what.clone() });
        let is_last = limit == Lsn(u64::MAX);
        let mut batches = reader.later_batches();
        if is_last && let Some((at, header)) = batches.last() {
            let mut records = header.records(reader.salt(), reader.bytes_from(*at), true);
            // It was being written when the power went.
            if self.end < header.first_lsn && records.any(|(_, _, record)| record.is_err()) {
                batches.pop();
            }
        }
        for (at, header) in batches {
            for (lsn, head, record) in header.records(reader.salt(), reader.bytes_from(at), true) {
                match record {
                    _ if limit <= lsn || lsn < self.next => {}
                    Ok(record) => self.take(lsn, record),
                    Err(fault) => {
                        self.lose_to(Lsn(lsn.0 - 1), WoundCause::LogRot, &what);
                        self.losses.lose_record(lsn, &head, format!("{lsn} in {} at byte {at}: {fault}", live.path));
                        self.pass(lsn);
                    }
                }
            }
        }
        if !is_last {
            self.lose_to(Lsn(limit.0 - 1), WoundCause::LogRot, &what);
        } else if is_short && self.may_have_gone_on(reader, end) {
            self.lose_unknown(WoundCause::LogEnd, &what);
        }
    }

    /// Could there have been more behind the end of a file that is too short?
    fn may_have_gone_on(&self, reader: &SegmentReader<'_>, end: SegmentEnd) -> bool {
        let is_exact = self.is_sealed && self.next == self.end.next();
        // A batch begins with bytes that are not zero, right behind the one before.
        let has_empty_place = end == SegmentEnd::Clean && PAGE_BYTES <= reader.bytes_from(reader.offset()).len();
        !is_exact && !has_empty_place
    }

    /// All segments were read.
    pub(super) fn close(&mut self, survey: &Survey) {
        let end = self.end;
        self.lose_to(end, WoundCause::LogEnd, "the log had been longer");
        let beyond = survey.unusable.iter().find(|(id, _)| self.next <= id.first);
        let is_exact = self.is_sealed && self.next == end.next();
        if let Some((_, fault)) = beyond.filter(|_| !is_exact) {
            let what = fault.what.clone();
            self.lose_unknown(WoundCause::LogEnd, &what);
        }
    }

    fn take(&mut self, lsn: Lsn, record: LogRecord<'_>) {
        if lsn < self.next {
            self.report.records_skipped += u64::from(lsn <= self.upto);
            return;
        }
        self.lose_to(Lsn(lsn.0 - 1), WoundCause::LogRot, "the log has a gap there");
        self.losses.heal(&record);
        self.store.replay(lsn, record);
        self.next = lsn.next();
        self.report.records_replayed += 1;
        if let Some(full) = self.store.spill_if_full() {
            self.spill(full);
        }
    }

    /// Everything from the next record to `last` is missing, if there is anything.
    fn lose_to(&mut self, last: Lsn, cause: WoundCause, what: &str) {
        if self.next <= last {
            self.losses.lose_range(self.next, last, cause, what);
            self.pass(last);
        }
    }

    /// Records from the next one on may be missing: their numbers are left out, so that what comes is newer than they were.
    pub(super) fn lose_unknown(&mut self, cause: WoundCause, what: &str) {
        let upto = Lsn(self.next.0 - 1 + LSN_GAP);
        self.losses.lose_unknown(self.next, upto, cause, what);
        self.pass(upto);
    }

    fn pass(&mut self, lsn: Lsn) {
        self.is_damaged = true;
        self.store.skip_lost(lsn);
        self.next = lsn.next();
    }

    /// Puts a table into the sorted store. After a failure the replay goes on counting, and fails at its end.
    pub(super) fn spill(&mut self, full: FrozenTable) {
        self.spilled = Some((full.last_lsn(), full.hlc_bound()));
        let mut job = CheckpointJob::new(Arc::new(full));
        while self.failure.is_none() {
            match job.step(self.sorted) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => self.failure = Some(error.into()),
            }
        }
        self.report.records_checkpointed += core::mem::take(&mut self.report.records_replayed);
    }
}
