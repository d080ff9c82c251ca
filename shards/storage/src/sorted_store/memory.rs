//! A sorted store in memory, for tests and the simulator.
//!
//! Two maps: what a reader sees, and what a power cut would leave.

use super::{
    FileCheck, FileCursor, FlushTask, KeyPage, PageLimits, ScanEntry, ScanPage, SortedEntry, SortedStore,
    SortedStoreError, StoreSizes, Stored, split_stored_key, stored_key,
};
use crate::filter::KeyFilter;
use crate::record::Lsn;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One object, and whether it can still be read.
#[derive(Clone, Debug)]
struct Kept {
    object: Bytes,
    lsn: Lsn,
    is_damaged: bool,
}

/// What a power cut would leave, and what of the rest it may leave.
#[derive(Clone, Debug, Default)]
struct Platter {
    durable: BTreeMap<Vec<u8>, Kept>,
    /// Applied since the last flush ended.
    changed: BTreeMap<Vec<u8>, Kept>,
    upto: Lsn,
}

/// A map with an explicit durable point: [`MemorySortedStore::crash`] forgets what was not flushed.
#[derive(Debug, Default)]
pub struct MemorySortedStore {
    seen: BTreeMap<Vec<u8>, Kept>,
    platter: Arc<Mutex<Platter>>,
}

impl Clone for MemorySortedStore {
    /// A store of its own: nothing is shared with the first.
    fn clone(&self) -> MemorySortedStore {
        MemorySortedStore { seen: self.seen.clone(), platter: Arc::new(Mutex::new(self.platter().clone())) }
    }
}

fn lock(platter: &Mutex<Platter>) -> MutexGuard<'_, Platter> {
    platter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemorySortedStore {
    /// An empty store.
    pub fn new() -> MemorySortedStore {
        MemorySortedStore::default()
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        lock(&self.platter)
    }

    /// A power cut: what was not flushed is gone, except for the entries that `keep` says happened to reach the disk
    /// (asked once for each stored key changed since the last flush, in key order).
    pub fn crash(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let mut platter = self.platter();
        let mut changed = core::mem::take(&mut platter.changed);
        changed.retain(|key, _| keep(key));
        platter.durable.append(&mut changed);
        let left = platter.clone();
        drop(platter);
        self.seen = left.durable.clone();
        // A flush that was under way belongs to the life before: it must not touch this one.
        self.platter = Arc::new(Mutex::new(left));
    }

    /// Makes a stored object unreadable; false if there is none.
    pub fn damage(&mut self, token: u128, routed: &[u8]) -> bool {
        let key = stored_key(token, routed);
        let mut platter = lock(&self.platter);
        let Platter { durable, changed, .. } = &mut *platter;
        let found = [&mut self.seen, durable, changed].map(|map| map.get_mut(&key).map(|kept| kept.is_damaged = true));
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
            let kept = Kept { object: entry.object.clone(), lsn: entry.lsn, is_damaged: false };
            self.platter().changed.insert(key.clone(), kept.clone());
            self.seen.insert(key, kept);
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

    fn flush_task(&mut self, upto: Lsn) -> FlushTask {
        let platter = self.platter.clone();
        Box::new(move || {
            let mut platter = lock(&platter);
            let mut changed = core::mem::take(&mut platter.changed);
            platter.durable.append(&mut changed);
            platter.upto = upto;
            Ok(())
        })
    }

    fn durable_upto(&self) -> Result<Lsn, SortedStoreError> {
        Ok(self.platter().upto)
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

    fn verify_files(&self, _cursor: &mut FileCursor, _bytes_max: u64) -> Result<FileCheck, SortedStoreError> {
        Ok(FileCheck { is_done: true, ..FileCheck::default() })
    }

    fn sizes(&self) -> StoreSizes {
        let bytes = self.seen.iter().map(|(key, kept)| (key.len() + kept.object.len()) as u64).sum();
        StoreSizes { memory_bytes: bytes, live_bytes: bytes, ..StoreSizes::default() }
    }
}
