//! The files of a shard beside its sorted store: the manifest and the closed segments of the log.
//!
//! A running node replaces and removes them meanwhile. A file that has gone when its turn comes is none to worry about; the
//! segment that is being written is left alone.

use super::Scrubbed;
use crate::disk::{StdDisk, run_ready};
use crate::limits::SCRUB_SEGMENT_BYTES_MAX;
use crate::manifest::Manifest;
use crate::wal::{ReplayFault, WAL_DIR, check_segment};
use core::sync::atomic::{AtomicBool, Ordering};
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Checks them, resting `rest_times` as long after each as it took. Blocks: call it from a thread of its own.
pub fn check_shard_files(shard_path: &Path, rest_times: u32, is_cancelled: &AtomicBool) -> Scrubbed {
    let mut found = Scrubbed::default();
    check_manifest(shard_path, &mut found);
    let wal = shard_path.join(WAL_DIR);
    let mut names = match names_in(&wal) {
        Ok(names) => names,
        Err(error) => {
            found.note(wal.display().to_string(), format!("it cannot be listed: {error}"));
            return found;
        }
    };
    names.sort();
    for pair in names.windows(2) {
        if is_cancelled.load(Ordering::Acquire) {
            break;
        }
        let began = Instant::now();
        check_closed(&wal, &pair[0], &pair[1], &mut found);
        thread::sleep(began.elapsed() * rest_times);
    }
    found
}

fn check_manifest(shard_path: &Path, found: &mut Scrubbed) {
    let checked = StdDisk::open(shard_path).map_err(|error| error.to_string()).and_then(|disk| {
        let manifest = run_ready(Manifest::read(&disk)).map_err(|error| error.to_string())?;
        manifest.ok_or_else(|| "it is missing".to_owned())
    });
    match checked {
        Ok(_) => found.files += 1,
        Err(what) => found.note(shard_path.join("manifest").display().to_string(), what),
    }
}

fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| name.as_ref().is_ok_and(|name| first_lsn(name).is_some())).collect()
}

fn first_lsn(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".log")?, 16).ok()
}

/// A segment behind which another begins: the good batches must reach that one's first record.
fn check_closed(wal: &Path, name: &str, next: &str, found: &mut Scrubbed) {
    let path = wal.join(name);
    let bytes = match read_bounded(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return found.note(path.display().to_string(), error.to_string()),
    };
    found.files += 1;
    found.bytes += bytes.len() as u64;
    let (records, fault) = check_segment(&bytes);
    let reaches = first_lsn(name).zip(first_lsn(next)).is_some_and(|(first, next)| next <= first + records);
    let place = |offset: u64| format!("{} at byte {offset}", path.display());
    match fault {
        None if reaches => {}
        Some(ReplayFault::Torn(_)) if reaches => {}
        None => found.note(path.display().to_string(), format!("{records} records, and {next} begins later")),
        Some(ReplayFault::Torn(offset)) => found.note(place(offset), "the last batches are not as written".to_owned()),
        Some(ReplayFault::Damaged(offset)) => found.note(place(offset), "a batch is not as written".to_owned()),
        Some(ReplayFault::Header(what)) => found.note(place(0), what),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::metadata(path)?.len();
    if SCRUB_SEGMENT_BYTES_MAX < bytes {
        return Err(io::Error::other(format!("{bytes} bytes are more than a segment has")));
    }
    fs::read(path)
}
