//! What one shard holds in memory, and what it still owes the disk. No I/O happens here.
//!
//! ```text
//! append ──► active ──freeze──► waiting ──committed──► writing ──checkpointed──► settling ──► cache
//!              └──► pending ──take_batch──► the log
//! ```
//! An object is found in the active table, else in the frozen one, else in the cache, else in the sorted store, which is
//! asked only if the filter does not deny the key; a key is in the cache only if neither table has it. A frozen table is handed out when all of it is durable in the log, so the
//! sorted store never runs ahead of the log.

use crate::cache::{self, ObjectCache};
use crate::companion::ColdFound;
use crate::filter::KeyFilter;
use crate::limits::StoreLimits;
use crate::limits::{
    BATCH_BYTES_WANTED, OBJECT_BYTES_MAX, ROUTED_BYTES_MAX, SETTLE_ENTRIES, SHARED_OBJECT_BYTES_MIN, TABLE_BYTES_EACH,
    TABLE_KEYS_AHEAD_MAX,
};
use crate::record::{LogRecord, Lsn};
use crate::sorted_store::Stored;
use crate::stats::StoreStats;
use crate::table::{Entry, FrozenTable, HashedKey, Table};
use crate::wal::{Batch, PendingRecord};
use crate::wounds::{Wound, Wounds};
use ahash::RandomState;
use bytes::Bytes;
use std::collections::VecDeque;
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
    /// Something was or may have been stored that is lost: neither a value nor an absence can be given.
    Unreadable,
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

/// Where the frozen table stands.
#[derive(Debug)]
enum Frozen {
    None,
    /// Some of it is still on the way to the log.
    Waiting(Arc<FrozenTable>),
    /// The companion has it.
    Writing(Arc<FrozenTable>),
    /// The sorted store has it; its entries move into the cache.
    Settling(Arc<FrozenTable>),
}

impl Frozen {
    fn table(&self) -> Option<&Table> {
        match self {
            Frozen::None => None,
            Frozen::Waiting(frozen) | Frozen::Writing(frozen) | Frozen::Settling(frozen) => Some(&frozen.table),
        }
    }

    /// Does the sorted store still lack it?
    fn is_owed(&self) -> bool {
        match self {
            Frozen::Waiting(_) | Frozen::Writing(_) => true,
            Frozen::None | Frozen::Settling(_) => false,
        }
    }
}

/// The memory of one shard. Not async: the shard calls it inside a turn.
#[derive(Debug)]
pub struct ShardStore {
    limits: StoreLimits,
    seeds: RandomState,
    active: Table,
    frozen: Frozen,
    /// The room of a table that was taken apart, for the next one.
    room: Option<Table>,
    cache: ObjectCache,
    /// Every key that the sorted store has or is about to get; `None` if the engine has filters of its own.
    filter: Option<KeyFilter>,
    pending: VecDeque<PendingRecord>,
    pending_bytes: usize,
    last_lsn: Lsn,
    committed: Lsn,
    /// The last record of the youngest frozen table (or what recovery found checkpointed).
    frozen_upto: Lsn,
    hlc_bound: u64,
    sorted_is_empty: bool,
    wounds: Wounds,
    /// Log bytes since the last freeze; after a start those of the files.
    log_bytes: u64,
    stats: StoreStats,
}

impl ShardStore {
    /// An empty store that goes on after record `last_lsn`, with all up to it durable in the sorted store.
    /// `sorted_is_empty`: the sorted store is known to hold nothing, so that a key that is not here is absent.
    pub fn new(limits: StoreLimits, last_lsn: Lsn, hlc_bound: u64, sorted_is_empty: bool) -> ShardStore {
        ShardStore {
            limits,
            seeds: RandomState::new(),
            active: Table::with_room_for((limits.memtable_bytes_max / TABLE_BYTES_EACH).min(TABLE_KEYS_AHEAD_MAX)),
            frozen: Frozen::None,
            room: None,
            cache: ObjectCache::new(limits.cache_bytes_max),
            filter: None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            last_lsn,
            committed: last_lsn,
            frozen_upto: last_lsn,
            hlc_bound,
            sorted_is_empty,
            wounds: Wounds::default(),
            log_bytes: 0,
            stats: StoreStats::default(),
        }
    }

    /// From now on the filter is asked before the sorted store. It must know every key that the sorted store has.
    pub fn filter_with(&mut self, filter: Option<KeyFilter>) {
        assert_eq!(self.active.len(), 0, "the keys of the memtable are not in the filter");
        self.filter = filter;
    }

