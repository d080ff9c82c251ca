//! The warehouse: objects by stored key, in ring order.
use crate::filter::KeyFilter;
use crate::record::Lsn;
use bytes::Bytes;

mod envelope;
mod memory;
mod open;
mod sled_store;
pub use memory::MemorySortedStore;
pub use open::{Engine, StoreConfig, UnknownEngine, open_store, store_dir};
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

/// An object as the sorted store has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The canonical bytes.
    pub object: Bytes,
    /// The record they came from.
    pub lsn: Lsn,
}

/// One entry of a scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScanEntry {
    /// Where the key lies on the ring.
    pub token: u128,
    /// The key as it is routed.
    pub routed: Bytes,
    /// The canonical bytes.
    pub object: Bytes,
    /// The record they came from.
    pub lsn: Lsn,
}

/// How much one page of a scan may hold: it ends with the entry that reaches either bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageLimits {
    /// Entries, at least 1.
    pub entries_max: usize,
    /// Bytes of keys and objects.
    pub bytes_max: usize,
}

/// Part of a scan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScanPage {
    /// In stored order.
    pub entries: Vec<ScanEntry>,
    /// Stored keys whose objects are damaged.
    pub unreadable: Vec<Vec<u8>>,
    /// Where to go on; `None` at the end of the range.
    pub next: Option<Vec<u8>>,
}

/// Part of a scan of the keys alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyPage {
    /// Stored keys, in stored order. Their objects were not looked at.
    pub keys: Vec<Vec<u8>>,
    /// Where to go on; `None` at the end of the range.
    pub next: Option<Vec<u8>>,
}

/// What a store weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreSizes {
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Bytes that its caches, buffers and filters hold in memory, as far as the engine says.
    pub memory_bytes: u64,
    /// Bytes that it has written since it was opened, as far as the engine says.
    pub written_bytes_total: u64,
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
    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Stored>, SortedStoreError>;
    /// Stores entries, replacing older ones. Idempotent; durable after [`SortedStore::flush_durable`].
    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError>;
    /// Entries with stored keys from `from` on whose token is at most `token_last`, at most a page of them.
    fn scan(&self, from: &[u8], token_last: u128, limits: PageLimits) -> Result<ScanPage, SortedStoreError>;
    /// Stored keys from `from` on whose token is at most `token_last`, at most `keys_max`.
    fn scan_keys(&self, from: &[u8], token_last: u128, keys_max: usize) -> Result<KeyPage, SortedStoreError>;
    /// Everything applied would survive a power cut when this returns, and so would the note that it goes up to `upto`.
    fn flush_durable(&mut self, upto: Lsn) -> Result<(), SortedStoreError>;
    /// The note of the last [`SortedStore::flush_durable`]; `Lsn(0)` if there was none. If it is below what the manifest
    /// says, the store has lost something that it had.
    fn durable_upto(&self) -> Result<Lsn, SortedStoreError>;
    /// Forgets leftovers of a checkpoint past `upto` that did not finish. Called before the first apply.
    fn discard_unfinished(&mut self, upto: Lsn) -> Result<(), SortedStoreError>;
    /// What it weighs.
    fn sizes(&self) -> StoreSizes;
    /// A filter that knows every key it holds (and may know more), for a ring of `2^vnode_bits` vnodes, if the engine has no
    /// filters of its own. Asked once, when the store is opened and before the first apply.
    fn key_filter(&self, vnode_bits: u8, bytes_max: usize) -> Result<Option<KeyFilter>, SortedStoreError> {
        let _ = (vnode_bits, bytes_max);
        Ok(None)
    }
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
