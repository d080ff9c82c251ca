//! From what the disk kept to a store that goes on.
use crate::disk::Disk;
use crate::error::StorageError;
use crate::limits::{StoreLimits, WalLimits};
use crate::manifest::Manifest;
use crate::record::Lsn;
use crate::shard_store::ShardStore;
use crate::sorted_store::SortedStore;
use crate::wal::WalPosition;

/// What recovery must be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecoverOptions {
    /// The shard that the directory must belong to.
    pub shard: u16,
    /// Any number that differs from start to start (a clock, a random number): see [`WalPosition::salt`].
    pub salt: u64,
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
    /// Records moved on to the sorted store because the memtable was full.
    pub records_checkpointed: u64,
    /// Where the log's torn end was cut: path, byte offset, why.
    pub torn_tail: Option<(String, u64, String)>,
    /// Segments removed because their creation or their first batch had not finished.
    pub segments_removed: usize,
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

/// Opens the shard directory of `disk` (creating it if it is fresh) together with its sorted store.
pub async fn recover<D: Disk>(
    disk: &D,
    sorted: &mut dyn SortedStore,
    options: RecoverOptions,
) -> Result<Recovered, StorageError> {
    let _ = (disk, sorted, options);
    todo!()
}
