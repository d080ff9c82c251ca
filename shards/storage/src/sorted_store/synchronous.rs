//! Files whose writes are durable when they return.
//!
//! sled calls what it has written stable after `sync_file_range`, which syncs neither the length of a file nor the disk's own
//! cache, and then writes anew over segments whose objects it has moved elsewhere. Between two of our syncs a power cut may
//! then keep the new content of a segment and lose the place where its old content went: objects of long ago are gone. With
//! the attribute that `chattr +S` sets, each of its writes is followed by the file system's own sync, and its stable is ours.
//!
//! It costs a sync for each buffer that sled writes, up to half a megabyte, on the companion's and sled's own threads.

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes the directory and the files in it synchronous; files that are made in it later inherit that. Says whether the file
/// system can: ext4, XFS, Btrfs and F2FS can, tmpfs and some network file systems cannot.
pub(super) fn make_synchronous(directory: &Path) -> io::Result<bool> {
    if !set(directory)? {
        return Ok(false);
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_synchronous(&entry.path())?;
        } else {
            set(&entry.path())?;
        }
    }
    Ok(true)
}

fn set(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let outcome = ioctl_getflags(&file).and_then(|flags| {
        if flags.contains(IFlags::SYNC) { Ok(()) } else { ioctl_setflags(&file, flags | IFlags::SYNC) }
    });
    match outcome {
        Ok(()) => Ok(true),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SledConfig, SledStore};
    use super::*;
    use std::io::Write;

    fn is_synchronous(path: &Path) -> bool {
        let flags = ioctl_getflags(File::open(path).expect("opened")).expect("the file system has attributes");
        flags.contains(IFlags::SYNC)
    }

    #[test]
    fn all_that_sled_makes_is_synchronous_and_so_is_a_copy_that_had_lost_the_attribute() {
        let dir = tempfile::tempdir().expect("a directory");
        if !make_synchronous(dir.path()).expect("asked") {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "SKIPPED synchronous files: the file system of {} has none", dir.path().display());
            return;
        }
        let config = SledConfig { path: dir.path().join("sled-0001"), cache_bytes: 1 << 20 };
        for _ in 0..2 {
            drop(SledStore::open(&config).expect("opens"));
            let files = fs::read_dir(&config.path).expect("listed").map(|file| file.expect("listed").path());
            let files: Vec<_> = files.collect();
            assert!(files.iter().any(|file| file.ends_with("db")), "{files:?}");
            for file in files.iter().chain([&config.path]) {
                assert!(is_synchronous(file), "{}", file.display());
                let plain = ioctl_getflags(File::open(file).expect("opened")).expect("has attributes") - IFlags::SYNC;
                ioctl_setflags(File::open(file).expect("opened"), plain).expect("taken away");
            }
        }
    }
}
