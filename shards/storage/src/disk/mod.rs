//! The only way out: a directory and its files.
//!
//! One `Disk` is a cheap handle on one shard's directory; paths are relative to it (`wal/0000000000000001.log`).
//! Native async and single-threaded: implementors are the runtime (direct I/O), the simulator (which forgets what was
//! not synced) and [`StdDisk`] (which blocks, and so never waits).
//!
//! What a caller may rely on after a power cut: bytes that `sync_data` confirmed, names that `sync_dir` of their
//! directory confirmed, and nothing else. A rename is atomic: afterwards the name means the old or the new file.

mod std_disk;

pub use std_disk::{StdDisk, run_ready};

use core::ops::DerefMut;
use std::io;

/// A handle on one directory.
#[expect(async_fn_in_trait, reason = "one thread per shard: no future here needs to be Send")]
pub trait Disk: Clone + 'static {
    /// An open file.
    type File: DiskFile<Buffer = Self::Buffer>;
    /// Memory that the implementor can write from without a copy (aligned, registered, or just a vector).
    type Buffer: DerefMut<Target = [u8]> + 'static;

    /// A buffer of exactly `bytes` bytes, a multiple of [`crate::limits::PAGE_BYTES`]; its content is undefined.
    fn buffer(&self, bytes: usize) -> Self::Buffer;
    /// Creates a file for reading and writing. Fails with `AlreadyExists` if the name is taken. The name is durable after
    /// `sync_dir` of its directory.
    async fn create(&self, path: &str) -> io::Result<Self::File>;
    /// Opens an existing file for reading and writing. Fails with `NotFound`.
    async fn open(&self, path: &str) -> io::Result<Self::File>;
    /// Gives `from` the name `to`, replacing what was there, atomically.
    async fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Fails with `NotFound`.
    async fn remove(&self, path: &str) -> io::Result<()>;
    /// The names (not paths) in directory `dir`, in any order; `""` is the root.
    async fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a directory and its parents; succeeds if it is there.
    async fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Makes the names in `dir` durable; `""` is the root.
    async fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Is there a file or directory of this name?
    async fn exists(&self, path: &str) -> io::Result<bool>;
}

/// One open file. Offsets and lengths of writes are multiples of [`crate::limits::PAGE_BYTES`].
#[expect(async_fn_in_trait, reason = "one thread per shard: no future here needs to be Send")]
#[expect(clippy::len_without_is_empty, reason = "a segment is never empty, and nobody asks")]
pub trait DiskFile: 'static {
    /// See [`Disk::Buffer`].
    type Buffer: DerefMut<Target = [u8]> + 'static;

    /// Writes the whole buffer at `offset`. On an error any part of it may have been written.
    async fn write_at(&self, buffer: Self::Buffer, offset: u64) -> io::Result<()>;
    /// The same, and when it returns the bytes are durable. On an error it is uncertain which of them are, and no later sync
    /// of this file proves anything about them. A write and a sync, unless the disk can do both at once.
    async fn write_durable_at(&self, buffer: Self::Buffer, offset: u64) -> io::Result<()> {
        self.write_at(buffer, offset).await?;
        self.sync_data().await
    }
    /// Reads up to `bytes` bytes from `offset`; fewer only at the end of the file. Any alignment.
    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Makes everything written so far (and the length) durable, as `fdatasync` does.
    async fn sync_data(&self) -> io::Result<()>;
    /// Sets room aside so that the file is `bytes` long and reads zero where nothing was written.
    async fn preallocate(&self, bytes: u64) -> io::Result<()>;
    /// The length of the file, in bytes.
    async fn len(&self) -> io::Result<u64>;
    /// Closes the file. Syncs nothing.
    async fn close(self) -> io::Result<()>
    where
        Self: Sized;
}
