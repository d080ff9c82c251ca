//! The disk as an executor sees it: one thread a shard, that does what it is asked, one thing after the other.
//!
//! Think of a clerk at the archive: the shard hands him a sheet and goes on with its work; he comes back when the sheet lies
//! in the vault, not when he has put it on the table.
//!
//! ```text
//! executor ──job──► disk-N: pwrite, fdatasync ──outcome, one wake──► executor
//! ```
//! A write that is to be durable is one way there and back. Through io_uring it is two (a write, and a sync that the kernel
//! gives to a thread of its own anyway), each with a park of the executor; and `O_DSYNC`, which would make one of the two,
//! lets the kernel wait for the flush on the executor itself. A disk that hangs, hangs this thread and nobody else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use flume::Sender;
use rondo_storage::limits::PAGE_BYTES;
use rondo_storage::{Disk, DiskFile};
use rustix::fs::{FallocateFlags, fallocate};

use super::page_buffer::{PageBuffer, Spare};

/// Jobs that may wait: the log is written by one task, which waits for each.
const JOBS_MAX: usize = 4;
type Job = Box<dyn FnOnce() + Send>;

/// One shard's directory, and the thread that works in it as long as there is a handle.
#[derive(Clone, Debug)]
pub(crate) struct ThreadDisk {
    root: Arc<Path>,
    jobs: Sender<Job>,
    spare: Spare,
}

/// An open file of it.
#[derive(Debug)]
pub(crate) struct ThreadFile {
    file: Arc<File>,
    jobs: Sender<Job>,
}

impl ThreadDisk {
    /// The directory at `root`, which exists, and a thread called `name` for it.
    pub(crate) fn start(root: &Path, name: &str) -> io::Result<ThreadDisk> {
        let (jobs, waiting) = flume::bounded::<Job>(JOBS_MAX);
        let work = move || waiting.into_iter().for_each(|job| job());
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(ThreadDisk { root: Arc::from(root), jobs, spare: Spare::default() })
    }

    async fn at<T: Send + 'static>(
        &self,
        path: &str,
        call: impl FnOnce(PathBuf) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = self.root.join(path);
        ask(&self.jobs, move || call(path)).await
    }

    async fn open_with(&self, path: &str, options: OpenOptions) -> io::Result<ThreadFile> {
        let file = self.at(path, move |path| open_direct(&path, options)).await?;
        Ok(ThreadFile { file: Arc::new(file), jobs: self.jobs.clone() })
    }
}

/// Has the thread do it, and waits for the outcome.
async fn ask<T: Send + 'static>(
    jobs: &Sender<Job>,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, outcome) = flume::bounded(1);
    // Whoever asked may have given up; then nobody needs the outcome.
    let job = Box::new(move || drop(done.send(call())));
    jobs.send_async(job).await.map_err(|_| io::Error::other("the thread of the disk has ended"))?;
    outcome.recv_async().await.unwrap_or_else(|_| Err(io::Error::other("the call ended without an outcome")))
}

/// Past the page cache, where the file system can: what the log writes is not read before the next start.
fn open_direct(path: &Path, mut options: OpenOptions) -> io::Result<File> {
    options.read(true).write(true);
    match options.clone().custom_flags(libc::O_DIRECT).open(path) {
        // It may have been created nevertheless.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => options.create(true).create_new(false).open(path),
        opened => opened,
    }
}

impl Disk for ThreadDisk {
    type File = ThreadFile;
    type Buffer = PageBuffer;

    fn buffer(&self, bytes: usize) -> PageBuffer {
        PageBuffer::new(bytes, Arc::clone(&self.spare))
    }

    async fn create(&self, path: &str) -> io::Result<ThreadFile> {
        let mut options = OpenOptions::new();
        options.create_new(true);
        self.open_with(path, options).await
    }

    async fn open(&self, path: &str) -> io::Result<ThreadFile> {
        self.open_with(path, OpenOptions::new()).await
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let to = self.root.join(to);
        self.at(from, move |from| fs::rename(from, to)).await
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        self.at(path, fs::remove_file).await
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let list = |path| {
            let names = fs::read_dir(path)?;
            names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        self.at(dir, list).await
    }

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.at(dir, fs::create_dir_all).await
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.at(dir, |path| File::open(path)?.sync_all()).await
    }

