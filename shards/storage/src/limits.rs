//! Every bound of the storage, with its unit and its reason.

use core::time::Duration;

/// The unit of direct I/O: offset, length and address of every write are multiples of it.
pub const PAGE_BYTES: usize = 4096;
/// Longest routed key, in bytes: a key of 4 KiB, a keyspace name of 64 bytes, its length, and room.
pub const ROUTED_BYTES_MAX: usize = 4096 + 256;
/// Largest object, in bytes (all siblings together).
pub const OBJECT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// No batch goes on beyond this, in bytes; one record may carry it there. Part of the format of the log.
pub const BATCH_BYTES_SOFT: usize = 4 * 1024 * 1024;
/// A batch that is put together now takes no further record once it holds this much, in bytes: half a millisecond of copying
/// and checksums, during which the core does nothing else.
pub const BATCH_BYTES_WANTED: usize = 1024 * 1024;
/// Largest encoded batch, in bytes: the soft bound passed by one largest record.
pub const BATCH_BYTES_MAX: usize = BATCH_BYTES_SOFT + OBJECT_BYTES_MAX + ROUTED_BYTES_MAX + PAGE_BYTES;
/// Size of a log segment, in bytes, unless the limits say otherwise.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Zeros written ahead in a new segment, in bytes: some sixty small batches then go into blocks that are written already, whose
/// sync is one to the disk alone and not to the file system's journal as well.
pub const AHEAD_BYTES: u64 = 256 * 1024;
/// Batches above this size, in bytes, have nothing written ahead of them: they would double the writes and save few syncs.
pub const AHEAD_BATCH_BYTES_MAX: u64 = AHEAD_BYTES / 8;
/// Objects below this size are copied when appended: a slice of a few bytes would keep its whole arena alive.
pub const SHARED_OBJECT_BYTES_MIN: usize = 512;
/// Objects below this size are copied when they move into the cache, where they may stay for days.
/// Half an arena of 64 KiB: what the cache counts is then at least half of what it keeps.
pub const CACHED_SLICE_BYTES_MIN: usize = 32 * 1024;
/// A first memtable has room for one key in so many bytes that it may grow to: objects of a kilobyte with all their overhead.
pub const TABLE_BYTES_EACH: usize = 1024;
/// Keys that a first memtable has room for at most, however large it may grow: twelve megabytes, which are not touched yet.
pub const TABLE_KEYS_AHEAD_MAX: usize = 1 << 17;
/// Entries of a written checkpoint that move into the cache with each append, so that no turn pays for all of them.
pub const SETTLE_ENTRIES: usize = 8;
/// Cold reads in one request to the companion.
pub const COLD_READS_MAX: usize = 1024;
/// Requests that may wait for the companion, and answers that may wait for the shard.
pub const COMPANION_QUEUE_MAX: usize = 256;
/// Wait before what the disk refused is tried again, the first time; it doubles with each further one.
pub const DISK_RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest such wait: service is to return soon after the disk does.
pub const DISK_RETRY_MAX: Duration = Duration::from_secs(2);
/// Room with which the log's reserve is filled again after there was none: it, and a segment beside it.
pub const REFILL_FREE_BYTES: u64 = SEGMENT_BYTES + RESERVE_BYTES;
/// A write or sync that has not come back after this time stalls its shard: many times what a busy disk takes.
pub const DISK_STALLED_AFTER: Duration = Duration::from_secs(1);
/// Wait before a failed sorted store is opened again, the first time; it doubles with each further one.
pub const REOPEN_AFTER_MIN: Duration = Duration::from_millis(200);
/// Longest such wait: reads from the store are to return soon after the disk does.
pub const REOPEN_AFTER_MAX: Duration = Duration::from_secs(2);
/// Room that a store is reopened with after it had none: sled cannot be opened on a full disk, and is left damaged by trying.
pub const REOPEN_FREE_BYTES: u64 = 32 * 1024 * 1024;
/// After a step of a background job the companion leaves the store alone this many times as long: jobs have a quarter of it.
pub const JOB_REST_TIMES: u32 = 3;
/// How long the companion leaves a job alone that could do nothing: soon enough for its share, rarely enough to cost nothing.
pub const JOB_LATER: Duration = Duration::from_millis(2);
/// Entries that a checkpoint writes between two looks at waiting reads.
pub const CHECKPOINT_PIECE_ENTRIES: usize = 64;
/// Bytes that a checkpoint writes between two looks at waiting reads (one largest object may pass it).
pub const CHECKPOINT_PIECE_BYTES: usize = 256 * 1024;
/// Wounds that a shard tells apart; past it neighbours become one, so that their file stays below a megabyte.
pub const WOUNDS_MAX: usize = 1024;
/// Bytes of what a wound says in words; what is longer is cut.
pub const WOUND_TEXT_BYTES_MAX: usize = 512;
/// Largest file that is kept twice, in bytes: all wounds with all that they say.
pub const TWIN_BYTES_MAX: usize = 1 << 20;
/// Lost records that are told apart in one recovery; past it only their number is kept.
pub const LOST_RECORDS_MAX: usize = 1 << 16;
/// Record numbers that are left out where nobody knows how many records are gone: more than any log can hold.
pub const LSN_GAP: u64 = 1 << 32;
/// Names tried for a file that is set aside several times in one second.
pub const SET_ASIDE_NAMES_MAX: u32 = 100;
/// Size of the log's reserve, in bytes, unless the limits say otherwise: room for some ten thousand deletes on a full disk.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// A block of a backup is closed once it holds this much, in bytes: what one reader keeps for each run.
pub const BACKUP_BLOCK_BYTES: usize = 256 * 1024;
/// Entries of one step of a backup: some hundred microseconds when they are in memory.
pub const BACKUP_PAGE_ENTRIES: usize = 256;
/// Bytes of one step of a backup (one largest object may pass it).
pub const BACKUP_PAGE_BYTES: usize = 256 * 1024;
/// What may have changed behind the scan of one vnode before it becomes a run of its own, in bytes.
pub const BACKUP_OVERLAY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Runs of one vnode; a reader has a block of each in memory. Past it the vnode is written faster than it is copied.
pub const BACKUP_RUNS_MAX: usize = 256;
/// Blocks on their way from a copying job to its file.
pub const BACKUP_PIECES_MAX: usize = 4;
/// Bytes in which the next good block is looked for at once, behind a damaged one.
pub const BACKUP_SEEK_BYTES: usize = 1024 * 1024;
/// Places that look like a block and are none, past which the rest of a run is given up: each may cost the reading of a largest
/// block.
pub const BACKUP_SEEK_TRIES_MAX: usize = 256;
/// Damaged places of one run that are told apart; past it the rest of the run is given up.
pub const BACKUP_GAPS_MAX: usize = 256;
/// A full backup and the increments on it; a reader has a block of each in memory.
pub const BACKUP_CHAIN_MAX: usize = 128;
/// Longest manifest of a backup, in bytes: 2^16 vnodes with some runs each, and then some.
pub const BACKUP_MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Damaged keys or files that a report names; all are counted.
pub const BACKUP_LOSSES_MAX: usize = 1000;
/// Tables and blob files that one LSM store keeps open; more are opened for each read. Counts against `ulimit -n`, per shard.
pub const LSM_OPEN_FILES_MAX: usize = 256;
/// Runs of tables in level 0 of an LSM store at which a flush waits for the compactor: each costs every read a look at a
/// filter, and what waits here soon turns into `Busy`.
pub const LSM_LEVEL_0_RUNS_MAX: usize = 20;
/// Bytes of a store's files that one step of a scrub checks.
pub const SCRUB_STEP_BYTES: u64 = 1024 * 1024;
/// Longest segment that a scrub reads into memory, in bytes: what is longer was not written by us.
pub const SCRUB_SEGMENT_BYTES_MAX: u64 = 4 * SEGMENT_BYTES;
/// Entries of one page of a scan.
pub const SCAN_ENTRIES_MAX: usize = 4096;

