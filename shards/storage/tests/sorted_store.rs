//! What every sorted store promises, told once and checked for each of them.

use bytes::Bytes;
use rondo_storage::sorted_store::{SledConfig, stored_key};
use rondo_storage::{Lsn, MemorySortedStore, PageLimits, SledStore, SortedEntry, SortedStore};
use std::fs;
use tempfile::TempDir;

const PAGE_OF_TWO: PageLimits = PageLimits { entries_max: 2, bytes_max: 1 << 20 };

/// Runs one story on each engine.
fn on_each_engine(story: fn(&mut dyn SortedStore)) {
    story(&mut MemorySortedStore::new());
    let dir = TempDir::new().expect("a directory");
    story(&mut open(&dir));
}

fn open(dir: &TempDir) -> SledStore {
    let config = SledConfig { path: dir.path().join("sled"), cache_bytes: 8 << 20 };
    SledStore::open(&config).expect("opened")
}

fn put(store: &mut dyn SortedStore, lsn: u64, token: u128, routed: &str, object: &[u8]) {
    let object = Bytes::copy_from_slice(object);
    let entry = SortedEntry { token, routed: routed.as_bytes(), object: &object, lsn: Lsn(lsn) };
    store.apply(&[entry]).expect("applied");
}

fn get(store: &dyn SortedStore, token: u128, routed: &str) -> Option<Vec<u8>> {
    store.get(token, routed.as_bytes()).expect("readable").map(|stored| stored.object.to_vec())
}

fn large(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 7) as u8 ^ (at % 251) as u8 ^ seed).collect()
}

#[test]
fn the_last_object_of_a_key_is_the_one_that_is_found() {
    on_each_engine(|store| {
        put(store, 1, 7, "a", b"one");
        put(store, 2, 7, "b", b"two");
        put(store, 3, 7, "a", b"three");
        assert_eq!(get(store, 7, "a").as_deref(), Some(&b"three"[..]));
        assert_eq!(get(store, 7, "b").as_deref(), Some(&b"two"[..]));
        assert_eq!((get(store, 7, "c"), get(store, 8, "a")), (None, None));
    });
}

#[test]
fn objects_of_every_size_replace_each_other() {
    on_each_engine(|store| {
        let sizes = [0, 1, 4095, 4096, 4097, 8192, 100_000, 1 << 20, 10, 8 << 20, 5000, 3];
        for (lsn, bytes) in sizes.into_iter().enumerate() {
            let object = large(lsn as u8, bytes);
            put(store, lsn as u64 + 1, 1, "key", &object);
            put(store, lsn as u64 + 1, 1, "key", &object); // A repeated checkpoint.
            assert!(get(store, 1, "key") == Some(object), "{bytes} bytes");
        }
        store.flush_durable(Lsn(1)).expect("flushed");
    });
}

#[test]
fn a_scan_goes_in_ring_order_page_by_page_and_stops_at_its_last_token() {
    on_each_engine(|store| {
        for token in [9u128, 3, u128::MAX, 1, 4] {
            put(store, 1, token, "x", &token.to_le_bytes());
            put(store, 2, token, "y", &large(1, 9000));
        }
        let (mut from, mut seen) = (stored_key(3, b""), Vec::new());
        loop {
            let page = store.scan(&from, 9, PAGE_OF_TWO).expect("scanned");
            assert!(page.entries.len() <= 2 && page.unreadable.is_empty());
            seen.extend(page.entries.into_iter().map(|entry| (entry.token, entry.routed[0], entry.object.len())));
            let Some(next) = page.next else { break };
            from = next;
        }
        let expected = [3, 4, 9].map(|token| [(token, b'x', 16), (token, b'y', 9000)]).concat();
        assert_eq!(seen, expected);
    });
}

#[test]
fn what_was_flushed_is_there_after_a_restart_and_a_torn_snapshot_does_not_keep_it_shut() {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(&dir);
    put(&mut store, 1, 1, "small", b"object");
    put(&mut store, 2, 2, "large", &large(9, 300_000));
    store.flush_durable(Lsn(1)).expect("flushed");
    drop(store);
    fs::write(dir.path().join("sled/snap.0000000000000400.generating"), b"half").expect("writable");
    let store = open(&dir);
    assert_eq!(get(&store, 1, "small").as_deref(), Some(&b"object"[..]));
    assert!(get(&store, 2, "large") == Some(large(9, 300_000)));
}

#[test]
fn large_objects_leave_no_files_that_nobody_syncs_and_no_pieces_behind() {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(&dir);
    for lsn in 1..=20 {
        put(&mut store, lsn, 1, "key", &large(lsn as u8, 200_000));
    }
    put(&mut store, 21, 1, "key", b"small again");
    store.flush_durable(Lsn(1)).expect("flushed");
    let blobs = fs::read_dir(dir.path().join("sled/blobs")).map_or(0, Iterator::count);
    assert_eq!(blobs, 0);
    drop(store);
    // Opened and closed once more by the store, which waits for the lock that the threads of the last one still hold.
    let chunks = open(&dir).chunks_stored();
    assert_eq!(chunks, 0);
}

#[test]
fn pieces_of_a_checkpoint_that_did_not_finish_are_forgotten() {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(&dir);
    put(&mut store, 5, 1, "kept", &large(1, 9000));
    put(&mut store, 6, 2, "unfinished", &large(2, 9000));
    store.discard_unfinished(Lsn(5)).expect("discarded");
    assert_eq!(get(&store, 1, "kept"), Some(large(1, 9000)));
    assert!(store.get(2, b"unfinished").is_err(), "unreadable until its record comes again from the log");
    put(&mut store, 6, 2, "unfinished", &large(2, 9000));
    assert_eq!(get(&store, 2, "unfinished"), Some(large(2, 9000)));
}

#[test]
fn an_object_that_is_not_what_was_written_is_unreadable_never_a_wrong_value() {
    let dir = TempDir::new().expect("a directory");
    let mut store = open(&dir);
    put(&mut store, 1, 1, "a", b"object of a");
    put(&mut store, 2, 2, "b", b"object of b");
    put(&mut store, 3, 3, "c", &large(3, 9000));
    store.flush_durable(Lsn(1)).expect("flushed");
    drop(store);
    let db = sled::open(dir.path().join("sled")).expect("opened");
    let (objects, chunks) = (db.open_tree("objects").expect("there"), db.open_tree("chunks").expect("there"));
    let of_b = objects.get(stored_key(2, b"b")).expect("readable").expect("there");
    objects.insert(stored_key(1, b"a"), of_b).expect("swapped");
    let (key, mut piece) = chunks.first().expect("readable").map(|(key, piece)| (key, piece.to_vec())).expect("there");
    piece[100] ^= 1;
    chunks.insert(key, piece).expect("flipped");
    drop((objects, chunks, db));
    let store = open(&dir);
    assert!(store.get(1, b"a").is_err() && store.get(3, b"c").is_err());
    assert_eq!(get(&store, 2, "b").as_deref(), Some(&b"object of b"[..]));
    let page = store.scan(&[], u128::MAX, PageLimits { entries_max: 10, bytes_max: 1 << 20 }).expect("scanned");
    assert_eq!((page.entries.len(), page.unreadable.len()), (1, 2));
}
