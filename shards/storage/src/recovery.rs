//! From what the disk kept to a store that goes on.
//!
//! ```text
//! manifest ──► which segments count ──► each: header, batches, end ──► memtable (or sorted store, if it is too much)
//! ```
//! Nothing acknowledged may vanish in silence: what is cut at the end of the log was never acknowledged, and anything
//! else that does not fit is an error that names the place. Idempotent: a crash during recovery only repeats it.

use crate::checkpoint::CheckpointJob;
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::limits::{PAGE_BYTES, StoreLimits, WalLimits};
use crate::manifest::Manifest;
use crate::record::{LogRecord, Lsn};
use crate::shard_store::ShardStore;
use crate::sorted_store::SortedStore;
use crate::table::FrozenTable;
use crate::wal::{self, HeaderFault, SegmentEnd, SegmentHeader, SegmentReader, WAL_DIR, WalPosition};
use crate::wounds::Wound;
use std::sync::Arc;

const REMEDY: &str = "The log holds acknowledged writes behind this place, so nothing was dropped: restore the file from a \
                      backup, or move the shard's directory away and let the replicas fill it again";

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
    /// Records that went on to the sorted store because the memtable was full.
    pub records_checkpointed: u64,
    /// Where the log's torn end was cut: path, byte offset, why.
    pub torn_tail: Option<(String, u64, String)>,
    /// Segments removed: no longer needed, or without a single good batch.
    pub segments_removed: usize,
    /// What was found to be missing at this start.
    pub wounds: Vec<Wound>,
    /// Files and directories that were set aside: where they are now, and why.
    pub set_aside: Vec<(String, String)>,
}

