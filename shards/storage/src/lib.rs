//! What one shard keeps, and how it is found again.
//!
//! Think of a shop: the log is the till roll (in order, never rewritten), the memtable the counter (today's goods),
//! the sorted store the warehouse, the object cache the shelf behind the counter. A checkpoint carries the counter
//! into the warehouse, and only then may the till roll be torn off.
//!
//! ```text
//! append ─► ShardStore (memtable) ─► Batch ─► WalWriter ─► Disk          durable, then said
//! lookup ─► memtable ─► object cache ─► filter ─► Companion ─► SortedStore         never waits on an executor
//! freeze ─► Companion applies + flush_durable ─► Manifest ─► old segments go ─► checkpointed
//! ```
//!
//! Knows neither the runtime nor the protocol: keys are a token and routed bytes, objects are bytes, and the only way
//! to a disk is the [`Disk`] trait (the sorted stores, which run on a thread of their own, apart).

pub mod backup;
mod bytes_at;
mod cache;
pub mod checkpoint;
pub mod companion;
pub mod disk;
pub mod disk_health;
pub mod error;
pub mod filter;
pub mod foreign;
pub mod generations;
pub mod key_journal;
pub mod limits;
pub mod manifest;
pub mod node_dir;
pub mod open_shard;
pub mod planted;
pub mod record;
pub mod recovery;
pub mod relayout;
pub mod reopen;
mod rescue;
pub mod rewrite;
pub mod salvage;
pub mod scrub;
pub mod set_aside;
pub mod shard_store;
pub mod sizes;
pub mod sorted_store;
pub mod stats;
pub mod store_job;
pub mod table;
mod twin;
mod unpinned;
pub mod wal;
pub mod wounds;

pub use checkpoint::{CheckpointJob, finish_checkpoint, seal_log};
pub use companion::{
    ColdAnswer, ColdFound, ColdRead, Companion, CompanionAnswer, CompanionRequest, ReopenStore, ReopenedStore,
    StoreRescue,
};
pub use disk::{Disk, DiskFile, StdDisk, run_ready};
pub use disk_health::{Attempt, DiskCondition, DiskHealth, DiskReport, Room, Takes};
pub use error::{DiskTrouble, StorageError};
pub use filter::KeyFilter;
pub use generations::{remove_generation, remove_generation_later, remove_leftovers};
pub use key_journal::KeyCensus;
pub use limits::{StoreLimits, WalLimits};
pub use manifest::Manifest;
pub use node_dir::{DirNotice, Identity, NodeDir, NodeDirError, NodeDirOptions};
pub use open_shard::{OpenOptions, OpenShard, open_shard};
pub use record::{LogRecord, Lsn};
pub use recovery::{RecoverOptions, Recovered, RecoveryReport, recover};
pub use relayout::{RelayoutError, RelayoutOptions, RelayoutPhase, RelayoutProgress, RelayoutReport, Tally, relayout};
pub use reopen::{LossesNoted, ShardReopener};
pub use rewrite::{RewriteEnd, RewriteJob, RewriteRule};
pub use salvage::{LostRange, SalvageReport, all_lost, salvage};
pub use set_aside::{SetAside, is_set_aside, set_aside};
pub use shard_store::{Delivery, Lookup, ShardStore};
pub use sizes::{ShardSizes, SizesJob};
pub use sorted_store::{
    Engine, FailureKind, LsmStore, MemorySortedStore, PageLimits, SledStore, SortedEntry, SortedStore,
    SortedStoreError, StoreConfig, Stored, Suspects, open_store, store_dir,
};
pub use stats::StoreStats;
pub use store_job::{JobMoment, JobStep, StoreJob};
pub use table::FrozenTable;
pub use wal::{Batch, SegmentId, WalPosition, WalWriter, WriteFailure};
pub use wounds::{Wound, WoundCause, Wounds};
