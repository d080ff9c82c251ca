//! The objects that are read again and again, and the keys that are known to have none.
//!
//! Think of a queue at a door with one guard who walks along it: whoever was asked for since his last visit may stay, the
//! first who was not must leave. A read only sets a mark (no list moves on the hot path), and a crowd of strangers that
//! nobody asks for again passes through without pushing out the regulars.
//!
//! Bounded in bytes, overhead included. Knows nothing of versions: its owner takes a key out when it is written.

use crate::limits::CACHED_SLICE_BYTES_MIN;
use crate::table::HashedKey;
use bytes::Bytes;
use hashbrown::HashTable;
use slab::Slab;
use std::sync::Arc;

/// What a seat costs beside its key and object, in bytes: itself in a slab that may be half empty, its place in the index,
/// and the heads of two allocations.
pub(crate) const SEAT_OVERHEAD_BYTES: usize = 2 * size_of::<Seat>() + 64;
/// No seat.
const NONE: usize = usize::MAX;

#[derive(Debug)]
struct Seat {
    token: u128,
    hash: u64,
    routed: Arc<[u8]>,
    /// `None`: the key is known to have no object.
    object: Option<Bytes>,
    was_read: bool,
    newer: usize,
    older: usize,
}

impl Seat {
    fn charge(&self) -> usize {
        charge(&self.routed, self.object.as_ref())
    }
}

/// The cache of one shard.
#[derive(Debug)]
pub(crate) struct ObjectCache {
    seats: Slab<Seat>,
    index: HashTable<usize>,
    newest: usize,
    oldest: usize,
    guard: usize,
    bytes: usize,
    bytes_max: usize,
    evictions: u64,
}

/// What an object costs here.
pub(crate) fn charge(routed: &[u8], object: Option<&Bytes>) -> usize {
    SEAT_OVERHEAD_BYTES + routed.len() + object.map_or(0, Bytes::len)
}

/// A copy of its own, if the bytes may be a small slice that keeps a large arena alive.
pub(crate) fn unshared(object: Bytes) -> Bytes {
    if object.len() < CACHED_SLICE_BYTES_MIN { Bytes::copy_from_slice(&object) } else { object }
}

impl ObjectCache {
    pub(crate) fn new(bytes_max: usize) -> ObjectCache {
        ObjectCache {
            seats: Slab::new(),
            index: HashTable::new(),
            newest: NONE,
            oldest: NONE,
            guard: NONE,
            bytes: 0,
            bytes_max,
            evictions: 0,
        }
    }

    /// The object of a key; `Some(None)` if it is known to have none.
    pub(crate) fn get(&mut self, key: &HashedKey<'_>) -> Option<Option<Bytes>> {
        let at = self.find(key)?;
        let seat = &mut self.seats[at];
        seat.was_read = true;
        Some(seat.object.clone())
    }

    /// Would this charge fit without anybody leaving?
    pub(crate) fn has_room(&self, charge: usize) -> bool {
        self.bytes + charge <= self.bytes_max
    }

    /// Seats an object (or its absence), replacing what the key had. What would take more than an eighth of the cache
    /// stays outside.
    pub(crate) fn insert(&mut self, key: &HashedKey<'_>, routed: Arc<[u8]>, object: Option<Bytes>) {
        self.remove(key);
        let charge = charge(&routed, object.as_ref());
        if charge > self.bytes_max / 8 {
            return;
        }
        while !self.has_room(charge) {
            self.evict();
        }
        let (token, hash) = (key.token, key.hash);
        let seat = Seat { token, hash, routed, object, was_read: false, newer: NONE, older: self.newest };
        let at = self.seats.insert(seat);
        match self.newest {
            NONE => self.oldest = at,
            newest => self.seats[newest].newer = at,
        }
        self.newest = at;
        self.bytes += charge;
        self.index.insert_unique(hash, at, |&at| self.seats[at].hash);
    }

    /// Takes a key out, because it is written or replaced.
    pub(crate) fn remove(&mut self, key: &HashedKey<'_>) {
        if let Some(at) = self.find(key) {
            self.take_out(at);
        }
    }

    fn find(&self, key: &HashedKey<'_>) -> Option<usize> {
        let seats = &self.seats;
        self.index.find(key.hash, |&at| key.is(seats[at].token, &seats[at].routed)).copied()
    }

    /// The guard goes on from where he stood, from old to new, and around again. Ends: he clears every mark he passes.
    fn evict(&mut self) {
        loop {
            let at = if self.guard == NONE { self.oldest } else { self.guard };
            assert_ne!(at, NONE, "an empty cache of {} bytes has no room", self.bytes_max);
            let seat = &mut self.seats[at];
            if !seat.was_read {
                self.evictions += 1;
                return self.take_out(at);
            }
            seat.was_read = false;
            self.guard = seat.newer;
        }
    }

    fn take_out(&mut self, at: usize) {
        let seat = self.seats.remove(at);
        let indexed = self.index.find_entry(seat.hash, |&other| other == at);
        indexed.expect("every seat is in the index").remove();
        match seat.newer {
            NONE => self.newest = seat.older,
            newer => self.seats[newer].older = seat.older,
        }
        match seat.older {
            NONE => self.oldest = seat.newer,
            older => self.seats[older].newer = seat.newer,
        }
        if self.guard == at {
            self.guard = seat.newer;
        }
        self.bytes -= seat.charge();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(token: &u128) -> HashedKey<'static> {
        HashedKey { hash: *token as u64, token: *token, routed: b"k" }
    }

    fn insert(cache: &mut ObjectCache, token: u128, bytes: usize) {
        cache.insert(&key(&token), Arc::from(&b"k"[..]), Some(Bytes::from(vec![0; bytes])));
    }

    #[test]
    fn never_holds_more_than_its_bytes() {
        let mut cache = ObjectCache::new(100_000);
        for token in 0..5_000u128 {
            insert(&mut cache, token % 700, (token as usize * 37) % 4_000);
            assert!(cache.bytes() <= 100_000, "{} bytes", cache.bytes());
        }
        assert!(cache.evictions() > 0);
        for token in 0..700u128 {
            cache.remove(&key(&token));
        }
        assert_eq!((cache.bytes(), cache.len()), (0, 0));
    }

    #[test]
    fn a_crowd_of_strangers_does_not_push_out_a_regular() {
        let mut cache = ObjectCache::new(64 * 1024);
        insert(&mut cache, 1, 1000);
        for stranger in 2..10_000u128 {
            assert!(cache.get(&key(&1)).is_some(), "pushed out by {stranger}");
            insert(&mut cache, stranger, 1000);
        }
    }

    #[test]
    fn an_object_larger_than_an_eighth_stays_outside_and_its_older_version_leaves() {
        let mut cache = ObjectCache::new(64 * 1024);
        insert(&mut cache, 1, 100);
        insert(&mut cache, 1, 60 * 1024);
        assert_eq!(cache.get(&key(&1)), None);
    }

    #[test]
    fn a_small_slice_does_not_keep_its_arena() {
        let arena = Bytes::from(vec![7; 64 * 1024]);
        let slice = unshared(arena.slice(10..20));
        assert!(arena.is_unique());
        assert_eq!(&slice[..], &[7; 10]);
    }
}
