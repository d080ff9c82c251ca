//! What one shard holds in memory, and what it still owes the disk. No I/O happens here.
use crate::limits::StoreLimits;
use crate::record::{LogRecord, Lsn};
use crate::stats::StoreStats;
use crate::table::FrozenTable;
use crate::wal::Batch;
use bytes::Bytes;
use std::sync::Arc;

/// What a lookup found without asking the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// The object, and the record it came from (`Lsn(0)` if the sorted store has it, hence durable).
    Hit {
        /// Its canonical bytes.
        object: Bytes,
        /// Where it stands in the log.
        lsn: Lsn,
    },
    /// Nothing is stored: known, not guessed.
    Absent,
    /// Only the sorted store can say; ask the companion, then call [`ShardStore::loaded`].
    Cold,
}

/// What to deliver for a cold read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// The object; a newer one than the disk had, if one was written meanwhile.
    Object {
        /// Its canonical bytes.
        object: Bytes,
        /// Where it stands in the log; `Lsn(0)` if the sorted store has it.
        lsn: Lsn,
    },
    /// Nothing is stored.
    Absent,
    /// The disk holds something, but not what was written.
    Unreadable,
}

/// The memory of one shard. Not Sync, not async: the shard calls it inside a turn.
#[derive(Debug)]
pub struct ShardStore {}

impl ShardStore {
    /// An empty store that goes on after record `last_lsn` (all durable). `sorted_is_empty`: the sorted store is known to
    /// hold nothing, so that a key that is not here is absent.
    pub fn new(limits: StoreLimits, last_lsn: Lsn, hlc_bound: u64, sorted_is_empty: bool) -> ShardStore {
        todo!("{limits:?}{last_lsn}{hlc_bound}{sorted_is_empty}")
    }
    /// Puts `record` into the memtable and queues it for the log.
    ///
    /// # Panics
    /// If `lsn` is not the one after the last, or a length passes its limit: the caller checks both.
    pub fn append(&mut self, lsn: Lsn, record: LogRecord<'_>) {
        todo!("{lsn}{record:?}")
    }
    /// Finds the newest object of a key. Never waits.
    pub fn lookup(&mut self, token: u128, routed: &[u8]) -> Lookup {
        todo!("{token}{routed:?}")
    }
    /// Takes the outcome of a cold read into the cache and says what to deliver. Outcomes and checkpoints must be taken in
    /// the order in which the companion sent them.
    pub fn loaded(&mut self, token: u128, routed: &[u8], found: crate::companion::ColdFound) -> Delivery {
        todo!("{token}{routed:?}{found:?}")
    }
    /// Everything appended since the last batch, as far as one batch goes; `None` if there is nothing.
    pub fn take_batch(&mut self) -> Option<Batch> {
        todo!()
    }
    /// All records up to `lsn` would survive a power cut.
    pub fn committed(&mut self, lsn: Lsn) {
        todo!("{lsn}")
    }
    /// Is it time to [`freeze`](ShardStore::freeze)?
    pub fn checkpoint_due(&self) -> bool {
        todo!()
    }
    /// Hands out what a checkpoint is to write; `None` while an earlier one is not finished, while some of it is not durable in
    /// the log yet (ask again after [`committed`](ShardStore::committed)), or if there is nothing to write.
    /// May be called before a checkpoint is due (at shutdown).
    pub fn freeze(&mut self) -> Option<Arc<FrozenTable>> {
        todo!()
    }
    /// The checkpoint up to `lsn` is in the sorted store and in the manifest: the frozen entries may move into the cache.
    pub fn checkpointed(&mut self, lsn: Lsn) {
        todo!("{lsn}")
    }
    /// The checkpoint failed: the entries stay frozen and readable, and writes are refused once the active table is full.
    pub fn checkpoint_failed(&mut self) {
        todo!()
    }
    /// Must writes be refused with Busy? True while a checkpoint cannot keep up or the log does not take what is queued.
    pub fn is_overloaded(&self) -> bool {
        todo!()
    }
    /// The last record appended.
    pub fn last_lsn(&self) -> Lsn {
        todo!()
    }
    /// The last record known durable.
    pub fn committed_lsn(&self) -> Lsn {
        todo!()
    }
    /// The largest clock bound appended.
    pub fn hlc_bound(&self) -> u64 {
        todo!()
    }
    /// What is and what was.
    pub fn stats(&self) -> StoreStats {
        todo!()
    }
}
