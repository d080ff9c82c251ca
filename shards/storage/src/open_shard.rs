//! A shard's directory, from its path to a shard that can go on: manifest, sorted store, log, in this order.
//!
//! Blocking, for whoever has no executor: the node before it starts, tools, tests. What is found damaged, and what
//! becomes of it, is decided here and in [`crate::recovery`].

use crate::disk::{StdDisk, run_ready};
use crate::error::StorageError;
use crate::generations::remove_leftovers;
use crate::limits::{StoreLimits, WalLimits};
use crate::manifest::Manifest;
use crate::recovery::{RecoverOptions, Recovered, RecoveryReport, recover};
use crate::rescue::{Damage, is_damage, open_named, open_unnamed, replace_store, take_losses};
use crate::sorted_store::{SortedStore, StoreConfig};
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
///
/// Damage is no error: what it cost stands in the report and among the shard's wounds. A disk without room, or one that
/// refuses, is one; so is a directory of another shard, engine or version, which is left as it is.
pub fn open_shard(path: &Path, options: &OpenOptions) -> Result<OpenShard, StorageError> {
    let disk = StdDisk::open(path).map_err(StorageError::io("open", &path.display().to_string()))?;
    let mut manifest = run_ready(Manifest::read_copies(&disk))?.value;
    let mut rescued = RecoveryReport::default();
    let (mut sorted, generation) = match &mut manifest {
        Some(manifest) => {
            manifest.check_owner(options.shard, options.store.engine.name())?;
            let sorted = match open_named(path, options, manifest)? {
                Ok(store) => store,
                Err(damage) => replace_store(path, &disk, options, manifest, damage, &mut rescued)?,
            };
            (sorted, manifest.store)
        }
        None => open_unnamed(path, &disk, options, &mut rescued)?,
    };
    take_losses(&disk, options, manifest.as_mut(), &mut *sorted, &mut rescued)?;
    let OpenOptions { shard, salt, unix_seconds, vnode_bits, limits: store, wal, .. } = *options;
    let recover_with = |sorted: &mut dyn SortedStore, generation: u32| {
        run_ready(recover(
            &disk,
            sorted,
            RecoverOptions { shard, salt, unix_seconds, generation, vnode_bits, store, wal },
        ))
    };
    let mut recovered = match (recover_with(&mut *sorted, generation), &mut manifest) {
        // It opened, and failed when the log was to go into it.
        (Err(StorageError::Sorted(error)), Some(manifest)) if is_damage(&error) && rescued.wounds.is_empty() => {
            let damage = Damage { what: error.to_string(), store: Some(sorted), is_behind: false };
            sorted = replace_store(path, &disk, options, manifest, damage, &mut rescued)?;
            recover_with(&mut *sorted, manifest.store)?
        }
        (recovered, _) => recovered?,
    };
    let generation = recovered.manifest.store;
    recovered.report.absorb(rescued);
    let removed = remove_leftovers(path, options.store.engine, generation);
    removed.map_err(StorageError::io("remove what a rewrite left in", &path.display().to_string()))?;
    Ok(OpenShard { recovered, sorted, generation })
}
