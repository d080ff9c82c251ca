//! The end of a recovery: what must be durable before the shard goes on.
//!
//! Nothing was damaged: nothing but a manifest after a spill, and the reserve. Otherwise everything that is left goes into
//! the sorted store, the losses into the file of wounds, and then the manifest says that no segment is needed; only then the
//! damaged ones are set aside and the others removed. A crash in between finds the same damage again, and counts it once.

use super::directory::{Directory, everything};
use super::replay::Replay;
use super::segments::Survey;
use super::{RecoverOptions, Recovered, RecoveryReport};
use crate::disk::Disk;
use crate::error::{DiskTrouble, StorageError};
use crate::manifest::Manifest;
use crate::record::Lsn;
use crate::set_aside::set_aside;
use crate::wal::{SegmentId, WAL_DIR, WalPosition, make_reserve};
use crate::wounds::{Wound, WoundCause, Wounds};

pub(super) async fn settle<D: Disk>(
    disk: &D,
    mut replay: Replay<'_>,
    mut directory: Directory,
    mut survey: Survey,
    options: &RecoverOptions,
) -> Result<Recovered, StorageError> {
    if directory.is_rebuilt && survey.live.is_empty() && survey.unusable.is_empty() {
        let what = "neither a manifest nor a log was left";
        replay.lose_unknown(WoundCause::ManifestLost, what);
    }
    let is_damaged = replay.is_damaged || directory.is_rebuilt || directory.wounds_are_lost;
    if is_damaged {
        let full = replay.store.spill();
        replay.spill(full);
        if let Some(error) = replay.failure.take() {
            return Err(error);
        }
    }
    let Replay { mut store, spilled, losses, mut report, .. } = replay;
    report.records_lost = losses.records();
    let mut found = losses.into_wounds(options.unix_seconds);
    if directory.wounds_are_lost {
        let what = "the list of what was missing is damaged itself";
        found.push(everything(store.last_lsn(), what, options.unix_seconds));
    }
    remember_wounds(disk, &mut directory, &found).await?;
    store.add_wounds(found.iter().cloned());
    let segments = survey.live.iter().map(|live| live.id).collect::<Vec<_>>();
    let first_segment = segments.first().map_or(Lsn(0), |id| id.first);
    let mut manifest = directory.manifest;
    if let Some((upto, hlc_bound)) = spilled {
        // Segments stay until the next checkpoint, unless they are damaged; replay skips what is in the sorted store.
        let first_segment = if is_damaged { Lsn(0) } else { first_segment };
        let hlc_bound = manifest.hlc_bound.max(hlc_bound);
        let (end, is_sealed) = (manifest.end.max(upto), manifest.is_sealed && !is_damaged);
        manifest = Manifest { upto, hlc_bound, first_segment, end, is_sealed, ..manifest };
    }
    manifest.is_wounded = !directory.wounds.is_empty();
    manifest.lineage = if report.records_lost > 0 { options.salt } else { manifest.lineage };
    if spilled.is_some() || directory.is_uneven {
        manifest.write(disk).await?;
    }
    let segments = if is_damaged { clear(disk, &mut survey, &mut report, options).await? } else { segments };
    let reserve_bytes = reserve(disk, survey.reserve_bytes, options).await?;
    report.wounds = found;
    let (last_lsn, hlc_bound) = (store.last_lsn(), store.hlc_bound());
    let RecoverOptions { shard, salt, .. } = *options;
    let position = WalPosition { shard, salt, next_lsn: last_lsn.next(), segments, reserve_bytes };
    Ok(Recovered { store, position, manifest, last_lsn, hlc_bound, report })
}

/// Makes new wounds durable beside the old ones.
async fn remember_wounds<D: Disk>(disk: &D, directory: &mut Directory, found: &[Wound]) -> Result<(), StorageError> {
    let before: Wounds = directory.wounds.clone();
    found.iter().cloned().for_each(|wound| directory.wounds.add(wound));
    if directory.wounds != before {
        directory.wounds.write(disk, directory.wounds_sequence + 1).await?;
    }
    Ok(())
}

/// The log is in the sorted store: damaged segments are set aside, the others go.
async fn clear<D: Disk>(
    disk: &D,
    survey: &mut Survey,
    report: &mut RecoveryReport,
    options: &RecoverOptions,
) -> Result<Vec<SegmentId>, StorageError> {
    let bad = survey.live.iter_mut().filter_map(|live| Some((live.path.clone(), live.fault.take()?)));
    let unusable = survey.unusable.drain(..).map(|(id, fault)| (id.path(), fault));
    let bad: Vec<_> = bad.chain(unusable).collect();
    for live in survey.live.drain(..).filter(|live| bad.iter().all(|(path, _)| *path != live.path)) {
        disk.remove(&live.path).await.map_err(StorageError::io("remove", &live.path))?;
        report.segments_removed += 1;
    }
    disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync", WAL_DIR))?;
    for (path, fault) in bad {
        let aside = set_aside(disk, &path, fault.reason, options.unix_seconds).await?;
        report.set_aside.push((aside, fault.what));
    }
    Ok(Vec::new())
}

/// Room for a full disk, if there is room for it now.
async fn reserve<D: Disk>(disk: &D, there: u64, options: &RecoverOptions) -> Result<u64, StorageError> {
    let wanted = options.wal.reserve_bytes;
    if wanted == 0 || wanted <= there {
        return Ok(there);
    }
    match make_reserve(disk, wanted).await {
        Ok(()) => Ok(wanted),
        Err(error) if error.trouble() == DiskTrouble::NoSpace => {
            tracing::warn!(%error, "there is no room for the log's reserve");
            Ok(0)
        }
        Err(error) => Err(error),
    }
}
