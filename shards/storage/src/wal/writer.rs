//! Writing the log: one batch at a time, each durable before the next begins.
//!
//! ```text
//! write ──fits──► write_durable_at ──► durable
//!   └─full─► new segment: create, preallocate, header, sync_data, its name, sync_dir ─┘
//!   └─trouble─► the segment is given up; the same batch, handed in again, begins a new one
//! ```
//! One segment that is no longer needed stays as the *spare*, and the next new one is made of it: its blocks are allocated and
//! written, so a sync there has no change of the file to bring along and takes about two thirds of the time. Who reads it back
//! knows the old batches by their salt; a page of zeros behind the last batch says where the new ones end. In a file without a
//! past, zeros are written ahead of small batches, for the same reason: one sync then brings the change of the file along for many.
//!
//! A start always begins a new segment, so nothing that an earlier life wrote is ever written over. After a write or sync
//! that failed, what the file holds is uncertain, and a later sync of it would prove nothing: it is never touched again, and
//! the segment after it says that it takes the place of the uncertain tail.

use super::batch::Batch;
use super::format::{DATA_AT, SegmentHeader};
use super::reserve::{create_anew, make_reserve};
use super::{NEW_PATH, RESERVE_PATH, SPARE_PATH, SegmentId, WAL_DIR};
use crate::disk::{Disk, DiskFile};
use crate::error::{DiskTrouble, StorageError};
use crate::limits::{AHEAD_BATCH_BYTES_MAX, AHEAD_BYTES, PAGE_BYTES, WalLimits};
use crate::planted::{Planted, is_planted};
use crate::record::Lsn;

/// Where a log stands, without an open file: handed from recovery to the writer, which may use another disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalPosition {
    /// The shard that the segments belong to.
    pub shard: u16,
    /// Mixed into every checksum of the segments to come, so that old or foreign bytes are never taken for a batch.
    pub salt: u64,
    /// The number of the next record.
    pub next_lsn: Lsn,
    /// The segments on disk, ascending.
    pub segments: Vec<SegmentId>,
    /// Bytes of the reserve; 0 if there is none.
    pub reserve_bytes: u64,
}

/// A batch that is not durable, given back so that it can be handed in again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct WriteFailure {
    /// The batch, unchanged.
    pub batch: Batch,
    /// What went wrong.
    pub error: StorageError,
    /// Of what kind it is.
    pub trouble: DiskTrouble,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct OpenSegment<F> {
    file: F,
    path: String,
    salt: u64,
    /// Where the next batch goes.
    offset: u64,
    bytes: u64,
    /// Up to here the blocks of the file are written, by batches, zeros or an earlier life of it.
    written: u64,
    is_reused: bool,
}

impl<F> OpenSegment<F> {
    /// Zeros to write behind a batch: those that say that nothing follows, where something else stands; and those that are
    /// written ahead.
    fn zeros_behind(&self, batch_bytes: u64) -> usize {
        let end = self.offset + batch_bytes;
        let wanted = if self.is_reused {
            PAGE_BYTES as u64
        } else if self.written < end && batch_bytes <= AHEAD_BATCH_BYTES_MAX {
            AHEAD_BYTES
        } else {
            0
        };
        usize::try_from(wanted.min(self.bytes - end)).expect("a buffer fits into memory")
    }
}

/// Writes batches, one at a time, each durable before the next.
#[derive(Debug)]
pub struct WalWriter<D: Disk> {
    pub(super) disk: D,
    pub(super) limits: WalLimits,
    pub(super) position: WalPosition,
    pub(super) open: Option<OpenSegment<D::File>>,
    /// Segments of the usual length that this life has filled without trouble.
    pub(super) filled: Vec<SegmentId>,
    /// One of them lies at [`SPARE_PATH`], and nothing else has its old name.
    pub(super) has_spare: bool,
    /// A segment was given up: the next one takes the place of its tail.
    replaces: bool,
    /// A write is under way. If it still says so at the next one, its future was dropped, and its batch with it.
    is_writing: bool,
}

impl<D: Disk> WalWriter<D> {
    /// Goes on at `position`, in a new segment that the first batch creates.
    pub fn resume(disk: D, position: WalPosition, limits: WalLimits) -> WalWriter<D> {
        let (open, filled, has_spare) = (None, Vec::new(), false);
        WalWriter { disk, limits, position, open, filled, has_spare, replaces: false, is_writing: false }
    }