/// Entries of one page of a move to another layout: some milliseconds of work.
pub const RELAYOUT_PAGE_ENTRIES: usize = 256;
/// Bytes of one such page (one largest object may pass it).
pub const RELAYOUT_PAGE_BYTES: usize = 1024 * 1024;
/// Pages that may wait for each new shard: enough that reading and writing overlap.
pub const RELAYOUT_QUEUE_MAX: usize = 2;
/// A new shard is flushed whenever so many bytes were copied, so that its store does not gather more than a checkpoint would.
pub const RELAYOUT_FLUSH_BYTES: u64 = 64 << 20;
/// Room that each new shard takes beside its objects, in bytes: manifest, empty store and some slack.
pub const RELAYOUT_ROOM_BESIDE_BYTES: u64 = 4 << 20;

const _: () = assert!(BATCH_BYTES_WANTED <= BATCH_BYTES_SOFT);
const _: () = assert!(WOUNDS_MAX * (64 + WOUND_TEXT_BYTES_MAX) < TWIN_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX as u64 + (PAGE_BYTES as u64) < SEGMENT_BYTES / 4);

/// The bounds of one shard's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreLimits {
    /// The active memtable; when it is full a checkpoint is due. The frozen one may be as large again.
    pub memtable_bytes_max: usize,
    /// The object cache, overhead included.
    pub cache_bytes_max: usize,
    /// Log since the last checkpoint; past it a checkpoint is due even if the memtable is small.
    pub log_bytes_max: u64,
    /// Appended records that no batch has taken yet; past it the store is overloaded.
    pub pending_bytes_max: usize,
    /// The filter of the keys in the sorted store; past it some vnodes do without.
    pub filter_bytes_max: usize,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits {
            memtable_bytes_max: 32 << 20,
            cache_bytes_max: 64 << 20,
            log_bytes_max: 4 * SEGMENT_BYTES,
            pending_bytes_max: 32 << 20,
            filter_bytes_max: 64 << 20,
        }
    }
}

/// The bounds of one shard's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalLimits {
    /// Size of a segment in bytes: a multiple of the page; a larger batch gets a segment of its own size.
    pub segment_bytes: u64,
    /// Size in bytes of the reserve, a segment set aside for a full disk: a multiple of the page; 0 for none.
    pub reserve_bytes: u64,
}

impl Default for WalLimits {
    fn default() -> WalLimits {
        WalLimits { segment_bytes: SEGMENT_BYTES, reserve_bytes: RESERVE_BYTES }
    }
}
