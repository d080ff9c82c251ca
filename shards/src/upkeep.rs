//! What a shard knows of the room that its files take, and what it does about a store that has grown too far.
//!
//! Files are looked at by the companion, after each checkpoint and every few seconds; here the answers are kept, and a rewrite
//! is begun when one of them says that it is due. The old generation of a rewritten store goes when the manifest names the
//! new one.

use std::path::PathBuf;

use rondo_protocol::now::Instant;
use rondo_storage::{
    CompanionRequest, RewriteEnd, RewriteJob, RewriteRule, ShardSizes, SizesJob, StoreConfig, StoreJob,
    remove_generation_later,
};

use crate::limits::{REWRITE_AGAIN_AFTER, SIZES_INTERVAL};
use crate::shard::{Shard, ShardPhase};

/// Files of a shard, as their owner sees them.
#[derive(Debug)]
pub(crate) struct Upkeep {
    directory: PathBuf,
    config: StoreConfig,
    rule: RewriteRule,
    generation: u32,
    report: UpkeepReport,
    /// Bytes written by stores that this one has replaced.
    written_before: u64,
    asked: Option<flume::Receiver<ShardSizes>>,
    asked_at: Option<Instant>,
    /// A checkpoint was finished since.
    is_stale: bool,
    rewrite: Option<flume::Receiver<RewriteEnd>>,
    rewrite_not_before: Instant,
    /// What the files weighed after the last rewrite: one that brought little is not repeated before they have grown by half.
    rewritten_bytes: u64,
}

/// What is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UpkeepReport {
    /// As of the last measurement.
    pub(crate) sizes: ShardSizes,
    /// Bytes that the sorted store says it has written since the start.
    pub(crate) store_written_total: u64,
    /// Is a rewrite under way?
    pub(crate) is_rewriting: bool,
    /// Rewrites that ended with a new store.
    pub(crate) rewrites_total: u64,
    /// Rewrites that were given up.
    pub(crate) rewrites_given_up_total: u64,
}

impl Upkeep {
    /// Of the shard in `directory`, whose store of that generation was opened with `config`.
    pub(crate) fn new(directory: PathBuf, config: StoreConfig, generation: u32, rule: RewriteRule) -> Upkeep {
        Upkeep {
            directory,
            config,
            rule,
            generation,
            report: UpkeepReport::default(),
            written_before: 0,
            asked: None,
            asked_at: None,
            is_stale: false,
            rewrite: None,
            rewrite_not_before: Instant::default(),
            rewritten_bytes: 0,
        }
    }

    /// What is known.
    pub(crate) fn report(&self) -> UpkeepReport {
        UpkeepReport { is_rewriting: self.rewrite.is_some(), ..self.report }
    }

    /// What the companion is to do next, if anything.
    fn next_job(&mut self, now: Instant) -> Option<Box<dyn StoreJob>> {
        let has_grown = self.rewritten_bytes + self.rewritten_bytes / 2 <= self.report.sizes.store.disk_bytes;
        let may_begin = self.rewrite.is_none() && self.rewrite_not_before <= now && has_grown;
        if may_begin && self.rule.is_due(&self.report.sizes.store) {
            let (end, ended) = flume::bounded(1);
            self.rewrite = Some(ended);
            return Some(Box::new(RewriteJob::new(self.directory.clone(), self.generation, self.config, end)));
        }
        let is_time = self.asked_at.is_none_or(|at| self.is_stale || now - at >= SIZES_INTERVAL);
        if self.asked.is_some() || !is_time {
            return None;
        }
        let (answer, asked) = flume::bounded(1);
        (self.asked, self.asked_at, self.is_stale) = (Some(asked), Some(now), false);
        Some(Box::new(SizesJob::new(self.directory.clone(), answer)))
    }

    /// The companion does not take it now.
    fn put_off(&mut self, now: Instant) {
        // Whichever it was: its channel is closed, and it is asked again a little later.
        self.take_answers(now);
    }

    fn take_answers(&mut self, now: Instant) {
        match self.asked.as_ref().map(flume::Receiver::try_recv) {
            Some(Ok(sizes)) => self.take_sizes(sizes),
            Some(Err(flume::TryRecvError::Disconnected)) => self.asked = None,
            Some(Err(flume::TryRecvError::Empty)) | None => {}
        }
        match self.rewrite.as_ref().map(flume::Receiver::try_recv) {
            Some(Ok(end)) => self.take_end(end, now),
            Some(Err(flume::TryRecvError::Disconnected)) => {
                self.rewrite = None;
                self.rewrite_not_before = now + REWRITE_AGAIN_AFTER;
            }
            Some(Err(flume::TryRecvError::Empty)) | None => {}
        }
    }

    /// The store was opened again, as another generation if it had to be built anew.
    pub(crate) fn reopened(&mut self, generation: u32) {
        self.generation = generation;
        self.is_stale = true;
    }

    fn take_sizes(&mut self, sizes: ShardSizes) {
        // A store that was opened again counts from zero.
        if sizes.store.written_bytes_total < self.report.sizes.store.written_bytes_total {
            self.written_before += self.report.sizes.store.written_bytes_total;
        }
        self.asked = None;
        self.report.sizes = sizes;
        self.report.store_written_total = self.written_before + sizes.store.written_bytes_total;
    }

