//! A checkpoint, from the frozen table to the removed segments.
//!
//! ```text
//! freeze ──► CheckpointJob, on the companion: pieces, then a flush ──► finish_checkpoint: manifest, old segments go
//!        ──► checkpointed
//! ```
//! A crash between any two steps repeats some of it: every step may be done twice.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::limits::{CHECKPOINT_PIECE_BYTES, CHECKPOINT_PIECE_ENTRIES};
use crate::manifest::Manifest;
use crate::planted::{Planted, is_planted};
use crate::record::Lsn;
use crate::sorted_store::{SortedEntry, SortedStore, SortedStoreError};
use crate::table::FrozenTable;
use crate::wal::WalWriter;
use std::sync::Arc;

/// A checkpoint under way: small pieces, so that reads are served between them.
#[derive(Debug)]
pub struct CheckpointJob {
    table: Arc<FrozenTable>,
    /// Entries in stored order; sorted here, not on the shard.
    order: Vec<u32>,
    written: usize,
}

impl CheckpointJob {
    /// A job that has written nothing yet. What is left of the table before goes here, off the shard's thread.
    pub fn new(table: Arc<FrozenTable>) -> CheckpointJob {
        table.drop_leftover();
        let order = table.table.sorted();
        CheckpointJob { table, order, written: 0 }
    }

    /// Writes the next piece, the last one being the flush; true when everything is durable in `store`.
    pub fn step(&mut self, store: &mut dyn SortedStore) -> Result<bool, SortedStoreError> {
        let is_applied = self.apply_piece(store, |_| ())?;
        if is_applied && !is_planted(Planted::DropLogEarly) {
            store.flush_durable(self.table.last_lsn())?;
        }
        Ok(is_applied)
    }

    /// Applies the next piece and shows `watch` its entries; true, and nothing done, if all have been. Then the store is to
    /// be flushed up to the table's last record.
    pub fn apply_piece(
        &mut self,
        store: &mut dyn SortedStore,
        watch: impl FnOnce(&[SortedEntry<'_>]),
    ) -> Result<bool, SortedStoreError> {
        if self.written == self.order.len() {
            return Ok(true);
        }
        let mut piece = Vec::with_capacity(CHECKPOINT_PIECE_ENTRIES);
        let mut bytes = 0;
        for &place in self.order[self.written..].iter().take(CHECKPOINT_PIECE_ENTRIES) {
            let entry = self.table.table.entry(place);
            piece.push(SortedEntry {
                token: entry.token,
                routed: &entry.routed,
                object: &entry.object,
                lsn: entry.lsn,
            });
            bytes += entry.object.len();
            if bytes >= CHECKPOINT_PIECE_BYTES {
                break;
            }
        }
        store.apply(&piece)?;
        watch(&piece);
        self.written += piece.len();
        Ok(false)
    }

    /// The table, when done.
    pub fn into_table(self) -> Arc<FrozenTable> {
        self.table
    }
}

/// Second half of a checkpoint, after the sorted store of that generation has `table` durably: replaces the manifest, then removes the
/// segments that are no longer needed. Afterwards call [`crate::ShardStore::checkpointed`].
pub async fn finish_checkpoint<D: Disk>(
    writer: &mut WalWriter<D>,
    manifest: &mut Manifest,
    table: &FrozenTable,
    generation: u32,
) -> Result<(), StorageError> {
    let first_needed = table.last_lsn().next();
    let mut next = Manifest {
        upto: table.last_lsn(),
        hlc_bound: manifest.hlc_bound.max(table.hlc_bound()),
        first_segment: writer.first_segment_after(first_needed).unwrap_or(Lsn(0)),
        store: generation,
        end: writer.last_lsn(),
        is_sealed: false,
        ..manifest.clone()
    };
    next.write(writer.disk()).await?;
    *manifest = next;
    writer.remove_before(first_needed).await?;
    Ok(())
}

/// The last word of a shard that is left cleanly, after its last batch: the manifest then says where the log ends, so that a
/// log that has lost its end is not taken for one that was being written.
pub async fn seal_log<D: Disk>(writer: &WalWriter<D>, manifest: &mut Manifest) -> Result<(), StorageError> {
    let mut next = Manifest { end: writer.last_lsn(), is_sealed: true, ..manifest.clone() };
    next.write(writer.disk()).await?;
    *manifest = next;
    Ok(())
}
