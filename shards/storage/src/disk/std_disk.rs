//! A disk that blocks: for recovery at the start, for tools and for tests.

use super::{Disk, DiskFile};
use crate::limits::PAGE_BYTES;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The directory of a shard through plain blocking calls. Its futures are ready at the first poll ([`run_ready`]).
#[derive(Clone, Debug)]
pub struct StdDisk {
    root: Rc<Path>,
}

/// An open file of a [`StdDisk`].
#[derive(Debug)]
pub struct StdFile(File);

/// Runs a future that never waits.
///
/// # Panics
/// If it does wait: then it was not built over a blocking disk.
pub fn run_ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a blocking disk waited: run_ready is for futures over StdDisk only"),
    }
}

impl StdDisk {
    /// A handle on `root`, which is created if it is not there.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<StdDisk> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(StdDisk { root: Rc::from(root) })
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

impl Disk for StdDisk {
    type File = StdFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, bytes: usize) -> Vec<u8> {
        assert!(bytes.is_multiple_of(PAGE_BYTES), "a buffer of {bytes} bytes is no whole number of pages");
        vec![0; bytes]
    }

    async fn create(&self, path: &str) -> io::Result<StdFile> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path(path)).map(StdFile)
    }

    async fn open(&self, path: &str) -> io::Result<StdFile> {
        OpenOptions::new().read(true).write(true).open(self.path(path)).map(StdFile)
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        fs::read_dir(self.path(dir))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        fs::create_dir_all(self.path(dir))
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }

    async fn exists(&self, path: &str) -> io::Result<bool> {
        self.path(path).try_exists()
    }
}

impl DiskFile for StdFile {
    type Buffer = Vec<u8>;

    async fn write_at(&self, buffer: Vec<u8>, offset: u64) -> io::Result<()> {
        self.0.write_all_at(&buffer, offset)
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let available = self.0.metadata()?.len().saturating_sub(offset);
        let mut buffer = vec![0; bytes.min(usize::try_from(available).unwrap_or(usize::MAX))];
        self.0.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    }

    async fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    async fn preallocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            // Some file systems cannot set room aside; a sparse file of that length reads the same.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(bytes),
            outcome => Ok(outcome?),
        }
    }

    async fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}
