//! A sorted store that cannot be used gets a successor: what is readable moves, the rest becomes wounds.
//!
//! ```text
//! damaged ──► next generation: what the old one still gives ──► flushed ──► wounds ──► manifest ──► the old one aside
//! ```
//! The old files stay where they are until the manifest names the new ones, so a crash in between begins anew.

use crate::disk::{StdDisk, run_ready};
use crate::error::StorageError;
use crate::generations::{mark_damaged, remove_generation, retire_generation};
use crate::key_journal::KeyCensus;
use crate::manifest::Manifest;
use crate::open_shard::OpenOptions;
use crate::record::Lsn;
use crate::recovery::RecoveryReport;
use crate::salvage::{LostRange, SalvageReport, all_lost, salvage};
use crate::set_aside::set_aside;
use crate::sorted_store::{FailureKind, SortedStore, SortedStoreError, StoreConfig, open_store, store_dir};
use crate::wounds::{Wound, WoundCause, Wounds};
use std::fs;
use std::path::Path;

/// A store that is not to be used, and why.
pub(crate) struct Damage {
    pub(crate) what: String,
    /// It, if it could be opened at all.
    pub(crate) store: Option<Box<dyn SortedStore>>,
    /// Newer versions than it gives may be missing, of any key.
    pub(crate) is_behind: bool,
}

/// Opens the store that the manifest names; `Err(Ok(damage))` if it is damaged or has lost its end.
pub(crate) fn open_named(
    path: &Path,
    options: &OpenOptions,
    manifest: &Manifest,
) -> Result<Result<Box<dyn SortedStore>, Damage>, StorageError> {
    let store = match open_store(path, manifest.store, &options.store) {
        Err(error) if is_damage(&error) => {
            return Ok(Err(Damage { what: error.to_string(), store: None, is_behind: true }));
        }
        opened => opened?,
    };
    let what = match store.durable_upto() {
        Ok(durable) if manifest.upto <= durable => return Ok(Ok(store)),
        Ok(durable) => format!("it goes up to {durable}, but was durable up to {}", manifest.upto),
        Err(error) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    Ok(Err(Damage { what, store: Some(store), is_behind: true }))
}

/// Does trying again not help?
pub(crate) fn is_damage(error: &SortedStoreError) -> bool {
    match error {
        SortedStoreError::Failed { kind: FailureKind::Damaged, .. } | SortedStoreError::Unreadable { .. } => true,
        SortedStoreError::Failed { kind: FailureKind::NoSpace | FailureKind::Io, .. } => false,
    }
}

/// Puts a new generation in the place of the damaged store. `manifest` is replaced; `report` is told what was lost.
pub(crate) fn replace_store(
    path: &Path,
    disk: &StdDisk,
    options: &OpenOptions,
    manifest: &mut Manifest,
    damage: Damage,
    report: &mut RecoveryReport,
) -> Result<Box<dyn SortedStore>, StorageError> {
    let (engine, old, what) = (options.store.engine, manifest.store, damage.what.clone());
    let of = Predecessor { path, config: options.store, generation: old, upto: manifest.upto };
    let Successor { store: new, wounds } = build_successor(&of, damage, options.vnode_bits, options.unix_seconds)?;
    // Of records nobody knows a number, but something is lost.
    report.records_lost += 1;
    let choice = run_ready(Wounds::read_copies(disk))?;
    let (mut all, sequence) = choice.value.unwrap_or_default();
    wounds.iter().cloned().for_each(|wound| all.add(wound));
    run_ready(all.write(disk, sequence + 1))?;
    let next = Manifest { store: old + 1, is_wounded: true, lineage: options.salt, ..manifest.clone() };
    *manifest = next;
    run_ready(manifest.write(disk))?;
    let aside = retire_generation(path, engine, old).map_err(StorageError::io("set aside", &store_dir(engine, old)))?;
    report.set_aside.extend(aside.into_iter().map(|aside| (aside, what.clone())));
    report.wounds.extend(wounds);
    Ok(new)
}

/// Which store is to have a successor, and up to which record it was durable.
pub(crate) struct Predecessor<'a> {
    pub(crate) path: &'a Path,
    pub(crate) config: StoreConfig,
    pub(crate) generation: u32,
    pub(crate) upto: Lsn,
}

/// The next generation, durable, and what it lacks.
pub(crate) struct Successor {
    pub(crate) store: Box<dyn SortedStore>,
    pub(crate) wounds: Vec<Wound>,
}

