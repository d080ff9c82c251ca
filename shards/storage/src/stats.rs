//! What a store counts, as plain numbers for whoever publishes them.

/// Gauges (what is) and counters (what was since the start) of one shard's store.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct StoreStats {
    /// Gauge: bytes of the active memtable, overhead included.
    pub memtable_active_bytes: u64,
    /// Gauge: bytes of the frozen memtable, overhead included; 0 while no checkpoint runs.
    pub memtable_frozen_bytes: u64,
    /// Gauge: entries of both memtables.
    pub memtable_entries: u64,
    /// Gauge: bytes of the object cache, overhead included.
    pub cache_bytes: u64,
    /// Gauge: entries of the object cache, known absences included.
    pub cache_entries: u64,
    /// Gauge: appended bytes that no batch has taken yet.
    pub pending_bytes: u64,
    /// Gauge: log bytes since the last checkpoint.
    pub log_bytes: u64,
    /// Counter: records appended.
    pub appended_total: u64,
    /// Counter: log bytes appended, without padding.
    pub appended_bytes_total: u64,
    /// Counter: batches taken.
    pub batches_total: u64,
    /// Counter: lookups answered by the memtables.
    pub memtable_hits_total: u64,
    /// Counter: lookups answered by the object cache, known absences included.
    pub cache_hits_total: u64,
    /// Counter: lookups that must ask the sorted store.
    pub cold_total: u64,
    /// Counter: lookups that the filter answered: the key is absent, and no disk was asked.
    pub filter_denied_total: u64,
    /// Counter: lookups of absent keys that the filter let through to the sorted store. Of all such lookups this is the
    /// filter's rate of error: `false positives / (false positives + denied)`.
    pub filter_false_positives_total: u64,
    /// Gauge: bytes of the filter; 0 if there is none (the engine has its own).
    pub filter_bytes: u64,
    /// Gauge: keys that the filter knows.
    pub filter_keys: u64,
    /// Gauge: vnodes whose filter has given up, for want of room or because their keys are not known.
    pub filter_vnodes_open: u64,
    /// Counter: entries that left the cache for want of room.
    pub cache_evictions_total: u64,
    /// Counter: objects that the sorted store could not read.
    pub unreadable_total: u64,
    /// Counter: checkpoints finished.
    pub checkpoints_total: u64,
    /// Counter: checkpoints that failed and stay frozen.
    pub checkpoints_failed_total: u64,
}