    /// Puts `record` into the memtable and queues it for the log.
    ///
    /// # Panics
    /// If `lsn` is not the one after the last, or a length passes its limit: the caller checks both.
    pub fn append(&mut self, lsn: Lsn, record: LogRecord<'_>) {
        let pending = self.remember(lsn, record);
        let bytes = pending.encoded_bytes();
        self.pending_bytes += bytes;
        self.stats.appended_total += 1;
        self.stats.appended_bytes_total += bytes as u64;
        self.pending.push_back(pending);
        self.settle();
    }

    /// Takes a record that the log already holds: recovery's append.
    pub(crate) fn replay(&mut self, lsn: Lsn, record: LogRecord<'_>) {
        self.remember(lsn, record);
        self.committed = lsn;
    }

    /// The records up to `lsn` are lost: their numbers are not given again. Recovery's gap.
    pub(crate) fn skip_lost(&mut self, lsn: Lsn) {
        assert!(self.last_lsn <= lsn, "{lsn} is lost, but {} is there", self.last_lsn);
        self.last_lsn = lsn;
        self.committed = lsn;
    }

    fn remember(&mut self, lsn: Lsn, record: LogRecord<'_>) -> PendingRecord {
        assert_eq!(lsn, self.last_lsn.next(), "records are appended in order");
        self.last_lsn = lsn;
        let pending = match record {
            LogRecord::Object { token, routed, object } => {
                assert!(routed.len() <= ROUTED_BYTES_MAX, "a routed key of {} bytes", routed.len());
                assert!(object.len() <= OBJECT_BYTES_MAX, "an object of {} bytes", object.len());
                let is_sliver = object.len() < SHARED_OBJECT_BYTES_MIN;
                let object = if is_sliver { Bytes::copy_from_slice(&object) } else { object };
                let key = HashedKey::new(&self.seeds, token, routed);
                let (routed, is_new) = self.active.put(&key, object.clone(), lsn);
                if is_new {
                    self.cache.remove(&key);
                    // It will be in the sorted store before it leaves the tables.
                    self.filter.iter_mut().for_each(|filter| filter.insert(token));
                }
                PendingRecord::Object { token, routed, object }
            }
            LogRecord::HlcBound(bound) => {
                self.hlc_bound = self.hlc_bound.max(bound);
                PendingRecord::HlcBound(bound)
            }
        };
        self.log_bytes += pending.encoded_bytes() as u64;
        pending
    }

    /// Finds the newest object of a key. Never waits.
    pub fn lookup(&mut self, token: u128, routed: &[u8]) -> Lookup {
        let key = HashedKey::new(&self.seeds, token, routed);
        if let Some(entry) = find_in_tables(&self.active, &self.frozen, &key) {
            if self.wounds.hides(token, entry.lsn) {
                return Lookup::Unreadable;
            }
            entry.mark_read();
            self.stats.memtable_hits_total += 1;
            return Lookup::Hit { object: entry.object.clone(), lsn: entry.lsn };
        }
        if let Some(known) = self.cache.get(&key) {
            self.stats.cache_hits_total += 1;
            return known.map_or(Lookup::Absent, |object| Lookup::Hit { object, lsn: Lsn(0) });
        }
        let is_denied = self.filter.as_ref().is_some_and(|filter| !filter.contains(token));
        if self.sorted_is_empty || is_denied {
            self.stats.filter_denied_total += u64::from(is_denied && !self.sorted_is_empty);
            return if self.wounds.hides(token, Lsn(0)) { Lookup::Unreadable } else { Lookup::Absent };
        }
        self.stats.cold_total += 1;
        Lookup::Cold
    }

    /// What is missing here.
    pub fn wounds(&self) -> &Wounds {
        &self.wounds
    }

    /// Something was found to be missing. What is cached may be old: it goes.
    pub fn add_wounds(&mut self, wounds: impl IntoIterator<Item = Wound>) {
        let before = self.wounds.len();
        wounds.into_iter().for_each(|wound| self.wounds.add(wound));
        if self.wounds.len() != before {
            self.cache = ObjectCache::new(self.limits.cache_bytes_max);
        }
    }