    async fn exists(&self, path: &str) -> io::Result<bool> {
        self.at(path, |path| path.try_exists()).await
    }
}

impl ThreadFile {
    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = Arc::clone(&self.file);
        ask(&self.jobs, move || call(&file)).await
    }
}

impl DiskFile for ThreadFile {
    type Buffer = PageBuffer;

    async fn write_at(&self, buffer: PageBuffer, offset: u64) -> io::Result<()> {
        self.with(move |file| file.write_all_at(&buffer, offset)).await
    }

    async fn write_durable_at(&self, buffer: PageBuffer, offset: u64) -> io::Result<()> {
        let write = move |file: &File| {
            file.write_all_at(&buffer, offset)?;
            file.sync_data()
        };
        self.with(write).await
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.with(move |file| read_pages(file, offset, bytes)).await
    }

    async fn sync_data(&self) -> io::Result<()> {
        self.with(File::sync_data).await
    }

    async fn preallocate(&self, bytes: u64) -> io::Result<()> {
        let preallocate = move |file: &File| match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            // Some file systems cannot set room aside; a sparse file of that length reads the same.
            Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes),
            outcome => Ok(outcome?),
        };
        self.with(preallocate).await
    }

    async fn len(&self) -> io::Result<u64> {
        self.with(|file| Ok(file.metadata()?.len())).await
    }

    async fn close(self) -> io::Result<()> {
        // The last handle goes on the thread: closing may wait for the disk.
        let close = move || {
            drop(self.file);
            Ok(())
        };
        ask(&self.jobs, close).await
    }
}

/// Reads whole pages around what is wanted, and gives what is wanted of them.
fn read_pages(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let page = PAGE_BYTES as u64;
    let available = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX);
    let wanted = bytes.min(available);
    let from = offset - offset % page;
    let skipped = (offset - from) as usize;
    let mut buffer = PageBuffer::new((skipped + wanted).next_multiple_of(PAGE_BYTES), Spare::default());
    let mut filled = 0;
    while filled < skipped + wanted {
        match file.read_at(&mut buffer[filled..], from + filled as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer[skipped..skipped + wanted].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    fn page_of(disk: &ThreadDisk, byte: u8, pages: usize) -> PageBuffer {
        let mut buffer = disk.buffer(pages * PAGE_BYTES);
        buffer.fill(byte);
        buffer
    }

    #[test]
    fn what_is_written_is_read_back_at_any_offset() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let disk = ThreadDisk::start(dir.path(), "disk-test")?;
        block_on(async {
            disk.create_dir("wal").await?;
            let file = disk.create("wal/new").await?;
            file.preallocate(8 * PAGE_BYTES as u64).await?;
            file.write_durable_at(page_of(&disk, 1, 2), 0).await?;
            file.write_at(page_of(&disk, 2, 1), PAGE_BYTES as u64).await?;
            file.sync_data().await?;
            let page = PAGE_BYTES as u64;
            assert_eq!(file.read_at(page - 3, 5).await?, [1, 1, 1, 2, 2]);
            assert_eq!(file.read_at(2 * page - 1, 2).await?, [2, 0], "what was not written is zero");
            assert_eq!((file.len().await?, file.read_at(8 * page - 1, 100).await?.len()), (8 * page, 1));
            file.close().await?;
            disk.rename("wal/new", "wal/1.log").await?;
            disk.sync_dir("wal").await?;
            assert_eq!((disk.list("wal").await?, disk.exists("wal/new").await?), (vec!["1.log".to_owned()], false));
            disk.remove("wal/1.log").await
        })
    }

    #[test]
    fn a_name_that_is_taken_or_missing_is_told_from_other_trouble() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let disk = ThreadDisk::start(dir.path(), "disk-test")?;
        block_on(async {
            disk.create("a").await?.close().await?;
            assert_eq!(disk.create("a").await.expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(disk.open("b").await.expect_err("missing").kind(), io::ErrorKind::NotFound);
            assert_eq!(disk.remove("b").await.expect_err("missing").kind(), io::ErrorKind::NotFound);
            Ok(())
        })
    }
}