impl RecoveryReport {
    /// Was anything lost that had been acknowledged? Then the node needs a new incarnation, even after a clean stop.
    pub fn has_lost(&self) -> bool {
        !self.wounds.is_empty()
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
pub async fn recover<D: Disk>(
    disk: &D,
    sorted: &mut dyn SortedStore,
    options: RecoverOptions,
) -> Result<Recovered, StorageError> {
    let mut report = RecoveryReport::default();
    let manifest = open_directory(disk, sorted.engine(), &options, &mut report).await?;
    check_store(sorted, &manifest)?;
    sorted.discard_unfinished(manifest.upto)?;
    let segments = live_segments(disk, &manifest, &mut report).await?;
    let mut store = ShardStore::new(options.store, manifest.upto, manifest.hlc_bound, manifest.upto == Lsn(0));
    store.filter_with(sorted.key_filter(options.vnode_bits, options.store.filter_bytes_max)?);
    let mut replay = Replay { sorted, store, upto: manifest.upto, expected: None, spilled: None, report };
    let mut kept = Vec::new();
    for (index, &first) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        let segment = read_segment(disk, first).await?;
        if replay.segment(first, &segment, options.shard, is_last)? {
            kept.push(first);
        } else {
            remove_segment(disk, first, &mut replay.report).await?;
        }
    }
    replay.finish(disk, manifest, kept, options).await
}

/// Makes sure that the directory is this shard's, and creates what is missing in a fresh one.
async fn open_directory<D: Disk>(
    disk: &D,
    engine: &str,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<Manifest, StorageError> {
    disk.create_dir(WAL_DIR).await.map_err(StorageError::io("create", WAL_DIR))?;
    disk.sync_dir("").await.map_err(StorageError::io("sync", "the shard's directory"))?;
    let foreign = |what: String| StorageError::Foreign { path: "manifest".to_owned(), what };
    let Some(manifest) = Manifest::read(disk).await? else {
        if let Some(first) = segment_firsts(disk).await?.first() {
            let what = format!("there is none, but the log has {}", wal::segment_path(*first));
            return Err(StorageError::Damaged { path: "manifest".to_owned(), offset: 0, what, remedy: REMEDY });
        }
        report.is_fresh = true;
        let manifest = Manifest {
            shard: options.shard,
            engine: engine.to_owned(),
            upto: Lsn(0),
            hlc_bound: 0,
            first_segment: Lsn(0),
            store: options.generation,
            lineage: options.salt,
        };
        manifest.write(disk).await?;
        return Ok(manifest);
    };
    let (found, expected) = (manifest.shard, options.shard);
    if found != expected {
        return Err(foreign(format!("belongs to shard {found}, not to shard {expected}; was a directory moved?")));
    }
    if manifest.engine != engine {
        return Err(foreign(format!("engine is {}, not {engine}; set engine = \"{0}\"", manifest.engine)));
    }
    let (found, expected) = (manifest.store, options.generation);
    if found != expected {
        return Err(foreign(format!("names store {found}, but store {expected} was opened")));
    }
    Ok(manifest)
}

/// A store that goes less far than the manifest says has lost its end, and would answer with old objects.
fn check_store(sorted: &dyn SortedStore, manifest: &Manifest) -> Result<(), StorageError> {
    let durable = sorted.durable_upto()?;
    if durable >= manifest.upto {
        return Ok(());
    }
    let path = format!("{}-{:04}", manifest.engine, manifest.store);
    let what = format!("the sorted store goes up to {durable}, but was durable up to {}", manifest.upto);
    Err(StorageError::Damaged { path, offset: 0, what, remedy: REMEDY })
}

async fn segment_firsts<D: Disk>(disk: &D) -> Result<Vec<Lsn>, StorageError> {
    let names = disk.list(WAL_DIR).await.map_err(StorageError::io("list", WAL_DIR))?;
    let mut firsts: Vec<Lsn> = names.iter().filter_map(|name| wal::segment_first(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// The segments that count, ascending; those that a finished checkpoint made superfluous go.
async fn live_segments<D: Disk>(
    disk: &D,
    manifest: &Manifest,
    report: &mut RecoveryReport,
) -> Result<Vec<Lsn>, StorageError> {
    // Without a segment that must be there, only what was begun after the checkpoint counts.
    let first_live = if manifest.first_segment == Lsn(0) { manifest.upto.next() } else { manifest.first_segment };
    let (live, ended): (Vec<Lsn>, Vec<Lsn>) =
        segment_firsts(disk).await?.into_iter().partition(|&first| first >= first_live);
    if manifest.first_segment != Lsn(0) && live.first() != Some(&first_live) {
        let what = format!("the segment that the manifest begins with is missing (it has {:?})", live.first());
        return Err(StorageError::Damaged { path: wal::segment_path(first_live), offset: 0, what, remedy: REMEDY });
    }
    for first in ended {
        remove_segment(disk, first, report).await?;
    }
    Ok(live)
}

async fn remove_segment<D: Disk>(disk: &D, first: Lsn, report: &mut RecoveryReport) -> Result<(), StorageError> {
    let path = wal::segment_path(first);
    disk.remove(&path).await.map_err(StorageError::io("remove", &path))?;
    report.segments_removed += 1;
    disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync", WAL_DIR))
}

/// Reads all of a segment. Syncs first: after a mere process crash the page cache shows what the disk has not got yet,
/// and from now on it is going to be relied on.
async fn read_segment<D: Disk>(disk: &D, first: Lsn) -> Result<Vec<u8>, StorageError> {
    let path = wal::segment_path(first);
    let file = disk.open(&path).await.map_err(StorageError::io("open", &path))?;
    file.sync_data().await.map_err(StorageError::io("sync", &path))?;
    let bytes = file.len().await.map_err(StorageError::io("measure", &path))?;
    let bytes = usize::try_from(bytes).expect("a segment fits into memory");
    let segment = file.read_at(0, bytes).await.map_err(StorageError::io("read", &path))?;
    file.close().await.map_err(StorageError::io("close", &path))?;
    Ok(segment)
}

/// The replay under way.
struct Replay<'a> {
    sorted: &'a mut dyn SortedStore,
    store: ShardStore,
    upto: Lsn,
    /// The record with which the next segment has to begin, and where the one before ended.
    expected: Option<(Lsn, String, u64)>,
    /// What went to the sorted store up to here: last record and clock bound.
    spilled: Option<(Lsn, u64)>,
    report: RecoveryReport,
}

impl Replay<'_> {
    /// Takes one segment in; false if it holds nothing and may go (only the last one may).
    fn segment(&mut self, first: Lsn, bytes: &[u8], shard: u16, is_last: bool) -> Result<bool, StorageError> {
        let path = wal::segment_path(first);
        let header = match SegmentHeader::decode(bytes) {
            Ok(header) => header,
            Err(HeaderFault::Version(version)) => {
                let what = format!("format version {version}, this program knows 1; start the version that wrote it");
                return Err(StorageError::Foreign { path, what });
            }
            // No batch is written before the header is durable.
            Err(HeaderFault::Bad(_)) if is_last && bytes.iter().skip(PAGE_BYTES).all(|&byte| byte == 0) => {
                return Ok(false);
            }
            Err(HeaderFault::Bad(what)) => return Err(damaged(path, 0, what)),
        };
        if header.shard != shard {
            let what = format!("belongs to shard {}, not to shard {shard}; was a file moved?", header.shard);
            return Err(StorageError::Foreign { path, what });
        }
        if header.first_lsn != first {
            return Err(damaged(path, 0, format!("its header says that it begins with {}", header.first_lsn)));
        }
        self.check_continuity(first, &path)?;
        self.report.segments += 1;
        self.batches(path, bytes, &header, is_last)
    }

    /// Records that are missing between two segments must be in the sorted store.
    fn check_continuity(&self, first: Lsn, path: &str) -> Result<(), StorageError> {
        match &self.expected {
            Some((expected, before, offset))
                if *expected != first && (first < *expected || self.upto.next() < first) =>
            {
                let what = format!("the good batches end before {expected}, but {path} begins with {first}");
                Err(damaged(before.clone(), *offset, what))
            }
            None if self.upto.next() < first => {
                let what = format!("the log begins with {first}, but the checkpoint ends with {}", self.upto);
                Err(damaged(path.to_owned(), 0, what))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn batches(
        &mut self,
        path: String,
        bytes: &[u8],
        header: &SegmentHeader,
        is_last: bool,
    ) -> Result<bool, StorageError> {
        let mut reader = SegmentReader::new(bytes, header);
        while reader.next_batch(&mut |lsn, record| self.record(lsn, record))? {}
        let end = reader.end();
        let (offset, is_empty) = (reader.offset(), reader.next_lsn() == header.first_lsn);
        match end {
            SegmentEnd::Damaged { offset, what } => return Err(damaged(path, offset, what)),
            SegmentEnd::Torn { offset, what } if is_last => self.report.torn_tail = Some((path.clone(), offset, what)),
            // An older tail, cut at an earlier start: the next segment proves it.
            SegmentEnd::Torn { .. } | SegmentEnd::Clean => {}
        }
        self.expected = Some((reader.next_lsn(), path, offset));
        Ok(!(is_last && is_empty))
    }

    fn record(&mut self, lsn: Lsn, record: LogRecord<'_>) -> Result<(), StorageError> {
        if lsn <= self.upto {
            self.report.records_skipped += 1;
            return Ok(());
        }
        self.store.replay(lsn, record);
        self.report.records_replayed += 1;
        let Some(full) = self.store.spill_if_full() else { return Ok(()) };
        self.spill(full)
    }

    fn spill(&mut self, full: FrozenTable) -> Result<(), StorageError> {
        self.spilled = Some((full.last_lsn(), full.hlc_bound()));
        let mut job = CheckpointJob::new(Arc::new(full));
        while !job.step(self.sorted)? {}
        self.report.records_checkpointed += core::mem::take(&mut self.report.records_replayed);
        Ok(())
    }

    async fn finish<D: Disk>(
        self,
        disk: &D,
        mut manifest: Manifest,
        segments: Vec<Lsn>,
        options: RecoverOptions,
    ) -> Result<Recovered, StorageError> {
        if let Some((upto, hlc_bound)) = self.spilled {
            // The segments stay until the next checkpoint; replay skips what is in the sorted store.
            let first_segment = segments.first().copied().unwrap_or(Lsn(0));
            manifest = Manifest { upto, hlc_bound: manifest.hlc_bound.max(hlc_bound), first_segment, ..manifest };
            manifest.write(disk).await?;
        }
        let (store, report) = (self.store, self.report);
        let (last_lsn, hlc_bound) = (store.last_lsn(), store.hlc_bound());
        let position = WalPosition { shard: options.shard, salt: options.salt, next_lsn: last_lsn.next(), segments };
        Ok(Recovered { store, position, manifest, last_lsn, hlc_bound, report })
    }
}

fn damaged(path: String, offset: u64, what: String) -> StorageError {
    StorageError::Damaged { path, offset, what, remedy: REMEDY }
}
