//! A node's own data directory from its backup: the same node, as old as the backup, under a new incarnation.
//!
//! The directory is built under another name beside it and takes its name when it is whole, so an interrupted restore
//! leaves nothing that a node would start on.

use std::fs;
use std::io::Write;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use rondo_protocol::ring::{Token, VNodeBits, shard_of};
use rondo_storage::backup::{BackupError, BackupManifest, Chain, FillTarget, Filled, Losses, fill_shards};
use rondo_storage::node_dir::NodeDirOptions;
use rondo_storage::{Engine, NodeDir, NodeDirError, StorageError, StoreConfig, Wound, Wounds};
use serde_json::json;

use super::lost::{lost_json, tell_lost};
use crate::cli::backup::unusable;
use crate::cli::data::eprint_line;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::jobs::bar_of;
use crate::jobs::unix_millis;
use crate::limits::RESTORE_STORE_CACHE_BYTES;

/// What is to be built.
pub(super) struct Wanted<'a> {
    pub(super) data: &'a Path,
    pub(super) name: Option<&'a str>,
    pub(super) shards: Option<u16>,
    pub(super) engine: Engine,
    pub(super) json: bool,
}

/// What was built.
struct Built {
    filled: Filled,
    incarnation: u32,
    losses: Losses,
}

/// Builds it and reports.
pub(super) fn restore(chain: &Chain, wanted: &Wanted<'_>) -> Outcome {
    let manifest = chain.newest();
    if let Some(name) = wanted.name.filter(|name| *name != manifest.node) {
        let text = format!(
            "{} is a backup of node {}, not of {name}; to give another node's data to {name}, restore through the ring (--addr)",
            manifest.id, manifest.node
        );
        return Err(Failure::new(Exit::BadInput, text));
    }
    if manifest.keyspace.is_some() {
        let text = format!("{} holds one keyspace only; a data directory is built from a backup of all", manifest.id);
        return Err(Failure::new(Exit::BadInput, text));
    }
    refuse_full(wanted.data).map_err(|error| unusable(&error))?;
    let building = beside(wanted.data);
    remove_leftover(&building).map_err(|error| unusable(&error))?;
    let built = build(chain, wanted, &building)?;
    take_name(&building, wanted.data).map_err(|error| unusable(&error))?;
    report(manifest, wanted, &built)
}

