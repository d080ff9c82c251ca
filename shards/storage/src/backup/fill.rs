//! Builds the shards of a data directory from a stream of records: stores that a node opens as its own.
//!
//! Records get new numbers under a new lineage: they are no continuation of anything, and an increment of the old node
//! must not be taken for one of the new.

use crate::disk::{StdDisk, run_ready};
use crate::error::StorageError;
use crate::limits::{CHECKPOINT_PIECE_BYTES, CHECKPOINT_PIECE_ENTRIES};
use crate::manifest::Manifest;
use crate::record::Lsn;
use crate::sorted_store::{ScanEntry, SortedEntry, SortedStore, StoreConfig, open_store};
use crate::wounds::Wounds;
use std::path::PathBuf;

/// Bytes between two flushes of a store that is being filled: bounds what it holds in memory.
const FLUSH_EVERY_BYTES: u64 = 64 * 1024 * 1024;

/// Where records go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FillTarget {
    /// The directory of each shard, empty or not there.
    pub shards: Vec<PathBuf>,
    /// The stores to build.
    pub store: StoreConfig,
    /// Any number that no other directory has.
    pub lineage: u64,
    /// The node's clock starts no lower.
    pub hlc_bound: u64,
}

/// What was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filled {
    /// Records.
    pub records: u64,
    /// Bytes of keys and objects.
    pub bytes: u64,
}

/// Shards whose stores have everything, and which no manifest vouches for yet.
pub struct FilledShards {
    filled: Filled,
    shards: Vec<Filling>,
}

struct Filling {
    path: PathBuf,
    store: Box<dyn SortedStore>,
    piece: Vec<(Lsn, ScanEntry)>,
    piece_bytes: usize,
    last: Lsn,
    /// Bytes since the last flush.
    unflushed: u64,
}

/// Fills the shards with what `next` gives until it gives nothing; `shard_of` says where a token belongs. `progress` is told of
/// every piece. Nothing counts before [`FilledShards::settle`].
pub fn fill_shards<E: From<StorageError>>(
    target: &FillTarget,
    shard_of: impl Fn(u128) -> u16,
    mut next: impl FnMut() -> Result<Option<ScanEntry>, E>,
    mut progress: impl FnMut(Filled),
) -> Result<FilledShards, E> {
    let mut filled = Filled::default();
    let mut shards = Vec::with_capacity(target.shards.len());
    for path in &target.shards {
        let disk = StdDisk::open(path).map_err(StorageError::io("create", &path.display().to_string()))?;
        drop(disk);
        let store = open_store(path, 1, &target.store).map_err(StorageError::from)?;
        let path = path.clone();
        shards.push(Filling { path, store, piece: Vec::new(), piece_bytes: 0, last: Lsn(0), unflushed: 0 });
    }
    while let Some(entry) = next()? {
        filled.records += 1;
        filled.bytes += (entry.routed.len() + entry.object.len()) as u64;
        if shards[usize::from(shard_of(entry.token))].push(entry)? {
            progress(filled);
        }
    }
    progress(filled);
    Ok(FilledShards { filled, shards })
}

impl FilledShards {
    /// Makes them durable, and whole: `wounds` says for each of them what is missing in it.
    pub fn settle(self, target: &FillTarget, mut wounds: impl FnMut(u16) -> Wounds) -> Result<Filled, StorageError> {
        for (shard, index) in self.shards.into_iter().zip(0..) {
            shard.finish(target, index, &wounds(index))?;
        }
        Ok(self.filled)
    }
}

impl Filling {
    /// True if a piece was applied.
    fn push(&mut self, entry: ScanEntry) -> Result<bool, StorageError> {
        self.last = self.last.next();
        self.piece_bytes += entry.object.len();
        self.unflushed += (entry.routed.len() + entry.object.len()) as u64;
        self.piece.push((self.last, entry));
        if self.piece.len() < CHECKPOINT_PIECE_ENTRIES && self.piece_bytes < CHECKPOINT_PIECE_BYTES {
            return Ok(false);
        }
        self.apply()?;
        if self.unflushed >= FLUSH_EVERY_BYTES {
            self.store.flush_durable(self.last)?;
            self.unflushed = 0;
        }
        Ok(true)
    }

    fn apply(&mut self) -> Result<(), StorageError> {
        let piece = core::mem::take(&mut self.piece);
        self.piece_bytes = 0;
        let entries: Vec<SortedEntry<'_>> = piece
            .iter()
            .map(|(lsn, entry)| SortedEntry {
                token: entry.token,
                routed: &entry.routed,
                object: &entry.object,
                lsn: *lsn,
            })
            .collect();
        Ok(self.store.apply(&entries)?)
    }

    /// Everything is durable in the store before a manifest says so.
    fn finish(mut self, target: &FillTarget, shard: u16, wounds: &Wounds) -> Result<(), StorageError> {
        self.apply()?;
        self.store.flush_durable(self.last)?;
        let disk = StdDisk::open(&self.path).map_err(StorageError::io("open", &self.path.display().to_string()))?;
        let lineage = target.lineage ^ u64::from(shard);
        if !wounds.is_empty() {
            run_ready(wounds.write(&disk, 1))?;
        }
        let mut manifest = Manifest {
            hlc_bound: target.hlc_bound,
            is_wounded: !wounds.is_empty(),
            ..Manifest::new(shard, target.store.engine.name(), lineage, self.last)
        };
        run_ready(manifest.write(&disk))
    }
}
