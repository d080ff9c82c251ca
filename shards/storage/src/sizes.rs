//! How much room a shard takes on its disk, and what of it is of use.
//!
//! Asked of the companion as a job, because files have to be looked at: never on an executor.

use crate::set_aside::is_set_aside;
use crate::sorted_store::{SortedStore, StoreSizes};
use crate::store_job::{JobMoment, JobStep, StoreJob};
use crate::wal::WAL_DIR;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files and directories looked at in one measurement; a shard has a few hundred.
const FILES_MAX: usize = 100_000;
/// Bytes of a block, as the system counts them.
const BLOCK_BYTES: u64 = 512;

/// What a shard weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShardSizes {
    /// The sorted store, as its engine says.
    pub store: StoreSizes,
    /// Bytes of the log on the disk, the reserve included.
    pub log_disk_bytes: u64,
    /// Bytes of damaged files that were set aside.
    pub set_aside_bytes: u64,
}

/// Measures once, and tells.
#[derive(Debug)]
pub struct SizesJob {
    shard: PathBuf,
    answer: flume::Sender<ShardSizes>,
}

impl SizesJob {
    /// For the shard in the directory `shard`; `answer` is told. If it closes without an answer, the job was cancelled.
    pub fn new(shard: PathBuf, answer: flume::Sender<ShardSizes>) -> SizesJob {
        SizesJob { shard, answer }
    }
}

impl StoreJob for SizesJob {
    fn name(&self) -> &'static str {
        "sizes"
    }

    fn step(&mut self, store: &mut dyn SortedStore, _: JobMoment) -> JobStep {
        let (store, mut files_left) = (store.sizes(), FILES_MAX);
        let sizes = ShardSizes {
            store,
            log_disk_bytes: bytes_of(&self.shard.join(WAL_DIR), &mut files_left),
            set_aside_bytes: set_aside_in(&self.shard, &mut files_left).unwrap_or(0),
        };
        // Nobody may be waiting any more.
        let _ = self.answer.try_send(sizes);
        JobStep::Done
    }
}

/// What lies under names of files that were set aside: directly in the shard's directory, and in that of its log.
fn set_aside_in(shard: &Path, files_left: &mut usize) -> io::Result<u64> {
    let mut bytes = 0;
    for dir in [shard.to_owned(), shard.join(WAL_DIR)] {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if is_set_aside(&entry.file_name().to_string_lossy()) {
                bytes += bytes_of(&entry.path(), files_left);
            }
        }
    }
    Ok(bytes)
}

/// Bytes that a file or everything in a directory takes on the disk. What goes away meanwhile weighs nothing.
fn bytes_of(path: &Path, files_left: &mut usize) -> u64 {
    let Ok(about) = path.symlink_metadata() else { return 0 };
    if *files_left == 0 {
        return 0;
    }
    *files_left -= 1;
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    about.blocks() * BLOCK_BYTES + inside.map(|entry| bytes_of(&entry.path(), files_left)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorted_store::MemorySortedStore;

    #[test]
    fn the_log_the_store_and_what_was_set_aside_are_weighed_apart() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: usize| fs::write(dir.path().join(name), vec![1; bytes]).expect("written");
        fs::create_dir_all(dir.path().join("sled-0001.damaged-7-rot")).expect("made");
        fs::create_dir_all(dir.path().join(WAL_DIR)).expect("made");
        write("sled-0001.damaged-7-rot/db", 1 << 20);
        write("keys-0001", 1 << 20);
        write("wal/0001.log", 2 << 20);
        write("wal/0002.log.damaged-8-rot", 1 << 20);
        let (answer, answers) = flume::bounded(1);
        let mut job = SizesJob::new(dir.path().to_owned(), answer);
        let step = job.step(&mut MemorySortedStore::new(), JobMoment { is_between_checkpoints: true });
        assert!(matches!(step, JobStep::Done));
        let sizes = answers.recv().expect("told");
        let mib = |bytes: u64| (bytes as f64 / f64::from(1 << 20)).round();
        assert_eq!((mib(sizes.log_disk_bytes), mib(sizes.set_aside_bytes)), (3.0, 2.0));
    }
}
