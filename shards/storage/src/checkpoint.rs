//! A checkpoint, from the frozen table to the removed segments.
use crate::disk::Disk;
use crate::error::StorageError;
use crate::manifest::Manifest;
use crate::sorted_store::{SortedStore, SortedStoreError};
use crate::table::FrozenTable;
use crate::wal::WalWriter;
use std::sync::Arc;

/// A checkpoint under way: small pieces, so that reads are served between them.
#[derive(Debug)]
pub struct CheckpointJob {
    table: Arc<FrozenTable>,
}

impl CheckpointJob {
    /// A job that has written nothing yet.
    pub fn new(table: Arc<FrozenTable>) -> CheckpointJob {
        CheckpointJob { table }
    }
    /// Writes the next piece; true when everything is durable in `store`.
    pub fn step(&mut self, store: &mut dyn SortedStore) -> Result<bool, SortedStoreError> {
        let _ = store;
        todo!()
    }
    /// The table, when done.
    pub fn into_table(self) -> Arc<FrozenTable> {
        self.table
    }
}

/// Second half of a checkpoint, after the sorted store has `table` durably: replaces the manifest, then removes the
/// segments that are no longer needed. Afterwards call [`crate::ShardStore::checkpointed`].
pub async fn finish_checkpoint<D: Disk>(
    writer: &mut WalWriter<D>,
    manifest: &mut Manifest,
    table: &FrozenTable,
) -> Result<(), StorageError> {
    let _ = (writer, manifest, table);
    todo!()
}
