//! The log: what was acknowledged, in order.
use crate::disk::Disk;
use crate::error::StorageError;
use crate::limits::WalLimits;
use crate::record::Lsn;

/// Records on their way to the log, encoded straight into the disk's buffer when they are written.
#[derive(Debug)]
pub struct Batch {}

impl Batch {
    /// Its first record.
    pub fn first_lsn(&self) -> Lsn {
        todo!()
    }
    /// Its last record.
    pub fn last_lsn(&self) -> Lsn {
        todo!()
    }
    /// Records in it, at least one.
    pub fn records(&self) -> usize {
        todo!()
    }
    /// Bytes it will take in the log, padding included.
    pub fn encoded_bytes(&self) -> usize {
        todo!()
    }
}

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

/// Writes batches, one at a time, each durable before the next.
#[derive(Debug)]
pub struct WalWriter<D: Disk> {
    disk: D,
    limits: WalLimits,
    position: WalPosition,
}

impl<D: Disk> WalWriter<D> {
    /// Goes on at `position`, in a new segment that the first batch creates.
    pub fn resume(disk: D, position: WalPosition, limits: WalLimits) -> WalWriter<D> {
        WalWriter { disk, limits, position }
    }
    /// Writes the batch and syncs; when it returns the records up to the returned one are durable. After an error the
    /// writer takes nothing more.
    pub async fn write(&mut self, batch: Batch) -> Result<Lsn, StorageError> {
        todo!("{batch:?} {:?} {:?}", self.limits, self.position)
    }
    /// Removes the segments that hold nothing from `lsn` on.
    pub async fn remove_before(&mut self, lsn: Lsn) -> Result<usize, StorageError> {
        let _ = &self.disk;
        todo!("{lsn}")
    }
    /// The oldest segment that would stay after `remove_before(lsn)`; `None` if there would be none.
    pub fn first_segment_after(&self, lsn: Lsn) -> Option<Lsn> {
        todo!("{lsn}")
    }
    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }
    /// Segments on disk.
    pub fn segments(&self) -> usize {
        self.position.segments.len()
    }
}
