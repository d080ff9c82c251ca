//! What every sorted store promises, told once and checked for each of them.

mod engines;

use engines::{Home, all_entries, get, large, put};
use rondo_storage::sorted_store::stored_key;
use rondo_storage::{Engine, Lsn, MemorySortedStore, PageLimits, SortedStore};

const PAGE_OF_TWO: PageLimits = PageLimits { entries_max: 2, bytes_max: 1 << 20 };

/// Runs one story on each engine, and on the one in memory.
fn on_each_store(story: fn(&mut dyn SortedStore)) {
    story(&mut MemorySortedStore::new());
    on_each_engine(|home| story(&mut *home.open()));
}

/// Runs one story on each engine that has a directory.
fn on_each_engine(story: impl Fn(&Home)) {
    for engine in Engine::ALL {
        story(&Home::new(engine));
    }
}

#[test]
fn the_last_object_of_a_key_is_the_one_that_is_found() {
    on_each_store(|store| {
        put(store, 1, 7, "a", b"one");
        put(store, 2, 7, "b", b"two");
        put(store, 3, 7, "a", b"three");
        assert_eq!(get(store, 7, "a").as_deref(), Some(&b"three"[..]));
        assert_eq!(get(store, 7, "b").as_deref(), Some(&b"two"[..]));
        assert_eq!((get(store, 7, "c"), get(store, 8, "a")), (None, None));
        let stored = store.get(7, b"a").expect("readable").expect("there");
        assert_eq!(stored.lsn, Lsn(3), "an object remembers its record");
    });
}

#[test]
fn objects_of_every_size_replace_each_other_over_flushes_too() {
    on_each_store(|store| {
        let sizes = [0, 1, 4095, 4096, 4097, 8192, 100_000, 1 << 20, 10, 8 << 20, 5000, 3];
        for (lsn, bytes) in sizes.into_iter().enumerate() {
            let (lsn, object) = (lsn as u64 + 1, large(lsn as u8, bytes));
            put(store, lsn, 1, "key", &object);
            put(store, lsn, 1, "key", &object); // A repeated checkpoint.
            assert!(get(store, 1, "key").as_ref() == Some(&object), "{bytes} bytes");
            if lsn % 3 == 0 {
                store.flush_durable(Lsn(lsn)).expect("flushed");
                assert!(get(store, 1, "key") == Some(object), "{bytes} bytes, flushed");
            }
        }
    });
}

#[test]
fn a_scan_goes_in_ring_order_page_by_page_and_stops_at_its_last_token() {
    on_each_store(|store| {
        for token in [9u128, 3, u128::MAX, 1, 4] {
            put(store, 1, token, "x", &token.to_le_bytes());
            put(store, 2, token, "y", &large(1, 9000));
            store.flush_durable(Lsn(2)).expect("flushed");
        }
        let (mut from, mut seen) = (stored_key(3, b""), Vec::new());
        loop {
            let page = store.scan(&from, 9, PAGE_OF_TWO).expect("scanned");
            assert!(page.entries.len() <= 2 && page.unreadable.is_empty() && page.gaps.is_empty());
            seen.extend(page.entries.into_iter().map(|entry| (entry.token, entry.routed[0], entry.object.len())));
            let Some(next) = page.next else { break };
            from = next;
        }
        let expected = [3, 4, 9].map(|token| [(token, b'x', 16), (token, b'y', 9000)]).concat();
        assert_eq!(seen, expected);
        assert_eq!(all_entries(store).len(), 10, "nothing but what was put, whatever the store notes for itself");
        let keys = store.scan_keys(&[], u128::MAX, 3).expect("scanned");
        assert_eq!((keys.keys.len(), keys.next), (3, Some(stored_key(3, b"y"))));
    });
}

#[test]
fn reads_go_on_while_a_flush_is_under_way() {
    on_each_engine(|home| {
        let mut store = home.open();
        for key in 0..500u64 {
            put(&mut *store, key + 1, u128::from(key), "key", &large(key as u8, 2000));
        }
        let flush = store.flush_task(Lsn(500));
        let flushing = std::thread::spawn(flush);
        let mut reads = 0u64;
        while !flushing.is_finished() || reads < 500 {
            let key = reads % 500;
            assert_eq!(get(&*store, u128::from(key), "key"), Some(large(key as u8, 2000)), "{}", home.engine);
            reads += 1;
        }
        flushing.join().expect("no panic").expect("flushed");
        assert_eq!(store.durable_upto().expect("a note"), Lsn(500));
    });
}

#[test]
fn what_was_flushed_is_there_after_a_restart_with_its_note() {
    on_each_engine(|home| {
        let mut store = home.open();
        assert_eq!(store.durable_upto().expect("readable"), Lsn(0));
        put(&mut *store, 1, 1, "small", b"object");
        put(&mut *store, 2, 2, "large", &large(9, 300_000));
        store.flush_durable(Lsn(2)).expect("flushed");
        drop(store);
        let store = home.open();
        assert_eq!(store.durable_upto().expect("readable"), Lsn(2), "{}", home.engine);
        assert_eq!(get(&*store, 1, "small").as_deref(), Some(&b"object"[..]));
        assert!(get(&*store, 2, "large") == Some(large(9, 300_000)));
    });
}

#[test]
fn a_store_weighs_what_it_holds_and_says_what_it_wrote() {
    on_each_engine(|home| {
        let mut store = home.open();
        for key in 0..200u64 {
            put(&mut *store, key + 1, u128::from(key), "key", &large(key as u8, 10_000));
        }
        store.flush_durable(Lsn(200)).expect("flushed");
        let sizes = store.sizes();
        assert!(sizes.disk_bytes >= 2_000_000, "{}: {sizes:?}", home.engine);
        assert!(sizes.live_bytes == 0 || sizes.live_bytes >= 1_900_000, "{}: {sizes:?}", home.engine);
    });
}