    /// Writes the batch and syncs; when it returns the records up to the returned one are durable. After a failure hand in the
    /// same batch again: it then goes to a new segment. If the future is dropped before its end the batch is gone, and the
    /// writer takes nothing more.
    ///
    /// # Panics
    /// If the batch is not the next one.
    pub async fn write(&mut self, batch: Batch) -> Result<Lsn, WriteFailure> {
        self.write_with(batch, false).await
    }

    /// The same for records that must not wait for room (deletes): where the disk has none for a new segment, the reserve
    /// becomes one.
    pub async fn write_from_reserve(&mut self, batch: Batch) -> Result<Lsn, WriteFailure> {
        self.write_with(batch, true).await
    }

    async fn write_with(&mut self, batch: Batch, may_use_reserve: bool) -> Result<Lsn, WriteFailure> {
        assert_eq!(batch.first_lsn(), self.position.next_lsn, "batches are written in order");
        if core::mem::replace(&mut self.is_writing, true) {
            let error = StorageError::Poisoned { first: "a write was given up half way".to_owned() };
            return Err(WriteFailure { batch, trouble: error.trouble(), error });
        }
        let outcome = self.write_synced(&batch, may_use_reserve).await;
        if outcome.is_err() {
            self.give_up_segment().await;
        }
        self.is_writing = false;
        match outcome {
            Ok(()) => {
                self.position.next_lsn = batch.last_lsn().next();
                Ok(batch.last_lsn())
            }
            Err(error) => Err(WriteFailure { batch, trouble: error.trouble(), error }),
        }
    }

    async fn write_synced(&mut self, batch: &Batch, may_use_reserve: bool) -> Result<(), StorageError> {
        let bytes = batch.encoded_bytes() as u64;
        let has_room = self.open.as_ref().is_some_and(|open| open.offset + bytes <= open.bytes);
        if !has_room {
            self.begin_segment(bytes, may_use_reserve).await?;
        }
        let open = self.open.as_mut().expect("a segment with room is open");
        let encoded_bytes = batch.encoded_bytes();
        let mut buffer = self.disk.buffer(encoded_bytes + open.zeros_behind(bytes));
        let (encoded, zeros) = buffer.split_at_mut(encoded_bytes);
        batch.encode(open.salt, encoded);
        zeros.fill(0);
        let end = open.offset + buffer.len() as u64;
        write_batch(&open.file, buffer, open.offset).await.map_err(StorageError::io("write", &open.path))?;
        open.offset += bytes;
        open.written = open.written.max(end);
        Ok(())
    }

    /// Closes the segment for good. If nothing durable is in it, it goes, as far as the disk lets it.
    async fn give_up_segment(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.replaces = true;
        let _ = open.file.close().await;
        if open.offset == DATA_AT as u64 && self.disk.remove(&open.path).await.is_ok() {
            self.position.segments.pop();
        }
    }

    /// Opens a new segment with room for `bytes` at least; its header and name are durable when it returns.
    async fn begin_segment(&mut self, bytes: u64, may_use_reserve: bool) -> Result<(), StorageError> {
        if let Some(full) = self.open.take() {
            // All of it is durable.
            let _ = full.file.close().await;
            if full.bytes == self.limits.segment_bytes {
                self.filled.extend(self.position.segments.last());
            }
        }
        let needed = bytes + DATA_AT as u64;
        let wanted = self.limits.segment_bytes.max(needed);
        match self.make_segment(wanted).await {
            Err(error) if may_use_reserve && error.trouble() == DiskTrouble::NoSpace => {
                if self.position.reserve_bytes < needed {
                    return Err(error);
                }
                let bytes = core::mem::take(&mut self.position.reserve_bytes);
                let file = self.disk.open(RESERVE_PATH).await.map_err(StorageError::io("open", RESERVE_PATH))?;
                self.name_segment(file, RESERVE_PATH, bytes, false).await
            }
            outcome => outcome,
        }
    }

