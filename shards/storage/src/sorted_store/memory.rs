//! A sorted store in memory, for tests and the simulator.
use super::{ScanPage, SortedEntry, SortedStore, SortedStoreError};
use crate::record::Lsn;
use bytes::Bytes;

/// A map with an explicit durable point: [`MemorySortedStore::crash`] forgets what was not flushed.
#[derive(Clone, Debug, Default)]
pub struct MemorySortedStore {}

impl MemorySortedStore {
    /// An empty store.
    pub fn new() -> MemorySortedStore {
        MemorySortedStore::default()
    }
    /// A power cut: what was not flushed is gone, except for the entries that `keep` says happened to reach the disk
    /// (asked once for each stored key changed since the last flush, in key order).
    pub fn crash(&mut self, keep: impl FnMut(&[u8]) -> bool) {
        let _ = keep;
        todo!()
    }
    /// Makes a stored object unreadable; false if there is none.
    pub fn damage(&mut self, token: u128, routed: &[u8]) -> bool {
        todo!("{token}{routed:?}")
    }
}

impl SortedStore for MemorySortedStore {
    fn engine(&self) -> &'static str {
        "memory"
    }
    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Bytes>, SortedStoreError> {
        todo!("{token}{routed:?}")
    }
    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError> {
        todo!("{entries:?}")
    }
    fn scan(&self, from: &[u8], token_last: u128, entries_max: usize) -> Result<ScanPage, SortedStoreError> {
        todo!("{from:?}{token_last}{entries_max}")
    }
    fn flush_durable(&mut self) -> Result<(), SortedStoreError> {
        todo!()
    }
    fn discard_unfinished(&mut self, upto: Lsn) -> Result<(), SortedStoreError> {
        todo!("{upto}")
    }
    fn size_bytes(&self) -> u64 {
        todo!()
    }
}
