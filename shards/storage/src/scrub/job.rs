//! Reads every object of a sorted store, then its files, a step between reads and checkpoints.

use super::Scrubbed;
use crate::backup::JobProgress;
use crate::limits::{BACKUP_LOSSES_MAX, BACKUP_PAGE_BYTES, BACKUP_PAGE_ENTRIES, SCRUB_STEP_BYTES};
use crate::record::Lsn;
use crate::sorted_store::{FileCursor, KeyGap, PageLimits, SortedStore, SortedStoreError, split_stored_key};
use crate::store_job::{JobMoment, JobStep, StoreJob};
use crate::wounds::{Wound, WoundCause, Wounds};
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// The job. What it has found goes through a channel when it ends.
#[derive(Debug)]
pub struct ScrubJob {
    rest_times: u32,
    results: flume::Sender<Scrubbed>,
    progress: Arc<JobProgress>,
    is_cancelled: Arc<AtomicBool>,
    /// Where the scan goes on; `None` when all objects have been read.
    cursor: Option<Vec<u8>>,
    files: FileCursor,
    found: Scrubbed,
    /// What is known to be lost already: it is counted, but makes no wound again.
    known: Wounds,
    unix_seconds: u64,
}

impl ScrubJob {
    /// A job that rests `rest_times` as long as it works (see [`super::rest_times`]), on a shard with these wounds.
    pub fn new(
        rest_times: u32,
        known: Wounds,
        unix_seconds: u64,
        results: flume::Sender<Scrubbed>,
        progress: Arc<JobProgress>,
        is_cancelled: Arc<AtomicBool>,
    ) -> ScrubJob {
        ScrubJob {
            rest_times,
            results,
            progress,
            is_cancelled,
            cursor: Some(Vec::new()),
            files: FileCursor::default(),
            found: Scrubbed::default(),
            known,
            unix_seconds,
        }
    }

    /// True when there is nothing more to look at.
    fn advance(&mut self, store: &dyn SortedStore) -> Result<bool, SortedStoreError> {
        let Some(cursor) = self.cursor.take() else { return self.check_files(store) };
        let limits = PageLimits { entries_max: BACKUP_PAGE_ENTRIES, bytes_max: BACKUP_PAGE_BYTES };
        let page = store.scan(&cursor, u128::MAX, limits)?;
        let bytes: u64 = page.entries.iter().map(|entry| (entry.routed.len() + entry.object.len()) as u64).sum();
        let objects = (page.entries.len() + page.unreadable.len()) as u64;
        self.found.objects += objects;
        self.found.bytes += bytes;
        self.progress.keys.fetch_add(objects, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(last) = page.entries.last() {
            self.progress.done.store((last.token >> 112) as u64, Ordering::Relaxed);
        }
        let upto = store.durable_upto()?;
        for key in &page.unreadable {
            let token = split_stored_key(key).map_or(0, |(token, _)| token);
            self.wound(token..=token, upto, Some(1), "a stored object is damaged");
            self.found.note(place_of(key), "the stored object is damaged".to_owned());
        }
        for gap in page.gaps {
            self.wound(tokens_of(&gap), upto, None, &gap.what);
            self.found.note(range_of(&gap), gap.what);
        }
        self.cursor = page.next;
        Ok(false)
    }

    fn wound(&mut self, tokens: RangeInclusive<u128>, upto: Lsn, keys: Option<u64>, what: &str) {
        let (from, to) = tokens.into_inner();
        let is_known = self.known.covers(from).is_some_and(|wound| to <= wound.to);
        if !is_known && self.found.wounds.len() < BACKUP_LOSSES_MAX {
            let (cause, found_at_unix) = (WoundCause::StoreRot, self.unix_seconds);
            self.found.wounds.push(Wound { from, to, upto, keys, cause, what: what.to_owned(), found_at_unix });
        }
    }

    fn check_files(&mut self, store: &dyn SortedStore) -> Result<bool, SortedStoreError> {
        let check = store.verify_files(&mut self.files, SCRUB_STEP_BYTES)?;
        self.found.bytes += check.bytes;
        self.progress.bytes.fetch_add(check.bytes, Ordering::Relaxed);
        for (file, what) in check.damaged {
            self.found.note(format!("{} {file}", store.engine()), what);
        }
        Ok(check.is_done)
    }
}

impl StoreJob for ScrubJob {
    fn name(&self) -> &'static str {
        "scrub"
    }

    fn step(&mut self, store: &mut dyn SortedStore, _: JobMoment) -> JobStep {
        if self.is_cancelled.load(Ordering::Acquire) {
            return JobStep::Done;
        }
        match self.advance(store) {
            Ok(false) => return JobStep::More,
            Ok(true) => self.progress.done.store(JobProgress::WHOLE, Ordering::Relaxed),
            Err(error) => self.found.cut_short = Some(error.to_string()),
        }
        // If nobody waits for it any more, nobody needs it.
        let _ = self.results.send(core::mem::take(&mut self.found));
        JobStep::Done
    }

    fn rest_times(&self) -> u32 {
        self.rest_times
    }
}

fn place_of(key: &[u8]) -> String {
    match split_stored_key(key) {
        Some((token, routed)) => format!("token {token:032x}, key {}", routed.escape_ascii()),
        None => format!("stored key {}", key.escape_ascii()),
    }
}

fn tokens_of(gap: &KeyGap) -> RangeInclusive<u128> {
    let token = |key: &[u8]| split_stored_key(key).map(|(token, _)| token);
    token(&gap.from).unwrap_or(0)..=gap.to.as_deref().and_then(token).unwrap_or(u128::MAX)
}

fn range_of(gap: &KeyGap) -> String {
    let to = gap.to.as_deref().map_or_else(|| "the end".to_owned(), place_of);
    format!("from {} to {to}", place_of(&gap.from))
}
