//! The sorted store on sled 0.34.
use super::{ScanPage, SortedEntry, SortedStore, SortedStoreError};
use crate::record::Lsn;
use bytes::Bytes;
use std::path::PathBuf;

/// How to open a sled store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SledConfig {
    /// Its directory, created if it is not there.
    pub path: PathBuf,
    /// Page cache in bytes; the process takes about 1.3 times as much.
    pub cache_bytes: u64,
}

/// A sled database: a store for one shard.
#[derive(Debug)]
pub struct SledStore {}

impl SledStore {
    /// Opens or creates. Blocks, for seconds if the store is large; call it from a thread that is not pinned, because
    /// sled's own threads inherit its affinity.
    pub fn open(config: &SledConfig) -> Result<SledStore, SortedStoreError> {
        todo!("{config:?}")
    }
}

impl SortedStore for SledStore {
    fn engine(&self) -> &'static str {
        "sled"
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
