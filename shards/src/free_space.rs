//! How the file system of a shard is, looked at again and again by a thread that may wait: how much room it has, and whether
//! it answers at all.
//!
//! The log could go on until the last block, but the sorted stores cannot: they are left damaged or unopenable by a full
//! disk. So a shard stops taking values while there is still room, and takes them again only when there is clearly more,
//! so that it does not change its mind every second. And where nothing is written, nobody would notice a disk that hangs until
//! the first client waits for it: so the thread writes a page at each look, and the shard sees how long that takes.

use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use rondo_storage::Room;
use rondo_storage::limits::{DISK_STALLED_AFTER, PAGE_BYTES};

use crate::limits::{INODES_FREE_MIN, SPACE_LOOK_INTERVAL};

/// The file that the probe writes, in the shard's directory.
const PROBE_NAME: &str = "probe";

/// What the system says of a file system.
#[derive(Clone, Copy, Debug)]
struct Reading {
    free_bytes: u64,
    total_bytes: u64,
    free_inodes: u64,
    /// 0 where inodes are made as they are needed.
    total_inodes: u64,
}

impl Reading {
    /// Judges the room, given what it was before. `keep_free_bytes` never asks for more than an eighth of the disk.
    fn judge(self, before: Room, keep_free_bytes: u64) -> Room {
        let keep = keep_free_bytes.min(self.total_bytes / 8);
        let (bytes_needed, inodes_needed) =
            if before.is_little() { (keep + keep / 4, 2 * INODES_FREE_MIN) } else { (keep, INODES_FREE_MIN) };
        let free_bytes = self.free_bytes;
        if self.total_inodes > 0 && self.free_inodes < inodes_needed {
            return Room::NoInodes { free_bytes, free_inodes: self.free_inodes };
        }
        if free_bytes < bytes_needed { Room::Little { free_bytes } } else { Room::Enough { free_bytes } }
    }
}

/// Where a shard reads what the thread saw.
#[derive(Debug, Default)]
pub(crate) struct FreeSpace {
    free_bytes: AtomicU64,
    free_inodes: AtomicU64,
    /// Which [`Room`] it is, written last.
    kind: AtomicU64,
    /// When the look under way began, in microseconds since `started`, and one more; 0 if none is.
    looking_since: AtomicU64,
    started: Started,
}

/// What the thread counts its time from.
#[derive(Debug)]
struct Started(Instant);

impl Default for Started {
    fn default() -> Started {
        Started(Instant::now())
    }
}

impl FreeSpace {
    /// The room as last seen.
    pub(crate) fn room(&self) -> Room {
        let kind = self.kind.load(Ordering::Acquire);
        let free_bytes = self.free_bytes.load(Ordering::Relaxed);
        match kind {
            1 => Room::Enough { free_bytes },
            2 => Room::Little { free_bytes },
            3 => Room::NoInodes { free_bytes, free_inodes: self.free_inodes.load(Ordering::Relaxed) },
            _ => Room::Unknown,
        }
    }

    /// How long the look under way has taken; `None` if none is.
    pub(crate) fn looking_for(&self) -> Option<Duration> {
        let since = Duration::from_micros(self.looking_since.load(Ordering::Acquire).checked_sub(1)?);
        Some(self.started.0.elapsed().saturating_sub(since))
    }

    fn begin_look(&self) {
        let now = u64::try_from(self.started.0.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.looking_since.store(now + 1, Ordering::Release);
    }

    fn end_look(&self) {
        self.looking_since.store(0, Ordering::Release);
    }

    fn set(&self, room: Room) {
        self.free_bytes.store(room.free_bytes(), Ordering::Relaxed);
        let kind = match room {
            Room::Unknown => 0,
            Room::Enough { .. } => 1,
            Room::Little { .. } => 2,
            Room::NoInodes { free_inodes, .. } => {
                self.free_inodes.store(free_inodes, Ordering::Relaxed);
                3
            }
        };
        self.kind.store(kind, Ordering::Release);
    }

    fn look(&self, directory: &Path, keep_free_bytes: u64) {
        // What cannot be asked now is asked again in a second; what was seen last stands meanwhile.
        if let Ok(said) = rustix::fs::statvfs(directory) {
            let reading = Reading {
                free_bytes: said.f_bavail.saturating_mul(said.f_frsize),
                total_bytes: said.f_blocks.saturating_mul(said.f_frsize),
                free_inodes: said.f_favail,
                total_inodes: said.f_files,
            };
            self.set(reading.judge(self.room(), keep_free_bytes));
        }
    }
}

/// Ends the thread when it is dropped (after the look that it may be at: a hung file system is not waited for).
#[derive(Debug)]
pub(crate) struct SpaceWatch {
    pub(crate) space: Arc<FreeSpace>,
    _alive: flume::Sender<()>,
}

impl SpaceWatch {
    /// Looks at the file system of `directory` at once, and then again and again on a thread of its own: one a shard, so that
    /// one that hangs keeps nobody else's room from being seen.
    pub(crate) fn start(shard: usize, directory: PathBuf, keep_free_bytes: u64) -> io::Result<SpaceWatch> {
        let space = Arc::new(FreeSpace::default());
        space.look(&directory, keep_free_bytes);
        let (alive, ended) = flume::bounded::<()>(0);
        let seen = Arc::clone(&space);
        let watch = move || {
            let mut probe = Probe::new(&directory);
            while ended.recv_timeout(SPACE_LOOK_INTERVAL) == Err(flume::RecvTimeoutError::Timeout) {
                seen.begin_look();
                seen.look(&directory, keep_free_bytes);
                probe.write();
                seen.end_look();
            }
        };
        thread::Builder::new().name(format!("space-{shard}")).spawn(watch)?;
        Ok(SpaceWatch { space, _alive: alive })
    }
}

/// Writes the same page of a file of its own, past the page cache. Whether it is durable is of no interest, only that it comes
/// back.
struct Probe {
    path: PathBuf,
    file: Option<File>,
    /// Two pages, one of which lies where direct I/O wants it.
    buffer: Vec<u8>,
}

impl Probe {
    fn new(directory: &Path) -> Probe {
        Probe { path: directory.join(PROBE_NAME), file: None, buffer: vec![0; 2 * PAGE_BYTES] }
    }

