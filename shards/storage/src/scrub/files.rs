//! The files of a shard beside its sorted store: manifest, wounds, list of keys, and the closed segments of the log.
//!
//! A running node replaces and removes them meanwhile. A file that has gone when its turn comes is none to worry about; the
//! segment that is being written is left alone.

use super::Scrubbed;
use crate::disk::{StdDisk, run_ready};
use crate::error::StorageError;
use crate::key_journal::check_pages;
use crate::limits::{PAGE_BYTES, SCRUB_SEGMENT_BYTES_MAX};
use crate::manifest::Manifest;
use crate::wal::{ReplayFault, SegmentId, WAL_DIR, check_segment};
use crate::wounds::Wounds;
use core::sync::atomic::{AtomicBool, Ordering};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Checks both copies of the manifest and of the wounds, and the list of keys of the store in force. Blocks.
pub fn check_shard_files(shard_path: &Path) -> Scrubbed {
    let mut found = Scrubbed::default();
    check_small(shard_path, &mut found);
    found
}

fn check_small(shard_path: &Path, found: &mut Scrubbed) {
    let place = |name: &str| shard_path.join(name).display().to_string();
    let checked = StdDisk::open(shard_path).map_err(StorageError::io("open", &place(""))).and_then(|disk| {
        let manifest = run_ready(Manifest::read_copies(&disk))?;
        let wounds = run_ready(Wounds::read_copies(&disk))?;
        Ok((manifest, wounds))
    });
    let (manifest, wounds) = match checked {
        Ok(checked) => checked,
        Err(error) => return found.note(place("manifest"), error.to_string()),
    };
    found.files += 2 + 2 * u64::from(wounds.value.is_some());
    for (name, what) in manifest.bad.into_iter().chain(wounds.bad) {
        found.note(place(name), what);
    }
    let Some(manifest) = manifest.value else { return found.note(place("manifest"), "it is missing".to_owned()) };
    let store = shard_path.join(format!("{}-{:04}", manifest.engine, manifest.store));
    match check_pages(&store) {
        Ok(None) => {}
        Ok(Some((pages, bad))) => {
            found.files += 1;
            found.bytes += pages * PAGE_BYTES as u64;
            let name = format!("keys-{:04}", manifest.store);
            bad.into_iter().for_each(|page| found.note(format!("{}, page {page}", place(&name)), "bad".to_owned()));
        }
        Err(error) => found.note(format!("{}, its list of keys", store.display()), error.to_string()),
    }
}

/// Checks the closed segments of the log, resting `rest_times` as long after each as it took. Blocks.
pub fn check_shard_log(shard_path: &Path, rest_times: u32, is_cancelled: &AtomicBool) -> Scrubbed {
    let mut found = Scrubbed::default();
    let wal = shard_path.join(WAL_DIR);
    let mut ids = match segments_in(&wal) {
        Ok(ids) => ids,
        Err(error) => {
            found.note(wal.display().to_string(), format!("it cannot be listed: {error}"));
            return found;
        }
    };
    ids.sort();
    // The last one is being written.
    for pair in ids.windows(2) {
        if is_cancelled.load(Ordering::Acquire) {
            break;
        }
        let began = Instant::now();
        if let Some((place, what)) = check_closed(&shard_path.join(pair[0].path()), pair[0], pair[1], &mut found) {
            found.note(place, what);
        }
        thread::sleep(began.elapsed() * rest_times);
    }
    found
}

fn segments_in(wal: &Path) -> io::Result<Vec<SegmentId>> {
    let names = fs::read_dir(wal)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let ids = names.map(|name: io::Result<String>| name.map(|name| SegmentId::parse(&name)));
    ids.filter_map(Result::transpose).collect()
}

/// A segment behind which another begins: the good batches must reach that one's first record. What was given up after a
/// failed write ends torn, and its successor begins with the record that failed.
fn check_closed(path: &Path, id: SegmentId, next: SegmentId, found: &mut Scrubbed) -> Option<(String, String)> {
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some((path.display().to_string(), error.to_string())),
    };
    found.files += 1;
    found.bytes += bytes.len() as u64;
    let (records, fault) = check_segment(&bytes);
    let reaches = next.first.0 <= id.first.0 + records;
    let at = |offset: u64| format!("{} at byte {offset}", path.display());
    match fault {
        None | Some(ReplayFault::Torn(_)) if reaches => None,
        None => Some((path.display().to_string(), format!("{records} good records, and the next begins later"))),
        Some(ReplayFault::Torn(offset)) => Some((at(offset), "the last batches are not as written".to_owned())),
        Some(ReplayFault::Damaged(offset)) => Some((at(offset), "a batch is not as written".to_owned())),
        Some(ReplayFault::Header(what)) => Some((at(0), what)),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::metadata(path)?.len();
    if SCRUB_SEGMENT_BYTES_MAX < bytes {
        return Err(io::Error::other(format!("{bytes} bytes are more than a segment has")));
    }
    fs::read(path)
}