    fn take_end(&mut self, end: RewriteEnd, now: Instant) {
        self.rewrite = None;
        match end {
            RewriteEnd::Replaced { objects, bytes_before, bytes_after } => {
                tracing::info!(objects, bytes_before, bytes_after, "the sorted store was rewritten");
                self.generation += 1;
                self.report.rewrites_total += 1;
                self.rewritten_bytes = bytes_after;
                self.written_before += core::mem::take(&mut self.report.sizes.store.written_bytes_total);
                // Until it was measured, nothing is known of the new one.
                self.report.sizes.store = Default::default();
                self.is_stale = true;
            }
            RewriteEnd::GivenUp(why) => {
                tracing::warn!(why, "the rewrite of the sorted store was given up");
                self.report.rewrites_given_up_total += 1;
                self.rewrite_not_before = now + REWRITE_AGAIN_AFTER;
            }
        }
    }
}

impl Shard {
    /// At each beat: takes what was answered, and asks what is to be asked.
    pub(crate) fn beat_upkeep(&mut self) {
        let now = self.now.instant;
        self.upkeep.take_answers(now);
        if self.phase != ShardPhase::Serving || self.cold.trouble().is_some() {
            return;
        }
        let Some(job) = self.upkeep.next_job(now) else { return };
        if let Err(job) = self.cold.companion().ask(CompanionRequest::Run(job)) {
            drop(job);
            self.upkeep.put_off(now);
        }
    }

    /// A checkpoint is finished, and the manifest named `before` until then and names `generation` now.
    pub(crate) fn upkeep_after_checkpoint(&mut self, before: u32, generation: u32) {
        self.upkeep.is_stale = true;
        if before != generation {
            let Upkeep { directory, config, .. } = &self.upkeep;
            tracing::info!(shard = self.index.0, generation, "the new store counts; the old one goes");
            remove_generation_later(directory, config.engine, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use rondo_storage::Engine;
    use rondo_storage::sorted_store::StoreSizes;

    fn upkeep() -> Upkeep {
        let config = StoreConfig { engine: Engine::Sled, cache_bytes: 1 << 20 };
        Upkeep::new(PathBuf::from("/nowhere"), config, 1, RewriteRule { ratio: 4, bytes_min: 1000 })
    }

    fn sizes(disk_bytes: u64, live_bytes: u64, written_bytes_total: u64) -> ShardSizes {
        let store = StoreSizes { disk_bytes, live_bytes, written_bytes_total, ..StoreSizes::default() };
        ShardSizes { store, ..ShardSizes::default() }
    }

    fn name_of(job: Option<Box<dyn StoreJob>>) -> Option<&'static str> {
        job.map(|job| job.name())
    }

    #[test]
    fn sizes_are_asked_at_once_every_few_seconds_and_after_a_checkpoint() {
        let (mut upkeep, now) = (upkeep(), Instant(0));
        assert_eq!(name_of(upkeep.next_job(now)), Some("sizes"));
        upkeep.take_answers(now); // The job was dropped: it will be asked again in time.
        assert_eq!(name_of(upkeep.next_job(now + Duration::from_secs(1))), None);
        upkeep.is_stale = true;
        assert_eq!(name_of(upkeep.next_job(now + Duration::from_secs(1))), Some("sizes"));
        upkeep.take_answers(now);
        assert_eq!(name_of(upkeep.next_job(now + SIZES_INTERVAL * 2)), Some("sizes"));
    }

    #[test]
    fn a_store_that_has_grown_too_far_is_rewritten_once_and_a_failure_is_not_repeated_at_once() {
        let (mut upkeep, now) = (upkeep(), Instant(0));
        upkeep.take_sizes(sizes(4_001, 1_000, 10));
        assert_eq!(name_of(upkeep.next_job(now)), Some("rewrite"));
        assert_ne!(name_of(upkeep.next_job(now)), Some("rewrite"));
        upkeep.take_end(RewriteEnd::GivenUp("no room".to_owned()), now);
        assert_ne!(name_of(upkeep.next_job(now + Duration::from_secs(60))), Some("rewrite"));
        assert_eq!(name_of(upkeep.next_job(now + REWRITE_AGAIN_AFTER)), Some("rewrite"));
        upkeep.take_end(RewriteEnd::Replaced { objects: 1, bytes_before: 9, bytes_after: 3 }, now);
        assert_eq!((upkeep.generation, upkeep.report.rewrites_total, upkeep.report.rewrites_given_up_total), (2, 1, 1));
        assert_ne!(name_of(upkeep.next_job(now + REWRITE_AGAIN_AFTER)), Some("rewrite"), "not measured yet");
        upkeep.rewritten_bytes = 3_000;
        upkeep.take_sizes(sizes(4_400, 1_000, 10));
        assert_ne!(name_of(upkeep.next_job(now + REWRITE_AGAIN_AFTER)), Some("rewrite"), "it brought little");
        upkeep.take_sizes(sizes(4_500, 1_000, 10));
        assert_eq!(name_of(upkeep.next_job(now + REWRITE_AGAIN_AFTER)), Some("rewrite"));
    }

    #[test]
    fn bytes_written_go_on_over_stores_that_take_each_others_place() {
        let mut upkeep = upkeep();
        upkeep.take_sizes(sizes(1, 1, 100));
        upkeep.take_sizes(sizes(1, 1, 30));
        assert_eq!(upkeep.report().store_written_total, 130);
        upkeep.take_end(RewriteEnd::Replaced { objects: 1, bytes_before: 9, bytes_after: 3 }, Instant(0));
        upkeep.take_sizes(sizes(1, 1, 50));
        assert_eq!(upkeep.report().store_written_total, 180);
    }
}
