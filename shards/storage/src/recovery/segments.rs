//! Which segments of the log count, by what they say of themselves rather than by their names.

use super::directory::{Directory, segment_ids};
use super::{RecoverOptions, RecoveryReport};
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::manifest::Manifest;
use crate::record::Lsn;
use crate::wal::{
    DATA_AT, HeaderFault, NEW_PATH, RESERVE_PATH, SEGMENT_VERSION, SPARE_PATH, SegmentEnd, SegmentHeader, SegmentId,
    SegmentReader, WAL_DIR,
};

/// A file that is to be set aside: a reason for its name, and the words for the report.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) what: String,
}

/// A segment with records that may be needed.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: SegmentId,
    pub(super) path: String,
    pub(super) header: SegmentHeader,
    pub(super) fault: Option<Fault>,
}

/// The log as it lies there.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// By first record; of those with the same one, the later try last.
    pub(super) live: Vec<Live>,
    /// Files that should be segments and are not.
    pub(super) unusable: Vec<(SegmentId, Fault)>,
    /// Bytes of the reserve.
    pub(super) reserve_bytes: u64,
}

/// Looks at every segment's header. Those that a finished checkpoint made superfluous go.
pub(super) async fn survey<D: Disk>(
    disk: &D,
    directory: &Directory,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<Survey, StorageError> {
    let manifest = &directory.manifest;
    // Without a segment that must be there, only what was begun after the checkpoint counts.
    let first_live = match manifest.first_segment {
        _ if directory.is_rebuilt => Lsn(0),
        Lsn(0) => manifest.upto.next(),
        first => first,
    };
    let mut survey = Survey { reserve_bytes: reserve_bytes(disk, options).await?, ..Survey::default() };
    for id in segment_ids(disk).await? {
        let path = id.path();
        let fault = |reason: &'static str, what: String| Fault { reason, what: format!("{path}: {what}") };
        match SegmentHeader::decode(&read_head(disk, &path).await?) {
            Err(HeaderFault::Version(version)) => {
                let what = format!(
                    "format version {version}, this program knows {SEGMENT_VERSION}; start the version that wrote it"
                );
                return Err(StorageError::Foreign { path, what });
            }
            Ok((header, _)) if header.shard == options.shard && header.first_lsn != id.first => {
                let what = format!("its header says that it begins with {}", header.first_lsn);
                let fault = Some(fault("misnamed", what));
                survey.live.push(Live { id, path, header, fault });
            }
            _ if id.first < first_live => remove(disk, &path, report).await?,
            Ok((header, _)) if header.shard != options.shard => {
                let what = format!("belongs to shard {}, not to shard {}", header.shard, options.shard);
                survey.unusable.push((id, fault("foreign", what)));
            }
            Ok((header, bad_copy)) => {
                let fault = bad_copy.map(|what| fault("header", what));
                survey.live.push(Live { id, path, header, fault });
            }
            // A segment gets its name when its header is durable.
            Err(HeaderFault::Bad(what)) => survey.unusable.push((id, fault("header", what))),
        }
    }
    survey.live.sort_by_key(|live| (live.header.first_lsn, live.id));
    Ok(survey)
}

/// Segments at the end that were begun and got no batch (or half of one, at which the power went): they go, so that what
/// they were to replace counts again. Gives the bytes of the last one that stays, if it was read.
pub(super) async fn drop_empty_end<D: Disk>(
    disk: &D,
    survey: &mut Survey,
    manifest: &Manifest,
    report: &mut RecoveryReport,
) -> Result<Option<Vec<u8>>, StorageError> {
    while let Some(last) =
        survey.live.last().filter(|last| last.fault.is_none() && manifest.end < last.header.first_lsn)
    {
        let bytes = read(disk, &last.path).await?;
        let mut reader = SegmentReader::new(&bytes, &last.header);
        if (bytes.len() as u64) < last.header.bytes || reader.next_batch().is_some() {
            return Ok(Some(bytes));
        }
        match reader.end() {
            SegmentEnd::Damaged { .. } => return Ok(Some(bytes)),
            SegmentEnd::Torn { offset, what } => {
                report.torn_tail.get_or_insert_with(|| (last.path.clone(), offset, what));
            }
            SegmentEnd::Clean => {}
        }
        remove(disk, &last.path, report).await?;
        survey.live.pop();
    }
    Ok(None)
}

async fn remove<D: Disk>(disk: &D, path: &str, report: &mut RecoveryReport) -> Result<(), StorageError> {
    disk.remove(path).await.map_err(StorageError::io("remove", path))?;
    report.segments_removed += 1;
    disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync", WAL_DIR))
}

/// Reads all of a segment. Syncs first: after a mere process crash the page cache shows what the disk has not got yet,
/// and from now on it is going to be relied on.
pub(super) async fn read<D: Disk>(disk: &D, path: &str) -> Result<Vec<u8>, StorageError> {
    let file = disk.open(path).await.map_err(StorageError::io("open", path))?;
    file.sync_data().await.map_err(StorageError::io("sync", path))?;
    let bytes = file.len().await.map_err(StorageError::io("measure", path))?;
    let bytes = usize::try_from(bytes).expect("a segment fits into memory");
    let segment = file.read_at(0, bytes).await.map_err(StorageError::io("read", path))?;
    file.close().await.map_err(StorageError::io("close", path))?;
    Ok(segment)
}

async fn read_head<D: Disk>(disk: &D, path: &str) -> Result<Vec<u8>, StorageError> {
    let file = disk.open(path).await.map_err(StorageError::io("open", path))?;
    let head = file.read_at(0, DATA_AT).await.map_err(StorageError::io("read", path))?;
    file.close().await.map_err(StorageError::io("close", path))?;
    Ok(head)
}

/// The reserve, if it is as long as it has to be; what an interrupted start or refill left behind goes.
async fn reserve_bytes<D: Disk>(disk: &D, options: &RecoverOptions) -> Result<u64, StorageError> {
    let names = disk.list(WAL_DIR).await.map_err(StorageError::io("list", WAL_DIR))?;
    let is_there = |path: &str| names.iter().any(|name| path.ends_with(&format!("/{name}")));
    for path in [NEW_PATH, SPARE_PATH].into_iter().filter(|path| is_there(path)) {
        disk.remove(path).await.map_err(StorageError::io("remove", path))?;
    }
    if !is_there(RESERVE_PATH) {
        return Ok(0);
    }
    let file = disk.open(RESERVE_PATH).await.map_err(StorageError::io("open", RESERVE_PATH))?;
    let bytes = file.len().await.map_err(StorageError::io("measure", RESERVE_PATH))?;
    file.close().await.map_err(StorageError::io("close", RESERVE_PATH))?;
    if options.wal.reserve_bytes <= bytes && options.wal.reserve_bytes > 0 {
        return Ok(bytes);
    }
    disk.remove(RESERVE_PATH).await.map_err(StorageError::io("remove", RESERVE_PATH))?;
    Ok(0)
}
