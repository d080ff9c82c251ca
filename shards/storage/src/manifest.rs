//! What is checkpointed.
use crate::disk::Disk;
use crate::error::StorageError;
use crate::record::Lsn;

/// What a shard's directory says about itself: replaced atomically at each checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The shard.
    pub shard: u16,
    /// Name of the sorted store's engine.
    pub engine: String,
    /// The sorted store durably holds all records up to this one.
    pub upto: Lsn,
    /// The largest clock bound up to there.
    pub hlc_bound: u64,
    /// First record of the oldest segment that must be there; `Lsn(0)` if none must.
    pub first_segment: Lsn,
}

impl Manifest {
    /// Reads the manifest; `None` if there is none.
    pub async fn read<D: Disk>(disk: &D) -> Result<Option<Manifest>, StorageError> {
        let _ = disk;
        todo!()
    }
    /// Replaces the manifest durably.
    pub async fn write<D: Disk>(&self, disk: &D) -> Result<(), StorageError> {
        let _ = disk;
        todo!()
    }
}
