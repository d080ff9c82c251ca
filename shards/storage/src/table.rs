//! The newest object of each key, as long as the sorted store does not have it.
//!
//! Entries stand in a vector in the order in which their keys first came; an index finds them by hash. So freezing a table
//! is a move, sorting it is the companion's work, and taking it apart afterwards goes entry by entry from the end.

use crate::record::Lsn;
use ahash::RandomState;
use bytes::Bytes;
use core::sync::atomic::{AtomicBool, Ordering};
use hashbrown::HashTable;
use std::sync::{Arc, Mutex, PoisonError};

/// What an entry costs beside its key and object, in bytes: itself in a vector that may be half empty, its place in the
/// index, and the heads of two allocations.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 2 * size_of::<Entry>() + 64;

/// A key with its hash, computed once for all tables that are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashedKey<'a> {
    pub(crate) hash: u64,
    pub(crate) token: u128,
    pub(crate) routed: &'a [u8],
}

impl<'a> HashedKey<'a> {
    /// Tokens can be chosen by whoever chooses keys, so the seeds are random and never stored.
    pub(crate) fn new(seeds: &RandomState, token: u128, routed: &'a [u8]) -> HashedKey<'a> {
        HashedKey { hash: seeds.hash_one(token), token, routed }
    }

    pub(crate) fn is(&self, token: u128, routed: &[u8]) -> bool {
        self.token == token && self.routed == routed
    }
}

/// The newest object of one key.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) token: u128,
    pub(crate) hash: u64,
    pub(crate) routed: Arc<[u8]>,
    pub(crate) object: Bytes,
    pub(crate) lsn: Lsn,
    /// Read since it was written: such an entry earns a place in the cache.
    was_read: AtomicBool,
}

impl Entry {
    pub(crate) fn key(&self) -> HashedKey<'_> {
        HashedKey { hash: self.hash, token: self.token, routed: &self.routed }
    }

    pub(crate) fn mark_read(&self) {
        self.was_read.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_read(&self) -> bool {
        self.was_read.load(Ordering::Relaxed)
    }

    fn charge(&self) -> usize {
        ENTRY_OVERHEAD_BYTES + self.routed.len() + self.object.len()
    }
}

/// A memtable.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    bytes: usize,
}

impl Table {
    /// An empty one with room for so many keys: growing it later takes a millisecond or two, at one put.
    pub(crate) fn with_room_for(keys: usize) -> Table {
        Table { entries: Vec::with_capacity(keys), index: HashTable::with_capacity(keys), bytes: 0 }
    }

    /// The room of one that was taken apart, to be filled again: giving it back would take a millisecond as well.
    pub(crate) fn into_room(mut self) -> Table {
        assert_eq!(self.len(), 0, "a table that holds something is not reused");
        // What was taken out one by one has left marks, which would count as growth.
        self.index.clear();
        self
    }

    pub(crate) fn find(&self, key: &HashedKey<'_>) -> Option<&Entry> {
        let place = self.index.find(key.hash, |&at| {
            let entry = &self.entries[at as usize];
            key.is(entry.token, &entry.routed)
        })?;
        Some(&self.entries[*place as usize])
    }

    /// Stores the object of a key and gives back the key to share; true if the key is new here.
    pub(crate) fn put(&mut self, key: &HashedKey<'_>, object: Bytes, lsn: Lsn) -> (Arc<[u8]>, bool) {
        let entries = &self.entries;
        let same = |&at: &u32| {
            let entry = &entries[at as usize];
            key.is(entry.token, &entry.routed)
        };
        if let Some(&place) = self.index.find(key.hash, same) {
            let entry = &mut self.entries[place as usize];
            self.bytes = self.bytes - entry.object.len() + object.len();
            entry.object = object;
            entry.lsn = lsn;
            return (entry.routed.clone(), false);
        }
        let place = u32::try_from(self.entries.len()).expect("a table is frozen long before 2^32 keys");
        let routed: Arc<[u8]> = Arc::from(key.routed);
        let entry = Entry {
            token: key.token,
            hash: key.hash,
            routed: routed.clone(),
            object,
            lsn,
            was_read: AtomicBool::new(false),
        };
        self.bytes += entry.charge();
        self.entries.push(entry);
        self.index.insert_unique(key.hash, place, |&at| self.entries[at as usize].hash);
        (routed, true)
    }

