//! The log's one writer: what gathers while a batch becomes durable goes with the next.
//!
//! No timer and no tuning: a quiet shard commits each record alone and at once, a busy one commits hundreds together. The
//! second half of a checkpoint (manifest, removal of old segments) is done here too, between two batches, because it
//! touches the log.
//!
//! What the disk refuses is kept and tried again, in a new segment, until the disk takes it: nobody is told that it is
//! durable before, and nobody is told that it is lost. What may be written meanwhile is [`DiskHealth`]'s judgement.
//!
//! [`DiskHealth`]: rondo_storage::DiskHealth

use core::time::Duration;
use std::sync::Arc;

use rondo_protocol::Event;
use rondo_protocol::event::DiskState;
use rondo_protocol::now::Instant;
use rondo_protocol::ticket::Lsn;
use rondo_storage::{
    Attempt, Batch, CompanionRequest, DiskCondition, FrozenTable, LossesNoted, Manifest, ShardStore, Takes, WalWriter,
    WriteFailure, finish_checkpoint, seal_log,
};

use crate::limits::{LONG_TURN, STOP_TRIES_FOR};
use crate::runtime::{ThreadDisk, with_longest_poll};
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
    pub(crate) writer: WalWriter<ThreadDisk>,
    pub(crate) manifest: Manifest,
}

/// What the next look at the log is to write.
struct Commit {
    batch: Batch,
    bytes: usize,
    since: Instant,
    /// With the reserve, where the disk has no room?
    attempt: Attempt,
}

/// Writes batches until the shard stops. True if everything appended is durable then.
pub(crate) async fn commit_loop(shard: SharedShard, mut log: Log) -> bool {
    let bell = shard.with(|shard| shard.commit_bell.clone());
    // A batch that the disk has refused, until it takes it.
    let mut held = None;
    let mut give_up_at = None;
    first_fill(&shard, &mut log).await;
    loop {
        let is_busy = commit_one(&shard, &mut log, &mut held).await
            | note_wounds(&shard, &mut log).await
            | finish_one(&shard, &mut log).await
            | refill_one(&shard, &mut log).await;
        if is_busy {
            continue;
        }
        if shard.with(|shard| shard.phase == ShardPhase::Stopping) {
            let now = shard.with(|shard| shard.facts.clock.instant());
            let give_up_at = *give_up_at.get_or_insert(now + STOP_TRIES_FOR);
            if held.is_none() || now >= give_up_at {
                let is_durable = shard.with(|shard| shard.store.committed_lsn() == shard.store.last_lsn());
                if is_durable {
                    seal(&shard, &mut log).await;
                }
                return is_durable;
            }
        }
        bell.wait().await; // Rung by appends, and at a beat when something is to be tried again or the shard stops.
    }
}

/// Says where the log ends. Without that word the next start is as after a crash, which loses nothing.
async fn seal(shard: &SharedShard, log: &mut Log) {
    if let Err(error) = seal_log(&log.writer, &mut log.manifest).await {
        tracing::warn!(shard = shard.with(|shard| shard.index.0), %error, "the end of the log could not be noted");
    }
}

async fn commit_one(shard: &SharedShard, log: &mut Log, held: &mut Option<Batch>) -> bool {
    let Some(commit) = shard.with(|shard| shard.next_commit(held)) else { return false };
    let Commit { batch, bytes, since, attempt } = commit;
    let (written, longest) = with_longest_poll(async {
        match attempt {
            Attempt::CommitFromReserve => log.writer.write_from_reserve(batch).await,
            Attempt::Commit | Attempt::Checkpoint => log.writer.write(batch).await,
        }
    })
    .await;
    shard.with(|shard| shard.counters.storage_stalls += u64::from(longest > LONG_TURN));
    shard.turn(|shard| match written {
        Ok(lsn) => {
            shard.disk.written(attempt);
            shard.look_at_disk();
            shard.take_durable(lsn, bytes, since);
        }
        Err(WriteFailure { batch, error, trouble }) => {
            *held = Some(batch);
            shard.counters.wal_refusals += 1;
            shard.disk.refused(attempt, trouble, error.to_string(), since_start(shard.now.instant));
            shard.look_at_disk();
        }
    });
    true
}

