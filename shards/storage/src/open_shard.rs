//! A shard's directory, from its path to a shard that can go on: manifest, sorted store, log, in this order.
//!
//! Blocking, for whoever has no executor: the node before it starts, tools, tests. What is found damaged, and what
//! becomes of it, is decided here and in [`crate::recovery`].

use crate::disk::{StdDisk, run_ready};
use crate::error::StorageError;
use crate::generations::remove_leftovers;
use crate::limits::{StoreLimits, WalLimits};
use crate::manifest::Manifest;
use crate::recovery::{RecoverOptions, Recovered, recover};
use crate::sorted_store::{SortedStore, StoreConfig, open_store};
use std::path::Path;

/// How to open a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenOptions {
    /// The shard that the directory must belong to.
    pub shard: u16,
    /// Any number that differs from start to start.
    pub salt: u64,
    /// The time, in seconds since 1970.
    pub unix_seconds: u64,
    /// b: the ring has 2^b virtual nodes.
    pub vnode_bits: u8,
    /// Bounds of the memory.
    pub limits: StoreLimits,
    /// Bounds of the log.
    pub wal: WalLimits,
    /// The sorted store.
    pub store: StoreConfig,
}

/// A shard that can go on.
pub struct OpenShard {
    /// Its memory and its log.
    pub recovered: Recovered,
    /// Its sorted store.
    pub sorted: Box<dyn SortedStore>,
    /// The generation of that store.
    pub generation: u32,
}

/// Opens the shard in `path`, creating what is not there. Call it from a thread that is not pinned: the threads of the
/// sorted stores inherit where they may run.
pub fn open_shard(path: &Path, options: &OpenOptions) -> Result<OpenShard, StorageError> {
    let disk = StdDisk::open(path).map_err(StorageError::io("open", &path.display().to_string()))?;
    let manifest = run_ready(Manifest::read(&disk))?;
    let named = manifest.map(|manifest| manifest.store);
    let generation = named.unwrap_or(1);
    let mut sorted = open_store(path, generation, &options.store)?;
    let OpenOptions { shard, salt, unix_seconds, vnode_bits, limits: store, wal, .. } = *options;
    let recover_options = RecoverOptions { shard, salt, unix_seconds, generation, vnode_bits, store, wal };
    let recovered = run_ready(recover(&disk, &mut *sorted, recover_options))?;
    if named.is_some() {
        let removed = remove_leftovers(path, options.store.engine, generation);
        removed.map_err(StorageError::io("remove what a rewrite left in", &path.display().to_string()))?;
    }
    Ok(OpenShard { recovered, sorted, generation })
}
