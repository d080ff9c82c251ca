//! The disk as an executor sees it: direct I/O through io_uring, so that nobody on the core waits for it.
//!
//! Paths are relative to one shard's directory. What io_uring cannot be asked for is done on a thread of its own.
//!
//! Not `O_DSYNC`, though it would spare a way to the kernel and back: where the write is done before the kernel has returned
//! from taking it, the flush behind it is waited for then and there, on the executor (seen in one put of thirty).

use core::ops::{Deref, DerefMut};
use std::io;
use std::path::{Path, PathBuf};

use glommio::io::{Directory, DmaBuffer, DmaFile, OpenOptions};
use rondo_storage::{Disk, DiskFile};

use super::off_thread::off_thread;

/// One shard's directory.
#[derive(Clone, Debug)]
pub(crate) struct GlommioDisk {
    root: PathBuf,
}

/// An open file of it.
#[derive(Debug)]
pub(crate) struct GlommioFile(DmaFile);

/// Memory that is aligned for direct I/O.
#[derive(Debug)]
pub(crate) struct GlommioBuffer(DmaBuffer);

impl GlommioDisk {
    /// The directory at `root`, which exists, with a file `sample` that holds bytes.
    ///
    /// glommio 0.9.0 finds out with the first file of a device that it opens whether completions can be polled for, by
    /// reading from it. Reading from an empty file tells nothing and is taken for a yes; then the executor spins through
    /// every write, on a device that cannot be polled. So it has to see a file with bytes first.
    pub(crate) async fn open_with(root: &Path, sample: &str) -> GlommioDisk {
        let disk = GlommioDisk { root: root.to_owned() };
        // Whatever is wrong with it, the log's own files will say so if it matters to them.
        if let Ok(file) = disk.open(sample).await {
            let _ = file.close().await;
        }
        disk
    }
}

impl Deref for GlommioBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl DerefMut for GlommioBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_bytes_mut()
    }
}

impl Disk for GlommioDisk {
    type File = GlommioFile;
    type Buffer = GlommioBuffer;

    fn buffer(&self, bytes: usize) -> GlommioBuffer {
        GlommioBuffer(glommio::allocate_dma_buffer(bytes))
    }

    async fn create(&self, path: &str) -> io::Result<GlommioFile> {
        let opened = OpenOptions::new().read(true).write(true).create_new(true).dma_open(self.root.join(path)).await;
        opened.map(GlommioFile).map_err(io::Error::from)
    }

    async fn open(&self, path: &str) -> io::Result<GlommioFile> {
        let opened = OpenOptions::new().read(true).write(true).dma_open(self.root.join(path)).await;
        opened.map(GlommioFile).map_err(io::Error::from)
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        glommio::io::rename(self.root.join(from), self.root.join(to)).await.map_err(io::Error::from)
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        glommio::io::remove(self.root.join(path)).await.map_err(io::Error::from)
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let path = self.root.join(dir);
        let list = move || {
            let names = std::fs::read_dir(path)?;
            names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        off_thread(list).await
    }

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        let path = self.root.join(dir);
        off_thread(move || std::fs::create_dir_all(path)).await
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let directory = Directory::open(self.root.join(dir)).await.map_err(io::Error::from)?;
        directory.sync().await.map_err(io::Error::from)?;
        directory.close().await.map_err(io::Error::from)
    }

    async fn exists(&self, path: &str) -> io::Result<bool> {
        let path = self.root.join(path);
        off_thread(move || path.try_exists()).await
    }
}

impl DiskFile for GlommioFile {
    type Buffer = GlommioBuffer;

    async fn write_at(&self, buffer: GlommioBuffer, offset: u64) -> io::Result<()> {
        let wanted = buffer.len();
        let written = self.0.write_at(buffer.0, offset).await.map_err(io::Error::from)?;
        if written < wanted {
            // A short direct write means that the device has no room for the rest.
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("{written} of {wanted} bytes written")));
        }
        Ok(())
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let read = self.0.read_at(offset, bytes).await.map_err(io::Error::from)?;
        Ok(read.to_vec())
    }

    async fn sync_data(&self) -> io::Result<()> {
        self.0.fdatasync().await.map_err(io::Error::from)
    }

    async fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.0.pre_allocate(bytes, false).await.map_err(io::Error::from)
    }

    async fn len(&self) -> io::Result<u64> {
        self.0.file_size().await.map_err(io::Error::from)
    }

    async fn close(self) -> io::Result<()> {
        self.0.close().await.map_err(io::Error::from)
    }
}