async fn finish_one(shard: &SharedShard, log: &mut Log) -> bool {
    let Some((table, generation)) = shard.with(Shard::next_finish) else { return false };
    let before = log.manifest.store;
    let finishing = finish_checkpoint(&mut log.writer, &mut log.manifest, &table, generation);
    let (finished, longest) = with_longest_poll(finishing).await;
    shard.with(|shard| shard.counters.storage_stalls += u64::from(longest > LONG_TURN));
    shard.turn(|shard| match finished {
        Ok(()) => {
            shard.disk.written(Attempt::Checkpoint);
            shard.look_at_disk();
            shard.upkeep_after_checkpoint(before, generation);
            shard.take_checkpointed(&table);
        }
        Err(error) => {
            tracing::warn!(shard = shard.index.0, %error, "a checkpoint could not be finished; it is tried again");
            shard.store.checkpoint_failed();
            shard.checkpoint.applied = Some((table, generation));
            shard.disk.refused(Attempt::Checkpoint, error.trouble(), error.to_string(), since_start(shard.now.instant));
            shard.look_at_disk();
        }
    });
    true
}

/// Makes what was found to be lost durable. What the disk refuses is tried again at the next ring.
async fn note_wounds(shard: &SharedShard, log: &mut Log) -> bool {
    let owed = shard.with(|shard| core::mem::take(&mut shard.jobs.owes_wounds).then(|| shard.store.wounds().clone()));
    let Some(wounds) = owed else { return false };
    let noted = wounds.note(log.writer.disk(), &mut log.manifest).await;
    let Err(error) = noted else {
        // If it has no ear for it now, the next start finds the same losses, and knows them.
        shard.with(|shard| drop(shard.cold.companion().ask(CompanionRequest::Run(Box::new(LossesNoted)))));
        return true;
    };
    shard.with(|shard| {
        tracing::warn!(shard = shard.index.0, %error, "what was lost could not be noted; it is tried again");
        shard.jobs.owes_wounds = true;
    });
    false
}

/// Sets the reserve aside again, once there is room.
async fn refill_one(shard: &SharedShard, log: &mut Log) -> bool {
    let is_due = shard.with(|shard| {
        let now = shard.facts.clock.instant();
        let is_due = shard.disk.may_refill(since_start(now));
        if is_due {
            shard.disk.began(since_start(now));
        }
        is_due
    });
    if is_due {
        refill(shard, log).await;
    }
    is_due
}

/// At the start the reserve may not be there yet. Without it a shard serves, and only a full disk makes a difference.
async fn first_fill(shard: &SharedShard, log: &mut Log) {
    if shard.with(|shard| !shard.space.room().is_little()) {
        shard.with(|shard| shard.disk.began(since_start(shard.facts.clock.instant())));
        refill(shard, log).await;
    }
}

async fn refill(shard: &SharedShard, log: &mut Log) {
    let refilled = log.writer.refill_reserve().await;
    shard.turn(|shard| {
        if let Err(error) = &refilled {
            tracing::warn!(shard = shard.index.0, %error, "the reserve of the log could not be set aside");
        }
        shard.disk.refilled(matches!(refilled, Ok(true)), since_start(shard.now.instant));
        shard.look_at_disk();
    });
}

impl Shard {
    /// The batch that the disk refused last, once it may be tried again; else a new one.
    fn next_commit(&mut self, held: &mut Option<Batch>) -> Option<Commit> {
        let now = self.facts.clock.instant();
        if held.is_some() && !self.disk.may_try(since_start(now)) {
            return None;
        }
        let batch = held.take().or_else(|| self.store.take_batch())?;
        self.disk.began(since_start(now));
        let attempt = if self.disk.uses_reserve() { Attempt::CommitFromReserve } else { Attempt::Commit };
        Some(Commit { bytes: batch.encoded_bytes(), batch, since: now, attempt })
    }