/// Builds the next generation from what can be read of a damaged store, which is closed afterwards. Nothing names the new one
/// yet; the old one is marked, so that it is set aside when it does not count any more.
pub(crate) fn build_successor(
    of: &Predecessor<'_>,
    damage: Damage,
    vnode_bits: u8,
    unix_seconds: u64,
) -> Result<Successor, StorageError> {
    let Predecessor { path, config, generation, upto } = of;
    let old_name = store_dir(config.engine, *generation);
    tracing::error!(store = old_name, what = damage.what, "a sorted store is damaged; what can be read of it moves");
    let mut new = open_fresh(path, config, generation + 1)?;
    let census = KeyCensus::read(&path.join(&old_name), *upto).map_err(StorageError::io("read", &old_name))?;
    let saved = match &damage.store {
        Some(store) => Some(salvage(&**store, &mut *new, census.as_ref(), *upto, &mut |_| ())?),
        None => {
            new.flush_durable(*upto)?;
            None
        }
    };
    let lost = lost(&damage, saved.as_ref(), census.as_ref(), vnode_bits);
    let wounds = lost.into_iter().map(|range| range.into_wound(*upto, WoundCause::StoreLost, unix_seconds)).collect();
    let marked = mark_damaged(path, config.engine, *generation, &damage.what);
    marked.map_err(StorageError::io("mark as damaged", &old_name))?;
    Ok(Successor { store: new, wounds })
}

/// What the store found to be lost becomes the shard's own, durably, and is then forgotten there.
pub(crate) fn take_losses(
    disk: &StdDisk,
    options: &OpenOptions,
    manifest: Option<&mut Manifest>,
    sorted: &mut dyn SortedStore,
    report: &mut RecoveryReport,
) -> Result<(), StorageError> {
    let losses = sorted.losses();
    if losses.is_empty() {
        return Ok(());
    }
    let (mut all, sequence) = run_ready(Wounds::read_copies(disk))?.value.unwrap_or_default();
    losses.iter().cloned().for_each(|wound| all.add(wound));
    run_ready(all.write(disk, sequence + 1))?;
    if let Some(manifest) = manifest {
        (manifest.is_wounded, manifest.lineage) = (true, options.salt);
        run_ready(manifest.write(disk))?;
    }
    // Of records nobody knows a number, but something is lost.
    report.records_lost += 1;
    report.wounds.extend(losses);
    Ok(sorted.forget_losses()?)
}

/// An empty store; what an interrupted try has left there goes.
pub(crate) fn open_fresh(
    path: &Path,
    config: &StoreConfig,
    generation: u32,
) -> Result<Box<dyn SortedStore>, StorageError> {
    let removed = remove_generation(path, config.engine, generation);
    removed.map_err(StorageError::io("remove", &store_dir(config.engine, generation)))?;
    Ok(open_store(path, generation, config)?)
}

/// What is missing. A store that has lost its end has lost its newest versions, and nobody knows of which keys; one that
/// only could not be written to has what it gives. Of one that could not be opened the list of its keys tells which vnodes had
/// how many.
fn lost(damage: &Damage, saved: Option<&SalvageReport>, census: Option<&KeyCensus>, vnode_bits: u8) -> Vec<LostRange> {
    let what = &damage.what;
    match saved {
        Some(saved) if damage.is_behind => {
            all_lost(None, vnode_bits, &format!("{} objects were saved, any of which may be old: {what}", saved.copied))
        }
        Some(saved) => saved.lost.clone(),
        None => all_lost(census, vnode_bits, &format!("nothing could be saved: {what}")),
    }
}

/// Opens a store where no manifest says which one: the newest that was ever flushed, else the newest that can be opened, else
/// a new one. What cannot be opened is set aside. Gives its generation, too.
pub(crate) fn open_unnamed(
    path: &Path,
    disk: &StdDisk,
    options: &OpenOptions,
    report: &mut RecoveryReport,
) -> Result<(Box<dyn SortedStore>, u32), StorageError> {
    let generations = generations(path, options)?;
    let mut empty = None;
    for &generation in generations.iter().rev() {
        match open_store(path, generation, &options.store) {
            Ok(store) if store.durable_upto()? > Lsn(0) => return Ok((store, generation)),
            Ok(_) => empty = empty.or(Some(generation)),
            Err(error) if is_damage(&error) => {
                let name = store_dir(options.store.engine, generation);
                let aside = run_ready(set_aside(disk, &name, "unusable", options.unix_seconds))?;
                report.set_aside.push((aside, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let generation = empty.unwrap_or_else(|| generations.last().map_or(1, |newest| newest + 1));
    Ok((open_store(path, generation, &options.store)?, generation))
}

/// The generations of the engine's stores in the directory, ascending.
fn generations(path: &Path, options: &OpenOptions) -> Result<Vec<u32>, StorageError> {
    let shown = path.display().to_string();
    let mut generations = Vec::new();
    for entry in fs::read_dir(path).map_err(StorageError::io("list", &shown))? {
        let name = entry.map_err(StorageError::io("list", &shown))?.file_name();
        let name = name.to_string_lossy();
        let digits = name.strip_prefix(options.store.engine.name()).and_then(|rest| rest.strip_prefix('-'));
        generations.extend(digits.filter(|digits| digits.len() == 4).and_then(|digits| digits.parse::<u32>().ok()));
    }
    generations.sort_unstable();
    Ok(generations)
}