    /// Takes the entry whose key came last.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop()?;
        let place = self.entries.len() as u32;
        let indexed = self.index.find_entry(entry.hash, |&at| at == place);
        indexed.expect("every entry is in the index").remove();
        self.bytes -= entry.charge();
        Some(entry)
    }

    /// The entries in stored order.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.entries.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| {
            let (a, b) = (&self.entries[a as usize], &self.entries[b as usize]);
            (a.token, &a.routed).cmp(&(b.token, &b.routed))
        });
        order
    }

    pub(crate) fn entry(&self, place: u32) -> &Entry {
        &self.entries[place as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of keys, objects and overhead.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A memtable that takes no more: what a checkpoint writes. Shared with the companion, which sorts it.
#[derive(Debug)]
pub struct FrozenTable {
    pub(crate) table: Table,
    pub(crate) last_lsn: Lsn,
    pub(crate) hlc_bound: u64,
    /// What is left of the table before it, which needs only to be dropped: tens of thousands of objects, so not by the shard.
    leftover: Mutex<Option<Arc<FrozenTable>>>,
}

impl FrozenTable {
    pub(crate) fn new(table: Table, last_lsn: Lsn, hlc_bound: u64, leftover: Option<Arc<FrozenTable>>) -> FrozenTable {
        FrozenTable { table, last_lsn, hlc_bound, leftover: Mutex::new(leftover) }
    }

    /// Drops the rest of the table before, on the thread that calls.
    pub(crate) fn drop_leftover(&self) {
        let leftover = self.leftover.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(leftover);
    }

    /// The last record that the checkpoint covers; all of them are durable in the log.
    pub fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }

    /// The largest clock bound up to there.
    pub fn hlc_bound(&self) -> u64 {
        self.hlc_bound
    }

    /// Keys in the table.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Has the table no keys? It may still carry a clock bound.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &mut Table, token: u128, routed: &str, object: &'static str, lsn: u64) -> bool {
        // One hash for all: every lookup has to tell the keys apart itself.
        let key = HashedKey { hash: 7, token, routed: routed.as_bytes() };
        table.put(&key, Bytes::from_static(object.as_bytes()), Lsn(lsn)).1
    }

    fn get(table: &Table, token: u128, routed: &str) -> Option<Bytes> {
        let key = HashedKey { hash: 7, token, routed: routed.as_bytes() };
        table.find(&key).map(|entry| entry.object.clone())
    }

    #[test]
    fn keys_of_one_token_are_not_mixed_up() {
        let mut table = Table::default();
        assert!(put(&mut table, 1, "a", "first", 1));
        assert!(put(&mut table, 1, "b", "second", 2));
        assert!(!put(&mut table, 1, "a", "third", 3));
        assert_eq!(get(&table, 1, "a").as_deref(), Some(&b"third"[..]));
        assert_eq!(get(&table, 1, "b").as_deref(), Some(&b"second"[..]));
        assert_eq!(get(&table, 2, "a"), None);
    }

    #[test]
    fn taken_apart_a_table_weighs_nothing() {
        let mut table = Table::default();
        for n in 0..100u128 {
            put(&mut table, n % 10, &format!("{n}"), "object", n as u64);
        }
        for n in (0..100u128).rev() {
            assert_eq!(table.pop().map(|entry| entry.lsn), Some(Lsn(n as u64)));
            assert_eq!(get(&table, n % 10, &format!("{n}")), None);
        }
        assert_eq!((table.bytes(), table.len()), (0, 0));
    }

    #[test]
    fn the_room_of_a_table_taken_apart_is_filled_again() {
        let mut table = Table::with_room_for(50);
        let room = (table.entries.capacity(), table.index.capacity());
        (0..50u128).for_each(|n| assert!(put(&mut table, n, "a", "old", 1)));
        while table.pop().is_some() {}
        let mut table = table.into_room();
        (0..50u128).for_each(|n| assert!(put(&mut table, n, "a", "new", 2)));
        assert_eq!((table.entries.capacity(), table.index.capacity()), room, "it has not grown");
        assert_eq!((get(&table, 7, "a").as_deref(), table.len()), (Some(&b"new"[..]), 50));
    }

    #[test]
    fn stored_order_is_token_then_key() {
        let mut table = Table::default();
        put(&mut table, 2, "a", "", 1);
        put(&mut table, 1, "b", "", 2);
        put(&mut table, 1, "a", "", 3);
        let order: Vec<Lsn> = table.sorted().iter().map(|&at| table.entry(at).lsn).collect();
        assert_eq!(order, [Lsn(3), Lsn(2), Lsn(1)]);
    }
}
