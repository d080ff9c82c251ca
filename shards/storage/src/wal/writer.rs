//! Writing the log: one batch at a time, each durable before the next begins.
//!
//! ```text
//! write ──fits──► write_at ──► sync_data ──► durable
//!   └─full─► new segment: create, preallocate, header, sync_data, sync_dir ─┘
//! ```
//! A start always begins a new segment, so nothing that an earlier life wrote is ever written over. A write or sync that
//! fails (or whose future is dropped half way) closes the writer for good: what the file holds is then uncertain.

use super::batch::Batch;
use super::format::SegmentHeader;
use super::{WAL_DIR, segment_path};
use crate::disk::{Disk, DiskFile};
use crate::error::{DiskTrouble, StorageError};
use crate::limits::{PAGE_BYTES, WalLimits};
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
    /// First records of the segments on disk, ascending.
    pub segments: Vec<Lsn>,
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
struct OpenSegment<F> {
    file: F,
    path: String,
    salt: u64,
    /// Where the next batch goes.
    offset: u64,
    bytes: u64,
}

/// Writes batches, one at a time, each durable before the next.
#[derive(Debug)]
pub struct WalWriter<D: Disk> {
    disk: D,
    limits: WalLimits,
    position: WalPosition,
    open: Option<OpenSegment<D::File>>,
    failure: Option<String>,
}

impl<D: Disk> WalWriter<D> {
    /// Goes on at `position`, in a new segment that the first batch creates.
    pub fn resume(disk: D, position: WalPosition, limits: WalLimits) -> WalWriter<D> {
        WalWriter { disk, limits, position, open: None, failure: None }
    }

    /// Writes the batch and syncs; when it returns the records up to the returned one are durable. After an error, or if the
    /// future is dropped before its end, the writer takes nothing more.
    ///
    /// # Panics
    /// If the batch is not the next one.
    pub async fn write(&mut self, batch: Batch) -> Result<Lsn, WriteFailure> {
        assert_eq!(batch.first_lsn(), self.position.next_lsn, "batches are written in order");
        match self.write_guarded(&batch).await {
            Ok(()) => {
                self.position.next_lsn = batch.last_lsn().next();
                Ok(batch.last_lsn())
            }
            Err(error) => Err(WriteFailure { batch, trouble: error.trouble(), error }),
        }
    }

    /// The same for records that must not wait for room (deletes): where the disk has none for a new segment, the reserve
    /// becomes one.
    pub async fn write_from_reserve(&mut self, batch: Batch) -> Result<Lsn, WriteFailure> {
        self.write(batch).await
    }

    /// Sets the reserve aside again if it is not there; true if it is there then.
    pub async fn refill_reserve(&mut self) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn write_guarded(&mut self, batch: &Batch) -> Result<(), StorageError> {
        if let Some(first) = &self.failure {
            return Err(StorageError::Poisoned { first: first.clone() });
        }
        self.failure = Some("a write was given up half way".to_owned());
        let outcome = self.write_synced(batch).await;
        self.failure = outcome.as_ref().err().map(StorageError::to_string);
        outcome
    }

    async fn write_synced(&mut self, batch: &Batch) -> Result<(), StorageError> {
        let bytes = batch.encoded_bytes() as u64;
        let has_room = self.open.as_ref().is_some_and(|open| open.offset + bytes <= open.bytes);
        if !has_room {
            self.begin_segment(bytes).await?;
        }
        let open = self.open.as_mut().expect("a segment with room is open");
        let mut buffer = self.disk.buffer(batch.encoded_bytes());
        batch.encode(open.salt, &mut buffer);
        open.file.write_at(buffer, open.offset).await.map_err(StorageError::io("write", &open.path))?;
        if !is_planted(Planted::SkipSync) {
            open.file.sync_data().await.map_err(StorageError::io("sync", &open.path))?;
        }
        open.offset += bytes;
        Ok(())
    }

    /// Opens a new segment with room for `bytes` at least; its header and name are durable when it returns.
    async fn begin_segment(&mut self, bytes: u64) -> Result<(), StorageError> {
        if let Some(full) = self.open.take() {
            full.file.close().await.map_err(StorageError::io("close", &full.path))?;
        }
        let first_lsn = self.position.next_lsn;
        let path = segment_path(first_lsn);
        // Two segments of one life must not share a salt either: the second may lie where the first once lay.
        let salt = self.position.salt.wrapping_add(first_lsn.0);
        let bytes = self.limits.segment_bytes.max(bytes + PAGE_BYTES as u64);
        let file = self.disk.create(&path).await.map_err(StorageError::io("create", &path))?;
        file.preallocate(bytes).await.map_err(StorageError::io("set room aside for", &path))?;
        let mut page = self.disk.buffer(PAGE_BYTES);
        SegmentHeader { shard: self.position.shard, first_lsn, salt }.encode(&mut page);
        file.write_at(page, 0).await.map_err(StorageError::io("write", &path))?;
        file.sync_data().await.map_err(StorageError::io("sync", &path))?;
        self.disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync the directory of", &path))?;
        self.position.segments.push(first_lsn);
        self.open = Some(OpenSegment { file, path, salt, offset: PAGE_BYTES as u64, bytes });
        Ok(())
    }

    /// Removes the segments that hold nothing from `lsn` on (never the open one), oldest first; says how many. An error leaves
    /// the rest in place; the next call, or the next start, removes them.
    pub async fn remove_before(&mut self, lsn: Lsn) -> Result<usize, StorageError> {
        let removable = self.removable_before(lsn);
        for _ in 0..removable {
            let path = segment_path(self.position.segments[0]);
            self.disk.remove(&path).await.map_err(StorageError::io("remove", &path))?;
            self.position.segments.remove(0);
        }
        if removable > 0 {
            self.disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync", WAL_DIR))?;
        }
        Ok(removable)
    }

    /// The oldest segment that would stay after `remove_before(lsn)`; `None` if there would be none.
    pub fn first_segment_after(&self, lsn: Lsn) -> Option<Lsn> {
        self.position.segments.get(self.removable_before(lsn)).copied()
    }

    /// Segments from the front whose successor begins at `lsn` or before it.
    fn removable_before(&self, lsn: Lsn) -> usize {
        let segments = &self.position.segments;
        let ended = segments.iter().skip(1).take_while(|&&next| next <= lsn).count();
        let is_last_ended = self.open.is_none() && self.position.next_lsn <= lsn && ended + 1 == segments.len();
        ended + usize::from(is_last_ended)
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Where the log stands.
    pub fn position(&self) -> &WalPosition {
        &self.position
    }

    /// Segments on disk.
    pub fn segments(&self) -> usize {
        self.position.segments.len()
    }
}