    /// Takes the outcome of a cold read into the cache and says what to deliver. Outcomes and checkpoints must be taken in
    /// the order in which the companion sent them: then whatever was written after the read is still in a table here, and
    /// an old object cannot enter the cache.
    pub fn loaded(&mut self, token: u128, routed: &[u8], found: ColdFound) -> Delivery {
        let key = HashedKey::new(&self.seeds, token, routed);
        if let Some(entry) = find_in_tables(&self.active, &self.frozen, &key) {
            if self.wounds.hides(token, entry.lsn) {
                return Delivery::Unreadable;
            }
            return Delivery::Object { object: entry.object.clone(), lsn: entry.lsn };
        }
        match found {
            ColdFound::Object(Stored { lsn, .. }) if self.wounds.hides(token, lsn) => Delivery::Unreadable,
            ColdFound::Absent if self.wounds.hides(token, Lsn(0)) => Delivery::Unreadable,
            ColdFound::Object(Stored { object, lsn: _ }) => {
                self.cache.insert(&key, Arc::from(routed), Some(object.clone()));
                Delivery::Object { object, lsn: Lsn(0) }
            }
            ColdFound::Absent => {
                let was_let_in = self.filter.as_ref().is_some_and(|filter| !filter.is_open(token));
                self.stats.filter_false_positives_total += u64::from(was_let_in);
                self.cache.insert(&key, Arc::from(routed), None);
                Delivery::Absent
            }
            ColdFound::Unreadable => {
                self.stats.unreadable_total += 1;
                Delivery::Unreadable
            }
        }
    }

