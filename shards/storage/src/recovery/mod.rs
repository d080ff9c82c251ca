//! From what the disk kept to a store that goes on.
//!
//! ```text
//! manifest, wounds ──► which segments count ──► each: header, batches, end ──► memtable (or sorted store, if it is too much)
//!                                                 └─ rot ─► what is good around it; the rest is lost, and known by number
//! nothing was damaged ──► as it is          damaged ──► all into the sorted store, wounds, manifest, bad files aside
//! ```
//! Nothing acknowledged may vanish in silence: what is cut at the end of the log was never acknowledged, and whatever else
//! is missing becomes a wound. Idempotent: a crash during recovery only repeats it.

mod directory;
mod losses;
mod replay;
mod segments;
mod settle;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::limits::{StoreLimits, WalLimits};
use crate::manifest::Manifest;
use crate::record::Lsn;
use crate::shard_store::ShardStore;
use crate::sorted_store::SortedStore;
use crate::wal::WalPosition;
use crate::wounds::Wound;

/// What recovery must be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecoverOptions {
    /// The shard that the directory must belong to.
    pub shard: u16,
    /// Any number that differs from start to start (a clock, a random number): see [`WalPosition::salt`].
    pub salt: u64,
    /// The time, in seconds since 1970, for the names and notes of what is found damaged.
    pub unix_seconds: u64,
    /// The generation of the sorted store that was opened, as the manifest has it; 1 for a fresh directory.
    pub generation: u32,
    /// b: the ring has 2^b virtual nodes.
    pub vnode_bits: u8,
    /// Bounds of the store.
    pub store: StoreLimits,
    /// Bounds of the log.
    pub wal: WalLimits,
}

/// What recovery found out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecoveryReport {
    /// Nothing was there: a new shard.
    pub is_fresh: bool,
    /// Segments read.
    pub segments: usize,
    /// Records replayed into the memtable.
    pub records_replayed: u64,
    /// Records skipped because the sorted store has them.
    pub records_skipped: u64,
    /// Records that went on to the sorted store because the memtable was full, or the log was damaged.
    pub records_checkpointed: u64,
    /// Records that had been acknowledged, or may have been, and are gone; later ones of the same keys may have healed some.
    pub records_lost: u64,
    /// Where the log's torn end was cut: path, byte offset, why.
    pub torn_tail: Option<(String, u64, String)>,
    /// Segments removed: no longer needed, or without a single good batch.
    pub segments_removed: usize,
    /// What was found to be missing at this start.
    pub wounds: Vec<Wound>,
    /// Files and directories that were set aside: where they are now, and why.
    pub set_aside: Vec<(String, String)>,
    /// What was damaged or missing and could be repaired without loss, in words.
    pub repaired: Vec<String>,
}

impl RecoveryReport {
    /// Was anything lost that had been acknowledged? Then the node needs a new incarnation, even after a clean stop.
    pub fn has_lost(&self) -> bool {
        self.records_lost > 0 || !self.wounds.is_empty()
    }

    /// Adds what was found before the log was read.
    pub(crate) fn absorb(&mut self, before: RecoveryReport) {
        self.records_lost += before.records_lost;
        self.wounds.splice(0..0, before.wounds);
        self.set_aside.splice(0..0, before.set_aside);
        self.repaired.splice(0..0, before.repaired);
    }
}

/// A shard that can go on.
#[derive(Debug)]
pub struct Recovered {
    /// The store, memtable filled.
    pub store: ShardStore,
    /// Where the log goes on: `WalWriter::resume(disk, position, limits)`.
    pub position: WalPosition,
    /// What is checkpointed.
    pub manifest: Manifest,
    /// The last record; the next one is the one after.
    pub last_lsn: Lsn,
    /// No clock time above this was ever handed out.
    pub hlc_bound: u64,
    /// What was found.
    pub report: RecoveryReport,
}

/// Opens the shard directory of `disk` (filling it if it is fresh) together with its sorted store.
///
/// # Errors
/// [`StorageError::Foreign`] if it is another shard's, another engine's or another version's: nothing is changed then.
/// [`StorageError::Damaged`] if the sorted store has lost its end: [`crate::open_shard()`] knows what to do.
pub async fn recover<D: Disk>(
    disk: &D,
    sorted: &mut dyn SortedStore,
    options: RecoverOptions,
) -> Result<Recovered, StorageError> {
    let mut report = RecoveryReport::default();
    let directory = directory::open(disk, sorted, &options, &mut report).await?;
    let manifest = &directory.manifest;
    sorted.discard_unfinished(manifest.upto)?;
    let mut survey = segments::survey(disk, &directory, &options, &mut report).await?;
    let mut last_bytes = segments::drop_empty_end(disk, &mut survey, manifest, &mut report).await?;
    let mut store = ShardStore::new(options.store, manifest.upto, manifest.hlc_bound, manifest.upto == Lsn(0));
    store.filter_with(sorted.key_filter(options.vnode_bits, options.store.filter_bytes_max)?);
    store.add_wounds(directory.wounds.iter().cloned());
    let mut replay = replay::Replay::new(sorted, store, manifest, report);
    replay.begin(&survey, manifest);
    for place in 0..survey.live.len() {
        let cut = survey.live.get(place + 1).map(|next| next.header.first_lsn);
        let bytes = match last_bytes.take_if(|_| cut.is_none()) {
            Some(bytes) => bytes,
            None => segments::read(disk, &survey.live[place].path).await?,
        };
        replay.segment(&mut survey.live[place], &bytes, cut);
    }
    replay.close(&survey);
    if let Some(error) = replay.failure.take() {
        return Err(error);
    }
    // The last one is counted by what will be written to it.
    let ended = survey.live.iter().rev().skip(1);
    replay.store.count_log_files(ended.map(|live| live.header.bytes).sum());
    settle::settle(disk, replay, directory, survey, &options).await
}