/// Only what is not there, or empty, may become the directory.
fn refuse_full(data: &Path) -> Result<(), BackupError> {
    let io = |source| BackupError::Io { action: "look at", path: data.to_owned(), source };
    match fs::read_dir(data) {
        Ok(mut names) => match names.next() {
            None => Ok(()),
            Some(name) => {
                let found = name.map_err(io)?.file_name().to_string_lossy().into_owned();
                Err(BackupError::NotEmpty { path: data.to_owned(), found })
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
    }
}

/// What an interrupted restore left behind. Anything else of that name is left alone.
fn remove_leftover(building: &Path) -> Result<(), BackupError> {
    if !building.join("LOCK").exists() {
        return refuse_full(building);
    }
    fs::remove_dir_all(building).map_err(|source| BackupError::Io {
        action: "remove",
        path: building.to_owned(),
        source,
    })
}

fn beside(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    data.with_file_name(name)
}

fn build(chain: &Chain, wanted: &Wanted<'_>, path: &Path) -> Result<Built, Failure> {
    let manifest = chain.newest();
    let shards = wanted.shards.unwrap_or(manifest.files.len() as u16);
    let unfit = |error: &dyn core::fmt::Display| Failure::new(Exit::BadInput, error);
    let shards = NonZeroU16::new(shards).ok_or_else(|| unfit(&"the backup has no shards"))?;
    let bits = VNodeBits::new(manifest.vnode_bits).ok_or_else(|| unfit(&"the backup's vnode bits make no sense"))?;
    let directory = open_directory(manifest, wanted, path, shards).map_err(|error| unfit(&error))?;
    let incarnation = directory.identity().incarnation;
    let target = FillTarget {
        shards: (0..shards.get()).map(|shard| directory.shard_path(shard)).collect(),
        store: StoreConfig { engine: wanted.engine, cache_bytes: RESTORE_STORE_CACHE_BYTES },
        lineage: unix_millis().rotate_left(24) ^ u64::from(std::process::id()),
        hlc_bound: chain.links().iter().flat_map(|(_, one)| &one.files).map(|file| file.hlc_bound).max().unwrap_or(0),
    };
    let records = chain.links().iter().map(|(_, manifest)| manifest.records()).sum();
    let bar = bar_of(records, "{bar:40} {pos}/{len} records {per_sec} {eta} left");
    let mut reader = chain.read().map_err(|error| unusable(&error))?;
    let filled = fill_shards(
        &target,
        |token| shard_of(bits.vnode(Token(token)), shards).0,
        || reader.next_entry().map_err(|error| FillFailure(unusable(&error))),
        |filled| bar.set_position(filled.records),
    );
    bar.finish_and_clear();
    let filled = filled.map_err(|failure| failure.0)?;
    let losses = reader.losses().clone();
    let wounds = losses.wounds(manifest, unix_millis() / 1000);
    // A wound within one vnode is its shard's, any other may concern all of them.
    let owner = |wound: &Wound| {
        let [first, last] = [wound.from, wound.to].map(|token| bits.vnode(Token(token)));
        (first == last).then(|| shard_of(first, shards).0)
    };
    let of_shard = |shard: u16| {
        let mut own = Wounds::default();
        wounds
            .iter()
            .filter(|wound| owner(wound).is_none_or(|owner| owner == shard))
            .for_each(|wound| own.add(wound.clone()));
        own
    };
    let filled = filled.settle(&target, of_shard).map_err(|error| FillFailure::from(error).0)?;
    directory.close_clean().map_err(|error| unfit(&error))?;
    Ok(Built { filled, incarnation, losses })
}

/// The next incarnation is above the one of the backup, and never behind the clock.
fn open_directory(
    manifest: &BackupManifest,
    wanted: &Wanted<'_>,
    path: &Path,
    shards: NonZeroU16,
) -> Result<NodeDir, NodeDirError> {
    let options = NodeDirOptions {
        cluster_id: manifest.cluster_id().unwrap_or_default(),
        node_name: manifest.node.clone(),
        shards: shards.get(),
        engine: wanted.engine,
        vnode_bits: manifest.vnode_bits,
        unix_seconds: (unix_millis() / 1000).max(u64::from(manifest.incarnation) + 1),
    };
    let directory = NodeDir::open(path, &options)?;
    directory.create_shard_dirs(directory.identity().layout, shards.get())?;
    assert!(manifest.incarnation < directory.identity().incarnation, "an incarnation must never be used twice");
    Ok(directory)
}

/// What stops the filling, as the command ends with it.
struct FillFailure(Failure);

impl From<StorageError> for FillFailure {
    fn from(error: StorageError) -> FillFailure {
        FillFailure(Failure::new(Exit::Failed, error))
    }
}

fn take_name(building: &Path, data: &Path) -> Result<(), BackupError> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { action, path, source }
    };
    match fs::remove_dir(data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("replace", data)(error)),
        Ok(()) | Err(_) => {}
    }
    fs::rename(building, data).map_err(io("rename", building))?;
    let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io("sync", parent))
}

fn report(manifest: &BackupManifest, wanted: &Wanted<'_>, built: &Built) -> Outcome {
    let Built { filled, incarnation, losses: lost } = built;
    let mut out = std::io::stdout().lock();
    let losses = manifest.losses();
    if wanted.json {
        let line = json!({
            "data": wanted.data.display().to_string(), "node": manifest.node, "incarnation": incarnation,
            "records": filled.records, "bytes": filled.bytes, "losses": losses,
            "lost_records": lost.records, "withheld": lost.withheld, "lost": lost_json(lost),
        });
        writeln!(out, "{line}")?;
    } else {
        let (bytes, data) = (HumanBytes(filled.bytes), wanted.data.display());
        let (records, node) = (filled.records, &manifest.node);
        writeln!(out, "{records} records, {bytes}, in {data}: node {node}, incarnation {incarnation}")?;
    }
    out.flush()?;
    losses.iter().for_each(|loss| eprint_line(&format!("rondo: not in the backup: {loss}")));
    tell_lost(lost);
    if losses.is_empty() && lost.is_empty() {
        return Ok(Exit::Done);
    }
    eprint_line("rondo: what is missing is answered as unreadable: rondo damage list --data DIR");
    Ok(Exit::Damaged)
}
