//! A table of the newest object of each key, while the sorted store does not have it yet.
use crate::record::Lsn;
use bytes::Bytes;
use std::sync::Arc;

/// A memtable that takes no more: what a checkpoint writes. Shared with the companion.
#[derive(Debug)]
pub struct FrozenTable {
    pub(crate) entries: Vec<(u128, Arc<[u8]>, Bytes, Lsn)>,
    last_lsn: Lsn,
    hlc_bound: u64,
}

impl FrozenTable {
    /// The last record that the checkpoint covers.
    pub fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }
    /// The largest clock bound up to there.
    pub fn hlc_bound(&self) -> u64 {
        self.hlc_bound
    }
    /// Keys in the table.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Has the table no keys? (It may still carry a clock bound.)
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