    /// A disk that refuses has answered: what that means is for those to say who have something to write.
    fn write(&mut self) {
        let at = self.buffer.as_ptr().align_offset(PAGE_BYTES);
        let page = &self.buffer[at..at + PAGE_BYTES];
        let written = match &self.file {
            Some(file) => file.write_all_at(page, 0).map(|()| None),
            None => open(&self.path).and_then(|file| file.write_all_at(page, 0).map(|()| Some(file))),
        };
        match written {
            Ok(Some(opened)) => self.file = Some(opened),
            Ok(None) => {}
            Err(_) => self.file = None,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let direct = rustix::fs::OFlags::DIRECT.bits() as i32;
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).custom_flags(direct).open(path)
}

// A disk that hangs is noticed within two seconds: the wait until the next look, and how long that may take.
const _: () = assert!(SPACE_LOOK_INTERVAL.as_millis() + DISK_STALLED_AFTER.as_millis() <= 1800);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn of(free_mib: u64, total_mib: u64, free_inodes: u64) -> Reading {
        Reading { free_bytes: free_mib * MIB, total_bytes: total_mib * MIB, free_inodes, total_inodes: 10_000 }
    }

    #[test]
    fn room_is_little_below_the_mark_and_enough_again_only_well_above_it() {
        let judge = |free, before| of(free, 100_000, 5000).judge(before, 256 * MIB);
        let little = judge(255, Room::Unknown);
        assert!(!judge(256, Room::Unknown).is_little());
        assert!(little.is_little());
        assert!(judge(300, little).is_little());
        assert!(!judge(320, little).is_little());
    }

    #[test]
    fn a_small_disk_keeps_an_eighth() {
        assert!(!of(100, 400, 5000).judge(Room::Unknown, 256 * MIB).is_little());
        assert!(of(49, 400, 5000).judge(Room::Unknown, 256 * MIB).is_little());
    }

    #[test]
    fn a_disk_without_inodes_is_full_whatever_its_bytes_and_one_that_counts_none_is_not() {
        let room = of(5000, 10_000, 3).judge(Room::Unknown, 256 * MIB);
        assert_eq!(room, Room::NoInodes { free_bytes: 5000 * MIB, free_inodes: 3 });
        let uncounted = Reading { total_inodes: 0, ..of(5000, 10_000, 0) };
        assert!(!uncounted.judge(room, 256 * MIB).is_little());
    }

    #[test]
    fn a_look_is_timed_until_it_ends_and_the_probe_writes_one_page() {
        let space = FreeSpace::default();
        assert_eq!(space.looking_for(), None);
        space.begin_look();
        assert!(space.looking_for().is_some());
        space.end_look();
        assert_eq!(space.looking_for(), None);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut probe = Probe::new(directory.path());
        probe.write();
        probe.write();
        // Not every file system takes direct writes; where one does, the file stays as long as it was.
        let length = std::fs::metadata(directory.path().join(PROBE_NAME)).map_or(0, |found| found.len());
        assert!(length == 0 || length == PAGE_BYTES as u64, "{length}");
        Probe::new(&directory.path().join("nowhere")).write();
    }

    #[test]
    fn what_the_thread_saw_is_what_the_shard_reads() {
        let space = FreeSpace::default();
        assert_eq!(space.room(), Room::Unknown);
        let room = Room::NoInodes { free_bytes: 7, free_inodes: 3 };
        space.set(room);
        assert_eq!(space.room(), room);
    }
}
