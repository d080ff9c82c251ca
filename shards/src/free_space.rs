//! How much room the file system of a shard has, looked at once a second by a thread that may wait.
//!
//! The log could go on until the last block, but the sorted stores cannot: they are left damaged or unopenable by a full
//! disk. So a shard stops taking values while there is still room, and takes them again only when there is clearly more,
//! so that it does not change its mind every second.

use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rondo_storage::Room;

use crate::limits::{INODES_FREE_MIN, SPACE_LOOK_INTERVAL};

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

    fn look(&self, directory: &std::path::Path, keep_free_bytes: u64) {
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
    /// Looks at the file system of `directory` at once, and then every second on a thread of its own: one a shard, so that
    /// one that hangs keeps nobody else's room from being seen.
    pub(crate) fn start(shard: usize, directory: PathBuf, keep_free_bytes: u64) -> io::Result<SpaceWatch> {
        let space = Arc::new(FreeSpace::default());
        space.look(&directory, keep_free_bytes);
        let (alive, ended) = flume::bounded::<()>(0);
        let seen = Arc::clone(&space);
        let watch = move || {
            while ended.recv_timeout(SPACE_LOOK_INTERVAL) == Err(flume::RecvTimeoutError::Timeout) {
                seen.look(&directory, keep_free_bytes);
            }
        };
        thread::Builder::new().name(format!("space-{shard}")).spawn(watch)?;
        Ok(SpaceWatch { space, _alive: alive })
    }
}

const _: () = assert!(SPACE_LOOK_INTERVAL.as_millis() <= Duration::from_secs(2).as_millis());

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
    fn what_the_thread_saw_is_what_the_shard_reads() {
        let space = FreeSpace::default();
        assert_eq!(space.room(), Room::Unknown);
        let room = Room::NoInodes { free_bytes: 7, free_inodes: 3 };
        space.set(room);
        assert_eq!(space.room(), room);
    }
}
