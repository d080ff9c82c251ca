//! The warehouse: objects by stored key, in ring order.
use crate::record::Lsn;
use bytes::Bytes;

mod envelope;
mod memory;
mod sled_store;
pub use memory::MemorySortedStore;
pub use sled_store::{SledConfig, SledStore};

/// One entry to apply.
#[derive(Clone, Copy, Debug)]
pub struct SortedEntry<'a> {
    /// Where the key lies on the ring.
    pub token: u128,
    /// The key as it is routed.
    pub routed: &'a [u8],
    /// The canonical bytes.
    pub object: &'a Bytes,
    /// The record it came from.
    pub lsn: Lsn,
}

/// Part of a scan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScanPage {
    /// Token, routed key, object, in stored order.
    pub entries: Vec<(u128, Bytes, Bytes)>,
    /// Stored keys whose objects are damaged.
    pub unreadable: Vec<Vec<u8>>,
    /// Where to go on; `None` at the end of the range.
    pub next: Option<Vec<u8>>,
}

/// Why the sorted store could not.
#[derive(Debug, thiserror::Error)]
pub enum SortedStoreError {
    /// The object is there but not as it was written. Nothing else is affected.
    #[error("the stored object is damaged: {what}")]
    Unreadable {
        /// What was expected and found.
        what: String,
    },
    /// The store as a whole cannot go on.
    #[error("the sorted store {engine} at {path} failed: {what}")]
    Failed {
        /// The engine's name.
        engine: &'static str,
        /// Where it lies.
        path: String,
        /// What it said, and the remedy.
        what: String,
    },
}

/// A sorted store: blocking, driven by one thread (the companion's).
pub trait SortedStore: Send {
    /// The engine's name, as the manifest keeps it.
    fn engine(&self) -> &'static str;
    /// The object of a key.
    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Bytes>, SortedStoreError>;
    /// Stores entries, replacing older ones. Idempotent; durable after [`SortedStore::flush_durable`].
    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError>;
    /// Entries with stored keys from `from` on whose token is at most `token_last`, at most `entries_max`.
    fn scan(&self, from: &[u8], token_last: u128, entries_max: usize) -> Result<ScanPage, SortedStoreError>;
    /// Everything applied would survive a power cut when this returns.
    fn flush_durable(&mut self) -> Result<(), SortedStoreError>;
    /// Forgets leftovers of a checkpoint past `upto` that did not finish. Called before the first apply.
    fn discard_unfinished(&mut self, upto: Lsn) -> Result<(), SortedStoreError>;
    /// Bytes on disk.
    fn size_bytes(&self) -> u64;
}

/// The stored key: token (16 bytes, big-endian), then the routed key. Ring order is byte order.
pub fn stored_key(token: u128, routed: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 + routed.len());
    key.extend_from_slice(&token.to_be_bytes());
    key.extend_from_slice(routed);
    key
}

/// The inverse of [`stored_key`]; `None` if the bytes are too few.
pub fn split_stored_key(key: &[u8]) -> Option<(u128, &[u8])> {
    let (token, routed) = key.split_first_chunk::<16>()?;
    Some((u128::from_be_bytes(*token), routed))
}