    /// The checkpoint whose second half may be done (or tried again) now.
    fn next_finish(&mut self) -> Option<(Arc<FrozenTable>, u32)> {
        let now = self.facts.clock.instant();
        // The store may be another one that lacks something: that is noted before the manifest names it.
        let is_ready = self.checkpoint.applied.is_some() && !self.jobs.owes_wounds;
        if !is_ready || !self.disk.may_try(since_start(now)) {
            return None;
        }
        self.disk.began(since_start(now));
        self.checkpoint.applied.take()
    }

    /// At each beat: a write may not have come back, the room may have changed, something may be due to be tried again.
    pub(crate) fn beat_disk(&mut self) {
        self.look_at_disk();
        if self.disk.wants_try(since_start(self.now.instant)) || self.jobs.owes_wounds {
            self.commit_bell.ring();
        }
    }

    /// Judges the disk anew, and tells the core if that changes what it may take.
    fn look_at_disk(&mut self) {
        let before = self.disk.condition();
        let takes = self.disk.look(since_start(self.now.instant), self.space.room());
        if self.disk.condition() != before {
            let report = self.disk.report();
            self.counters.disk_changes += 1;
            let (shard, reason) = (self.index.0, report.reason.as_deref().unwrap_or_default());
            match report.condition {
                DiskCondition::Writable => tracing::info!(shard, "the disk takes writes again"),
                DiskCondition::Full => tracing::error!(shard, reason, "the disk is full: only deletes are taken"),
                DiskCondition::Failing => tracing::error!(shard, reason, "the disk fails: no writes are taken"),
                DiskCondition::Stalled => {
                    tracing::error!(shard, reason, "the disk does not answer: no writes are taken")
                }
            }
        }
        if let Some(takes) = takes {
            self.deliver(Event::DiskChanged { state: state_of(takes) });
        }
    }

    fn take_durable(&mut self, lsn: rondo_storage::Lsn, bytes: usize, since: Instant) {
        self.counters.wal_syncs += 1;
        self.counters.wal_bytes += bytes as u64;
        self.counters.commit_latency.record(self.now.instant - since);
        self.store.committed(lsn);
        self.deliver(Event::Durable { upto: Lsn(lsn.0) });
        self.begin_checkpoint_if_due();
    }

    /// Freezes the memtable and gives it to the companion, if it is time.
    pub(crate) fn begin_checkpoint_if_due(&mut self) {
        let is_due = self.store.checkpoint_due() || self.jobs.want_checkpoint();
        if self.checkpoint.wanted.is_none() && is_due && self.may_checkpoint() {
            self.checkpoint.wanted = self.with_store(ShardStore::freeze);
        }
        if let Some(table) = self.checkpoint.wanted.take()
            && let Err(CompanionRequest::Checkpoint(table)) =
                self.cold.companion().ask(CompanionRequest::Checkpoint(table))
        {
            self.checkpoint.wanted = Some(table);
        }
    }

    fn may_checkpoint(&self) -> bool {
        let stats = self.store.stats();
        self.disk.may_checkpoint(stats.memtable_active_bytes + stats.memtable_frozen_bytes)
    }

    fn take_checkpointed(&mut self, table: &FrozenTable) {
        self.with_store(|store| store.checkpointed(table.last_lsn()));
        self.checkpoint.finished_at = self.now.instant;
        self.jobs.checkpointed(table);
        self.start_jobs();
        self.begin_checkpoint_if_due();
    }
}

/// The time as the disk's health counts it.
fn since_start(now: Instant) -> Duration {
    now - Instant::default()
}

fn state_of(takes: Takes) -> DiskState {
    match takes {
        Takes::All => DiskState::Writable,
        Takes::Deletes => DiskState::Full,
        Takes::Nothing => DiskState::Failing,
    }
}
