//! The warehouse: objects by stored key, in ring order.
//!
//! Two engines stand behind one trait, [`SledStore`] and [`LsmStore`], and a third one in memory for tests. What they share is the
//! stored key, the envelope around each object, and what they promise; the log above them is the same for all.

use crate::filter::KeyFilter;
use crate::record::Lsn;
use crate::wounds::Wound;

mod envelope;
mod error;
mod filling;
mod gaps;
mod guard;
mod losses;
mod lsm_store;
mod memory;
mod open;
mod page;
mod sled_audit;
mod sled_keys;
mod sled_log;
mod sled_scan;
mod sled_spares;
mod sled_store;
mod synchronous;
mod verify;
pub use error::{FailureKind, SortedStoreError};
pub use lsm_store::{LsmConfig, LsmStore, Suspects};
pub use memory::MemorySortedStore;
pub use open::{
    Engine, StoreConfig, UnknownEngine, find_suspects, forget_cached, open_store, open_store_without, store_dir,
};
pub use page::{KeyGap, KeyPage, PageLimits, ScanEntry, ScanPage, SortedEntry, StoreSizes, Stored};
pub use sled_store::{SledConfig, SledStore};
pub use verify::{FileCheck, FileCursor};

/// The slow part of a flush: writes and syncs. May run on another thread.
pub type FlushTask = Box<dyn FnOnce() -> Result<(), SortedStoreError> + Send>;

/// A sorted store: blocking, driven by one thread (the companion's). No panic of an engine leaves these methods.
pub trait SortedStore: Send {
    /// The engine's name, as the manifest keeps it.
    fn engine(&self) -> &'static str;
    /// The object of a key.
    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Stored>, SortedStoreError>;
    /// Stores entries, replacing older ones. Idempotent; durable after [`SortedStore::flush_task`]. An entry must not be
    /// older than the one it replaces.
    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError>;
    /// Entries with stored keys from `from` on whose token is at most `token_last`, at most a page of them.
    fn scan(&self, from: &[u8], token_last: u128, limits: PageLimits) -> Result<ScanPage, SortedStoreError>;
    /// Stored keys from `from` on whose token is at most `token_last`, at most `keys_max`.
    fn scan_keys(&self, from: &[u8], token_last: u128, keys_max: usize) -> Result<KeyPage, SortedStoreError>;
    /// Begins to make everything applied durable, and with it the note that it goes up to `upto`; what it returns does the
    /// slow part, and may be run on another thread while this store is read. Until it has ended, no `apply` and no second
    /// flush.
    fn flush_task(&mut self, upto: Lsn) -> FlushTask;
    /// Everything applied would survive a power cut when this returns, and so would the note that it goes up to `upto`.
    fn flush_durable(&mut self, upto: Lsn) -> Result<(), SortedStoreError> {
        self.flush_task(upto)()
    }
    /// The note of the last flush that ended well; `Lsn(0)` if there was none. If it is below what the manifest says, the
    /// store has lost something that it had.
    fn durable_upto(&self) -> Result<Lsn, SortedStoreError>;
    /// Forgets leftovers of a checkpoint past `upto` that did not finish. Called before the first apply.
    fn discard_unfinished(&mut self, upto: Lsn) -> Result<(), SortedStoreError>;
    /// Checks the next files behind `cursor` against the checksums that the engine keeps for them, about `bytes_max` bytes
    /// of them. An engine without such checksums has nothing to check here: a scan reads everything it has.
    fn verify_files(&self, cursor: &mut FileCursor, bytes_max: u64) -> Result<FileCheck, SortedStoreError>;
    /// What it found to be lost when it was opened, and nobody has noted yet.
    fn losses(&self) -> Vec<Wound> {
        Vec::new()
    }
    /// These losses are noted durably.
    fn forget_losses(&mut self) -> Result<(), SortedStoreError> {
        Ok(())
    }
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
