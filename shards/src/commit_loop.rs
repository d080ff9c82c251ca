//! The log's one writer: what gathers while a batch becomes durable goes with the next.
//!
//! No timer and no tuning: a quiet shard commits each record alone and at once, a busy one commits hundreds together. The
//! second half of a checkpoint (manifest, removal of old segments) is done here too, between two batches, because it
//! touches the log.

use std::sync::Arc;

use rondo_protocol::Event;
use rondo_protocol::event::DiskState;
use rondo_protocol::now::Instant;
use rondo_protocol::ticket::Lsn;
use rondo_storage::{CompanionRequest, FrozenTable, Manifest, StorageError, WalWriter, finish_checkpoint};

use crate::runtime::GlommioDisk;
use crate::shard::{Shard, ShardPhase, SharedShard};

/// A checkpoint under way, as far as the shard has to do with it.
#[derive(Debug, Default)]
pub(crate) struct Checkpoint {
    /// To be given to the companion, whose queue was full.
    pub(crate) wanted: Option<Arc<FrozenTable>>,
    /// Durable in the sorted store; the manifest comes next.
    pub(crate) applied: Option<(Arc<FrozenTable>, u32)>,
    /// When the last one was finished (or the shard began).
    pub(crate) finished_at: Instant,
    /// The companion answers nothing more.
    pub(crate) companion_has_ended: bool,
}

/// The log and what it says about itself.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) writer: WalWriter<GlommioDisk>,
    pub(crate) manifest: Manifest,
}

/// Writes batches until the shard stops. True if everything appended is durable then.
pub(crate) async fn commit_loop(shard: SharedShard, mut log: Log) -> bool {
    let bell = shard.with(|shard| shard.commit_bell.clone());
    loop {
        let is_busy = commit_one(&shard, &mut log).await | finish_one(&shard, &mut log).await;
        if !is_busy && shard.with(|shard| shard.phase == ShardPhase::Stopping) {
            return shard.with(|shard| shard.disk_failure.is_none());
        }
        if !is_busy {
            bell.wait().await;
        }
    }
}

async fn commit_one(shard: &SharedShard, log: &mut Log) -> bool {
    let taken = shard.with(|shard| shard.take_batch());
    let Some((batch, since)) = taken else { return false };
    let bytes = batch.encoded_bytes();
    let written = log.writer.write(batch).await;
    shard.turn(|shard| match written {
        Ok(lsn) => shard.take_durable(lsn, bytes, since),
        Err(failure) => shard.fail_disk(&failure.error),
    });
    true
}

async fn finish_one(shard: &SharedShard, log: &mut Log) -> bool {
    let Some((table, generation)) = shard.with(|shard| shard.checkpoint.applied.take()) else { return false };
    let finished = finish_checkpoint(&mut log.writer, &mut log.manifest, &table, generation).await;
    shard.turn(|shard| match finished {
        Ok(()) => shard.take_checkpointed(&table),
        Err(error) => shard.fail_checkpoint(&error),
    });
    true
}

impl Shard {
    fn take_batch(&mut self) -> Option<(rondo_storage::Batch, Instant)> {
        if self.disk_failure.is_some() {
            return None;
        }
        Some((self.store.take_batch()?, self.facts.clock.instant()))
    }

    fn take_durable(&mut self, lsn: rondo_storage::Lsn, bytes: usize, since: Instant) {
        self.counters.wal_syncs += 1;
        self.counters.wal_bytes += bytes as u64;
        self.counters.commit_latency.record(self.now.instant - since);
        self.store.committed(lsn);
        self.deliver(Event::Durable { upto: Lsn(lsn.0) });
        self.begin_checkpoint_if_due();
    }

    fn fail_disk(&mut self, error: &StorageError) {
        tracing::error!(shard = self.index.0, %error, "the log takes no more writes; restart the node");
        self.disk_failure = Some(error.to_string());
        self.deliver(Event::DiskChanged { state: DiskState::Failing });
    }

    /// Freezes the memtable and gives it to the companion, if it is time.
    pub(crate) fn begin_checkpoint_if_due(&mut self) {
        let is_due = self.store.checkpoint_due() || self.jobs.want_checkpoint();
        if self.checkpoint.wanted.is_none() && is_due {
            self.checkpoint.wanted = self.store.freeze();
        }
        if let Some(table) = self.checkpoint.wanted.take()
            && let Err(CompanionRequest::Checkpoint(table)) =
                self.cold.companion().ask(CompanionRequest::Checkpoint(table))
        {
            self.checkpoint.wanted = Some(table);
        }
    }

    fn take_checkpointed(&mut self, table: &FrozenTable) {
        self.store.checkpointed(table.last_lsn());
        self.checkpoint.finished_at = self.now.instant;
        self.jobs.checkpointed(table);
        self.start_jobs();
        self.begin_checkpoint_if_due();
    }

    fn fail_checkpoint(&mut self, error: &StorageError) {
        tracing::error!(shard = self.index.0, %error, "a checkpoint could not be finished");
        self.store.checkpoint_failed();
    }
}
