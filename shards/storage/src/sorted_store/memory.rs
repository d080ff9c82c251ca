//! A sorted store in memory, for tests and the simulator.
//!
//! Two maps: what a reader sees, and what a power cut would leave.

use super::{
    KeyPage, PageLimits, ScanEntry, ScanPage, SortedEntry, SortedStore, SortedStoreError, StoreSizes, Stored,
    split_stored_key, stored_key,
};
use crate::filter::KeyFilter;
use crate::record::Lsn;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// One object, and whether it can still be read.
#[derive(Clone, Debug)]
struct Kept {
    object: Bytes,
    lsn: Lsn,
    is_damaged: bool,
}

/// A map with an explicit durable point: [`MemorySortedStore::crash`] forgets what was not flushed.
#[derive(Clone, Debug, Default)]
pub struct MemorySortedStore {
    seen: BTreeMap<Vec<u8>, Kept>,
    durable: BTreeMap<Vec<u8>, Kept>,
    changed: BTreeSet<Vec<u8>>,
    durable_upto: Lsn,
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

    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Stored>, SortedStoreError> {
        let Some(kept) = self.seen.get(&stored_key(token, routed)) else { return Ok(None) };
        if kept.is_damaged {
            return Err(SortedStoreError::Unreadable { what: "damaged on purpose".to_owned() });
        }
        Ok(Some(Stored { object: kept.object.clone(), lsn: kept.lsn }))
    }

    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError> {
        for entry in entries {
            let key = stored_key(entry.token, entry.routed);
            self.changed.insert(key.clone());
            self.seen.insert(key, Kept { object: entry.object.clone(), lsn: entry.lsn, is_damaged: false });
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], token_last: u128, limits: PageLimits) -> Result<ScanPage, SortedStoreError> {
        let (mut page, mut bytes) = (ScanPage::default(), 0);
        for (key, kept) in self.seen.range(from.to_vec()..) {
            let Some((token, routed)) = split_stored_key(key).filter(|(token, _)| *token <= token_last) else { break };
            let is_full = page.entries.len() + page.unreadable.len() == limits.entries_max;
            if is_full || bytes >= limits.bytes_max {
                page.next = Some(key.clone());
                break;
            }
            if kept.is_damaged {
                page.unreadable.push(key.clone());
            } else {
                let (routed, object) = (Bytes::copy_from_slice(routed), kept.object.clone());
                bytes += routed.len() + object.len();
                page.entries.push(ScanEntry { token, routed, object, lsn: kept.lsn });
            }
        }
        Ok(page)
    }

    fn scan_keys(&self, from: &[u8], token_last: u128, keys_max: usize) -> Result<KeyPage, SortedStoreError> {
        let mut page = KeyPage::default();
        for key in self.seen.range(from.to_vec()..).map(|(key, _)| key) {
            if split_stored_key(key).is_none_or(|(token, _)| token > token_last) {
                break;
            }
            if page.keys.len() == keys_max {
                page.next = Some(key.clone());
                break;
            }
            page.keys.push(key.clone());
        }
        Ok(page)
    }

    fn flush_durable(&mut self, upto: Lsn) -> Result<(), SortedStoreError> {
        self.durable_upto = upto;
        for key in core::mem::take(&mut self.changed) {
            let kept = self.seen.get(&key).cloned().expect("a changed key is there: nothing is ever removed");
            self.durable.insert(key, kept);
        }
        Ok(())
    }

    fn durable_upto(&self) -> Result<Lsn, SortedStoreError> {
        Ok(self.durable_upto)
    }

    fn discard_unfinished(&mut self, _upto: Lsn) -> Result<(), SortedStoreError> {
        Ok(())
    }

    fn key_filter(&self, vnode_bits: u8, bytes_max: usize) -> Result<Option<KeyFilter>, SortedStoreError> {
        let mut filter = KeyFilter::new(vnode_bits, bytes_max);
        for (token, _) in self.seen.keys().filter_map(|key| split_stored_key(key)) {
            filter.insert(token);
        }
        Ok(Some(filter))
    }

    fn sizes(&self) -> StoreSizes {
        let bytes = self.seen.iter().map(|(key, kept)| (key.len() + kept.object.len()) as u64).sum();
        StoreSizes { memory_bytes: bytes, ..StoreSizes::default() }
    }
}
