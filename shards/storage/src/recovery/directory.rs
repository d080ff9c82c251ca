//! The manifest and the wounds: whose directory it is, what is checkpointed, what was lost before.

use super::{RecoverOptions, RecoveryReport};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::manifest::Manifest;
use crate::record::Lsn;
use crate::sorted_store::SortedStore;
use crate::twin::Twin;
use crate::wal::{SegmentId, WAL_DIR};
use crate::wounds::{Wound, WoundCause, Wounds};

const REMEDY: &str = "Restore the shard's directory from a backup, or remove it and let the replicas fill it again";

/// What a shard's directory says.
pub(super) struct Directory {
    pub(super) manifest: Manifest,
    /// Both files of the manifest were gone or damaged, and this one is what could be made out.
    pub(super) is_rebuilt: bool,
    /// The files of the manifest are not both as they should be.
    pub(super) is_uneven: bool,
    pub(super) wounds: Wounds,
    /// The number under which the wounds were written last.
    pub(super) wounds_sequence: u64,
    /// The wounds were to be there and could not be read.
    pub(super) wounds_are_lost: bool,
}

/// Makes sure that the directory is this shard's, and creates what is missing in a fresh one.
pub(super) async fn open<D: Disk>(
    disk: &D,
    sorted: &dyn SortedStore,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<Directory, StorageError> {
    disk.create_dir(WAL_DIR).await.map_err(StorageError::io("create", WAL_DIR))?;
    disk.sync_dir("").await.map_err(StorageError::io("sync", "the shard's directory"))?;
    let choice = Manifest::read_copies(disk).await?;
    let is_rebuilt;
    let manifest = match choice.value {
        Some(manifest) => {
            is_rebuilt = false;
            check(&manifest, sorted, options)?;
            manifest
        }
        None => {
            let durable = sorted.durable_upto()?;
            report.is_fresh = choice.bad.is_empty() && durable == Lsn(0) && segment_ids(disk).await?.is_empty();
            is_rebuilt = !report.is_fresh;
            Manifest {
                store: options.generation,
                ..Manifest::new(options.shard, sorted.engine(), options.salt, durable)
            }
        }
    };
    let mut directory = Directory {
        manifest,
        is_rebuilt,
        is_uneven: choice.is_uneven,
        wounds: Wounds::default(),
        wounds_sequence: 0,
        wounds_are_lost: false,
    };
    if report.is_fresh {
        directory.manifest.write(disk).await?;
        return Ok(directory);
    }
    report.set_aside.extend(Twin::set_aside_bad(disk, &choice.bad, options.unix_seconds).await?);
    if choice.is_main_missing {
        report.repaired.push("the manifest was missing; its copy has taken its place".to_owned());
    }
    if is_rebuilt {
        let upto = directory.manifest.upto;
        report.repaired.push(format!("no good manifest was left; the sorted store says that it goes up to {upto}"));
    }
    read_wounds(disk, &mut directory, options, report).await?;
    Ok(directory)
}

/// Is the manifest about what was opened, and has the store what it says? A store that goes less far than the manifest has
/// lost its end, and would answer with old objects.
fn check(manifest: &Manifest, sorted: &dyn SortedStore, options: &RecoverOptions) -> Result<(), StorageError> {
    manifest.check_owner(options.shard, sorted.engine())?;
    let (found, expected) = (manifest.store, options.generation);
    if found != expected {
        let what = format!("names store {found}, but store {expected} was opened");
        return Err(StorageError::Foreign { path: "manifest".to_owned(), what });
    }
    let durable = sorted.durable_upto()?;
    if durable >= manifest.upto {
        return Ok(());
    }
    let path = format!("{}-{:04}", manifest.engine, manifest.store);
    let what = format!("the sorted store goes up to {durable}, but was durable up to {}", manifest.upto);
    Err(StorageError::Damaged { path, offset: 0, what, remedy: REMEDY })
}

async fn read_wounds<D: Disk>(
    disk: &D,
    directory: &mut Directory,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<(), StorageError> {
    let choice = Wounds::read_copies(disk).await?;
    report.set_aside.extend(Twin::set_aside_bad(disk, &choice.bad, options.unix_seconds).await?);
    let is_missing = directory.manifest.is_wounded || !choice.bad.is_empty();
    match choice.value {
        Some((wounds, sequence)) => {
            if choice.is_uneven {
                wounds.write(disk, sequence + 1).await?;
            }
            (directory.wounds, directory.wounds_sequence) = (wounds, sequence + u64::from(choice.is_uneven));
        }
        None if is_missing => directory.wounds_are_lost = true,
        None => {}
    }
    Ok(())
}

/// Nobody knows any more what was lost: all that was written up to `upto` may be.
pub(super) fn everything(upto: Lsn, what: &str, unix_seconds: u64) -> Wound {
    Wound {
        from: 0,
        to: u128::MAX,
        upto,
        keys: None,
        cause: WoundCause::ManifestLost,
        what: what.to_owned(),
        found_at_unix: unix_seconds,
    }
}

/// The segments in the log's directory, by name.
pub(super) async fn segment_ids<D: Disk>(disk: &D) -> Result<Vec<SegmentId>, StorageError> {
    let names = disk.list(WAL_DIR).await.map_err(StorageError::io("list", WAL_DIR))?;
    let mut ids: Vec<SegmentId> = names.iter().filter_map(|name| SegmentId::parse(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}
