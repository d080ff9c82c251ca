//! What is particular to sled.

mod engines;

use engines::{Home, get, large, put};
use rondo_storage::sorted_store::stored_key;
use rondo_storage::{Engine, Lsn, PageLimits, SortedStore};
use std::fs;

fn home() -> Home {
    Home::new(Engine::Sled)
}

#[test]
fn a_torn_snapshot_does_not_keep_it_shut() {
    let home = home();
    let mut store = home.open_sled();
    put(&mut store, 1, 1, "small", b"object");
    store.flush_durable(Lsn(1)).expect("flushed");
    drop(store);
    fs::write(home.path().join("snap.0000000000000400.generating"), b"half").expect("writable");
    assert_eq!(get(&home.open_sled(), 1, "small").as_deref(), Some(&b"object"[..]));
}

#[test]
fn large_objects_leave_no_files_that_nobody_syncs_and_no_pieces_behind() {
    let home = home();
    let mut store = home.open_sled();
    for lsn in 1..=20 {
        put(&mut store, lsn, 1, "key", &large(lsn as u8, 200_000));
    }
    put(&mut store, 21, 1, "key", b"small again");
    store.flush_durable(Lsn(21)).expect("flushed");
    assert_eq!(blobs(&home), 0);
    drop(store);
    // Opened and closed once more by the store, which waits for the lock that the threads of the last one still hold.
    let chunks = home.open_sled().chunks_stored();
    assert_eq!(chunks, 0);
}

/// Files that sled keeps apart and never syncs.
fn blobs(home: &Home) -> usize {
    fs::read_dir(home.path().join("blobs")).map_or(0, Iterator::count)
}

#[test]
fn neither_the_longest_keys_nor_the_largest_objects_go_into_files_of_their_own() {
    let home = home();
    let mut store = home.open_sled();
    // A leaf of sled holds many keys, and all of it is one record of its log.
    for key in 0..200u64 {
        let routed = format!("{key:03}{}", "k".repeat(4300));
        put(&mut store, key + 1, 7, &routed, &large(key as u8, 4096));
    }
    put(&mut store, 201, 8, "largest", &large(8, 8 << 20));
    put(&mut store, 202, 9, "mebibyte", &large(9, 1 << 20));
    store.flush_durable(Lsn(202)).expect("flushed");
    assert_eq!(blobs(&home), 0);
    assert!(get(&store, 8, "largest") == Some(large(8, 8 << 20)));
}

#[test]
fn pieces_of_a_checkpoint_that_did_not_finish_are_forgotten() {
    let home = home();
    let mut store = home.open_sled();
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
    let home = home();
    let mut store = home.open_sled();
    put(&mut store, 1, 1, "a", b"object of a");
    put(&mut store, 2, 2, "b", b"object of b");
    put(&mut store, 3, 3, "c", &large(3, 9000));
    store.flush_durable(Lsn(3)).expect("flushed");
    drop(store);
    let db = sled::open(home.path()).expect("opened");
    let (objects, chunks) = (db.open_tree("objects").expect("there"), db.open_tree("chunks").expect("there"));
    let of_b = objects.get(stored_key(2, b"b")).expect("readable").expect("there");
    objects.insert(stored_key(1, b"a"), of_b).expect("swapped");
    let (key, mut piece) = chunks.first().expect("readable").map(|(key, piece)| (key, piece.to_vec())).expect("there");
    piece[100] ^= 1;
    chunks.insert(key, piece).expect("flipped");
    drop((objects, chunks, db));
    let store = home.open_sled();
    assert!(store.get(1, b"a").is_err() && store.get(3, b"c").is_err());
    assert_eq!(get(&store, 2, "b").as_deref(), Some(&b"object of b"[..]));
    let page = store.scan(&[], u128::MAX, PageLimits { entries_max: 10, bytes_max: 1 << 20 }).expect("scanned");
    assert_eq!((page.entries.len(), page.unreadable.len()), (1, 2));
}