    /// Everything appended since the last batch, as far as one batch goes; `None` if there is nothing.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let behind = self.pending.len() as u64;
        let first_lsn = Lsn(self.last_lsn.0 + 1 - behind);
        let mut batch = Batch::new(first_lsn);
        while batch.payload_bytes() < BATCH_BYTES_WANTED {
            let Some(record) = self.pending.pop_front() else { break };
            self.pending_bytes -= record.encoded_bytes();
            batch.push(record);
        }
        if batch.records() == 0 {
            return None;
        }
        self.stats.batches_total += 1;
        Some(batch)
    }

    /// All records up to `lsn` would survive a power cut.
    pub fn committed(&mut self, lsn: Lsn) {
        assert!(lsn <= self.last_lsn, "{lsn} is durable but the last record is {}", self.last_lsn);
        self.committed = self.committed.max(lsn);
    }

    /// Is it time to [`freeze`](ShardStore::freeze)?
    pub fn checkpoint_due(&self) -> bool {
        match &self.frozen {
            Frozen::Waiting(frozen) => frozen.last_lsn <= self.committed,
            Frozen::Writing(_) => false,
            Frozen::None | Frozen::Settling(_) => self.active_is_full(),
        }
    }

    /// Hands out what a checkpoint is to write; `None` while an earlier one is not finished, while some of it is not durable in
    /// the log yet (ask again after [`committed`](ShardStore::committed)), or if there is nothing to write.
    /// May be called before a checkpoint is due (at shutdown).
    pub fn freeze(&mut self) -> Option<Arc<FrozenTable>> {
        if !self.frozen.is_owed() {
            self.rotate();
        }
        let Frozen::Waiting(frozen) = &self.frozen else { return None };
        if frozen.last_lsn > self.committed {
            return None;
        }
        let frozen = frozen.clone();
        self.frozen = Frozen::Writing(frozen.clone());
        self.sorted_is_empty = false;
        Some(frozen)
    }

    /// The active table becomes the frozen one, if the log has anything that no checkpoint has.
    fn rotate(&mut self) {
        if self.last_lsn == self.frozen_upto {
            return;
        }
        let room = self.room.take().unwrap_or_else(|| Table::with_room_for(self.active.len()));
        let table = core::mem::replace(&mut self.active, room);
        // What had not settled yet is in the sorted store and just leaves.
        let leftover = match core::mem::replace(&mut self.frozen, Frozen::None) {
            Frozen::Settling(leftover) => Some(leftover),
            Frozen::None => None,
            Frozen::Waiting(_) | Frozen::Writing(_) => {
                panic!("a table is frozen before the one before it is in the store")
            }
        };
        let frozen = FrozenTable::new(table, self.last_lsn, self.hlc_bound, leftover);
        self.frozen = Frozen::Waiting(Arc::new(frozen));
        self.frozen_upto = self.last_lsn;
        self.log_bytes = 0;
    }

    /// The checkpoint up to `lsn` is in the sorted store and in the manifest: the frozen entries may move into the cache.
    pub fn checkpointed(&mut self, lsn: Lsn) {
        let Frozen::Writing(frozen) = core::mem::replace(&mut self.frozen, Frozen::None) else {
            panic!("a checkpoint up to {lsn} ended that nobody had begun");
        };
        assert_eq!(frozen.last_lsn, lsn, "the checkpoint that ended is not the one that began");
        self.frozen = Frozen::Settling(frozen);
        self.stats.checkpoints_total += 1;
    }

    /// The checkpoint failed: the entries stay frozen and readable, and writes are refused once the active table is full.
    pub fn checkpoint_failed(&mut self) {
        self.stats.checkpoints_failed_total += 1;
    }

    /// Moves a few written entries into the cache. An entry that nobody read since it was written only takes free room.
    fn settle(&mut self) {
        let Frozen::Settling(frozen) = &mut self.frozen else { return };
        // The companion may be about to let go of it; then the next append tries again.
        let Some(frozen) = Arc::get_mut(frozen) else { return };
        for _ in 0..SETTLE_ENTRIES {
            let Some(entry) = frozen.table.pop() else {
                self.room = Some(core::mem::take(&mut frozen.table).into_room());
                self.frozen = Frozen::None;
                return;
            };
            settle_entry(&self.active, &mut self.cache, &self.wounds, entry);
        }
    }

    /// Must writes be refused with Busy? True while a checkpoint cannot keep up or the log does not take what is queued.
    pub fn is_overloaded(&self) -> bool {
        let is_behind = self.frozen.is_owed() && (self.active_is_full() || self.tables_are_full());
        let is_forgotten = self.active.bytes() >= 2 * self.limits.memtable_bytes_max;
        is_behind || is_forgotten || self.pending_bytes >= self.limits.pending_bytes_max
    }

    /// Both tables together: after a recovery the frozen one may be larger than it ever gets otherwise.
    fn tables_are_full(&self) -> bool {
        let frozen = self.frozen.table().map_or(0, Table::bytes);
        self.active.bytes() + frozen >= 2 * self.limits.memtable_bytes_max
    }

    fn active_is_full(&self) -> bool {
        self.active.bytes() >= self.limits.memtable_bytes_max || self.log_bytes >= self.limits.log_bytes_max
    }

    /// Recovery's way out of a log larger than memory: gives away the active table, to be put into the sorted store at once.
    /// It may have grown as large as both tables do otherwise: what was in them when the process ended fits, and the first
    /// checkpoint, beside the first requests, writes it faster than the start could.
    pub(crate) fn spill_if_full(&mut self) -> Option<FrozenTable> {
        (2 * self.limits.memtable_bytes_max <= self.active.bytes()).then(|| self.spill())
    }

    /// The same, however full it is.
    pub(crate) fn spill(&mut self) -> FrozenTable {
        let table = core::mem::take(&mut self.active);
        self.frozen_upto = self.last_lsn;
        self.log_bytes = 0;
        self.sorted_is_empty = false;
        FrozenTable::new(table, self.last_lsn, self.hlc_bound, None)
    }

    /// Bytes of log files that wait for the next checkpoint. Each start leaves one behind, full or not, and each must be read
    /// to its end by the next start: after a few in a row a checkpoint is due, however little is in them.
    pub(crate) fn count_log_files(&mut self, bytes: u64) {
        if self.last_lsn != self.frozen_upto {
            self.log_bytes = self.log_bytes.max(bytes);
        }
    }

    /// The last record appended.
    pub fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }

    /// The last record known durable.
    pub fn committed_lsn(&self) -> Lsn {
        self.committed
    }

    /// The largest clock bound appended.
    pub fn hlc_bound(&self) -> u64 {
        self.hlc_bound
    }

    /// What is and what was.
    pub fn stats(&self) -> StoreStats {
        let frozen = self.frozen.table();
        StoreStats {
            memtable_active_bytes: self.active.bytes() as u64,
            memtable_frozen_bytes: frozen.map_or(0, Table::bytes) as u64,
            memtable_entries: (self.active.len() + frozen.map_or(0, Table::len)) as u64,
            cache_bytes: self.cache.bytes() as u64,
            cache_entries: self.cache.len() as u64,
            pending_bytes: self.pending_bytes as u64,
            log_bytes: self.log_bytes,
            cache_evictions_total: self.cache.evictions(),
            filter_bytes: self.filter.as_ref().map_or(0, KeyFilter::bytes) as u64,
            filter_keys: self.filter.as_ref().map_or(0, KeyFilter::keys),
            filter_vnodes_open: self.filter.as_ref().map_or(0, |filter| u64::from(filter.vnodes_open())),
            ..self.stats
        }
    }
}

/// The younger table first.
fn find_in_tables<'a>(active: &'a Table, frozen: &'a Frozen, key: &HashedKey<'_>) -> Option<&'a Entry> {
    active.find(key).or_else(|| frozen.table()?.find(key))
}

fn settle_entry(active: &Table, cache: &mut ObjectCache, wounds: &Wounds, entry: Entry) {
    let key = entry.key();
    let has_place = entry.was_read() || cache.has_room(cache::charge(&entry.routed, Some(&entry.object)));
    if has_place && active.find(&key).is_none() && !wounds.hides(entry.token, entry.lsn) {
        cache.insert(&key, entry.routed.clone(), Some(cache::unshared(entry.object.clone())));
    }
}
