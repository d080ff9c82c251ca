//! A sorted store in memory, for tests and the simulator.
//!
//! Two maps: what a reader sees, and what a power cut would leave.

use super::{ScanPage, SortedEntry, SortedStore, SortedStoreError, split_stored_key, stored_key};
use crate::record::Lsn;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// One object, and whether it can still be read.
#[derive(Clone, Debug)]
struct Kept {
    object: Bytes,
    is_damaged: bool,
}

/// A map with an explicit durable point: [`MemorySortedStore::crash`] forgets what was not flushed.
#[derive(Clone, Debug, Default)]
pub struct MemorySortedStore {
    seen: BTreeMap<Vec<u8>, Kept>,
    durable: BTreeMap<Vec<u8>, Kept>,
    changed: BTreeSet<Vec<u8>>,
}

impl MemorySortedStore {
    /// An empty store.
    pub fn new() -> MemorySortedStore {
        MemorySortedStore::default()
    }

    /// A power cut: what was not flushed is gone, except for the entries that `keep` says happened to reach the disk
    /// (asked once for each stored key changed since the last flush, in key order).
    pub fn crash(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        for key in core::mem::take(&mut self.changed) {
            if keep(&key) {
                let kept = self.seen.get(&key).cloned().expect("a changed key is there: nothing is ever removed");
                self.durable.insert(key, kept);
            }
        }
        self.seen = self.durable.clone();
    }

    /// Makes a stored object unreadable; false if there is none.
    pub fn damage(&mut self, token: u128, routed: &[u8]) -> bool {
        let key = stored_key(token, routed);
        let found = [&mut self.seen, &mut self.durable].map(|map| map.get_mut(&key).map(|kept| kept.is_damaged = true));
        found.iter().any(Option::is_some)
    }

    /// Objects in the store.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Is there no object?
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

impl SortedStore for MemorySortedStore {
    fn engine(&self) -> &'static str {
        "memory"
    }

    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Bytes>, SortedStoreError> {
        let Some(kept) = self.seen.get(&stored_key(token, routed)) else { return Ok(None) };
        if kept.is_damaged {
            return Err(SortedStoreError::Unreadable { what: "damaged on purpose".to_owned() });
        }
        Ok(Some(kept.object.clone()))
    }

    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError> {
        for entry in entries {
            let key = stored_key(entry.token, entry.routed);
            self.changed.insert(key.clone());
            self.seen.insert(key, Kept { object: entry.object.clone(), is_damaged: false });
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], token_last: u128, entries_max: usize) -> Result<ScanPage, SortedStoreError> {
        let mut page = ScanPage::default();
        for (key, kept) in self.seen.range(from.to_vec()..) {
            let Some((token, routed)) = split_stored_key(key).filter(|(token, _)| *token <= token_last) else { break };
            if page.entries.len() + page.unreadable.len() == entries_max {
                page.next = Some(key.clone());
                break;
            }
            if kept.is_damaged {
                page.unreadable.push(key.clone());
            } else {
                page.entries.push((token, Bytes::copy_from_slice(routed), kept.object.clone()));
            }
        }
        Ok(page)
    }

    fn flush_durable(&mut self) -> Result<(), SortedStoreError> {
        for key in core::mem::take(&mut self.changed) {
            let kept = self.seen.get(&key).cloned().expect("a changed key is there: nothing is ever removed");
            self.durable.insert(key, kept);
        }
        Ok(())
    }

    fn discard_unfinished(&mut self, _upto: Lsn) -> Result<(), SortedStoreError> {
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.seen.iter().map(|(key, kept)| (key.len() + kept.object.len()) as u64).sum()
    }
}