    async fn make_segment(&mut self, bytes: u64) -> Result<(), StorageError> {
        if bytes == self.limits.segment_bytes && core::mem::take(&mut self.has_spare) {
            let file = self.disk.open(SPARE_PATH).await.map_err(StorageError::io("open", SPARE_PATH))?;
            return self.name_segment(file, SPARE_PATH, bytes, true).await;
        }
        let file = create_anew(&self.disk, NEW_PATH).await?;
        let outcome = match file.preallocate(bytes).await {
            Ok(()) => self.name_segment(file, NEW_PATH, bytes, false).await,
            Err(error) => {
                let _ = file.close().await;
                Err(StorageError::io("set room aside for", NEW_PATH)(error))
            }
        };
        if outcome.is_err() {
            // It may have its name already; otherwise what is left of it only takes room.
            let _ = self.disk.remove(NEW_PATH).await;
        }
        outcome
    }

    /// A file of `bytes` zeros (or of what was, if it is reused) at `path` becomes the open segment. A segment has its name
    /// only if its header is durable.
    async fn name_segment(
        &mut self,
        file: D::File,
        path: &str,
        bytes: u64,
        is_reused: bool,
    ) -> Result<(), StorageError> {
        let first = self.position.next_lsn;
        let same_first = self.position.segments.last().filter(|last| last.first == first);
        let id = SegmentId { first, attempt: same_first.map_or(0, |last| last.attempt.wrapping_add(1)) };
        // Two segments of one life must not share a salt either: the second may lie where the first once lay.
        let salt = self.position.salt.wrapping_add(first.0).wrapping_add(u64::from(id.attempt) << 48);
        let (shard, replaces) = (self.position.shard, self.replaces);
        let header = SegmentHeader { shard, first_lsn: first, salt, bytes, replaces, is_reused };
        let mut pages = self.disk.buffer(DATA_AT + PAGE_BYTES);
        let (head, terminator) = pages.split_at_mut(DATA_AT);
        header.encode(head);
        terminator.fill(0);
        let written = if is_reused { bytes } else { pages.len() as u64 };
        file.write_at(pages, 0).await.map_err(StorageError::io("write", path))?;
        file.sync_data().await.map_err(StorageError::io("sync", path))?;
        let name = id.path();
        self.disk.rename(path, &name).await.map_err(StorageError::io("name", &name))?;
        // From here on the name is taken, whatever becomes of it.
        self.position.segments.push(id);
        if !is_planted(Planted::SkipDirSync) {
            self.disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync the directory of", &name))?;
        }
        self.replaces = false;
        self.open = Some(OpenSegment { file, path: name, salt, offset: DATA_AT as u64, bytes, written, is_reused });
        Ok(())
    }

    /// Sets the reserve aside again if it is not there; true if it is there then. Not an error if there is no room.
    pub async fn refill_reserve(&mut self) -> Result<bool, StorageError> {
        let bytes = self.limits.reserve_bytes;
        if bytes == 0 || self.position.reserve_bytes >= bytes {
            return Ok(self.position.reserve_bytes > 0);
        }
        self.position.reserve_bytes = 0;
        match make_reserve(&self.disk, bytes).await {
            Ok(()) => {
                self.position.reserve_bytes = bytes;
                Ok(true)
            }
            Err(error) if error.trouble() == DiskTrouble::NoSpace => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Is there a reserve?
    pub fn has_reserve(&self) -> bool {
        self.position.reserve_bytes > 0
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Where the log stands.
    pub fn position(&self) -> &WalPosition {
        &self.position
    }

    /// The last durable record.
    pub fn last_lsn(&self) -> Lsn {
        Lsn(self.position.next_lsn.0.saturating_sub(1))
    }

    /// Segments on disk.
    pub fn segments(&self) -> usize {
        self.position.segments.len()
    }
}

/// What a batch is acknowledged after; the bugs that are planted here are the ones that a log must not have.
async fn write_batch<F: DiskFile>(file: &F, buffer: F::Buffer, offset: u64) -> std::io::Result<()> {
    if is_planted(Planted::SkipSync) {
        return file.write_at(buffer, offset).await;
    }
    match file.write_durable_at(buffer, offset).await {
        Err(_) if is_planted(Planted::RetryFailedSync) => file.sync_data().await,
        outcome => outcome,
    }
}
