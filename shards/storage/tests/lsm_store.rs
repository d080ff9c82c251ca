//! What is particular to the LSM tree.

mod engines;

use engines::{CACHE_BYTES, Home, get, large, put};
use rondo_storage::sorted_store::FileCursor;
use rondo_storage::{Engine, FailureKind, LsmStore, Lsn, PageLimits, SortedStore, SortedStoreError};
use std::fs;
use std::path::{Path, PathBuf};

const KEYS: u64 = 400;

fn home() -> Home {
    Home::new(Engine::Lsm)
}

/// Spread over the ring, as tokens are.
fn token(key: u64) -> u128 {
    u128::from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64
}

/// Writes all keys once in a round and flushes.
fn round(store: &mut LsmStore, round: u64, bytes: usize) {
    for key in 0..KEYS {
        put(store, round * KEYS + key + 1, token(key), "key", &large((round * 31 + key) as u8, bytes));
    }
    store.flush_durable(Lsn((round + 1) * KEYS)).expect("flushed");
}

fn files_in(home: &Home, directory: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(home.path().join(directory)).expect("a directory");
    files.map(|file| file.expect("an entry").path()).collect()
}

#[test]
fn merging_keeps_the_newest_and_gives_back_the_room_of_the_others() {
    for bytes in [1000, 10_000] {
        let home = home();
        let mut store = home.open_lsm();
        for number in 0..12 {
            round(&mut store, number, bytes);
        }
        store.settle().expect("merged");
        let check = |store: &LsmStore| {
            for key in 0..KEYS {
                assert_eq!(get(store, token(key), "key"), Some(large((11 * 31 + key) as u8, bytes)), "key {key}");
            }
        };
        check(&store);
        let (sizes, live) = (store.sizes(), KEYS * bytes as u64);
        // Three checkpoints in level 0; a blob file that nothing refers to any more goes with the next merge but one.
        assert!(sizes.disk_bytes < 9 * live, "{sizes:?}, {:?}", store.shape());
        assert!(sizes.written_bytes_total > 12 * live, "{sizes:?}");
        drop(store);
        check(&home.open_lsm());
    }
}

#[test]
fn an_absent_key_reads_no_block() {
    let home = home();
    let mut store = home.open_lsm();
    round(&mut store, 0, 1000);
    drop(store);
    let store = home.open_lsm();
    let before = store.sizes().memory_bytes;
    let absent = (0..1000u64).filter(|key| get(&store, token(1_000_000 + key), "key").is_none()).count();
    assert_eq!(absent, 1000);
    // Each block that is read goes into the cache. One key in a thousand may be taken for one that is there.
    let blocks = (store.sizes().memory_bytes - before) / 4096;
    assert!(blocks <= 12, "{blocks} blocks were read for a thousand keys that are not there");
    assert!(store.sizes().filter_bytes >= KEYS * 14 / 8, "the filters are in memory: {:?}", store.sizes());
}

#[test]
fn a_damaged_table_hides_its_keys_and_never_shows_older_ones() {
    let home = home();
    let mut store = home.open_lsm();
    round(&mut store, 0, 1000);
    round(&mut store, 1, 1000);
    drop(store);
    let newest = files_in(&home, "tables").into_iter().max().expect("two tables");
    let mut bytes = fs::read(&newest).expect("readable");
    for at in [10_000, 100_000] {
        bytes[at] ^= 4;
    }
    fs::write(&newest, bytes).expect("writable");
    let store = home.open_lsm();
    let (mut readable, mut hidden) = (0, 0);
    for key in 0..KEYS {
        match store.get(token(key), b"key") {
            Ok(Some(stored)) => {
                assert_eq!(stored.object, large((31 + key) as u8, 1000), "the newest or none");
                readable += 1;
            }
            Ok(None) => panic!("key {key} is there"),
            Err(SortedStoreError::Unreadable { .. }) => hidden += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!((2..=20).contains(&hidden), "{hidden} hidden, {readable} readable");

    let (mut from, mut scanned, mut gaps) = (Vec::new(), 0, Vec::new());
    loop {
        let page = store.scan(&from, u128::MAX, PageLimits { entries_max: 50, bytes_max: 1 << 20 }).expect("scanned");
        for entry in &page.entries {
            let key = (0..KEYS).find(|key| token(*key) == entry.token).expect("one of ours");
            assert_eq!(entry.object, large((31 + key) as u8, 1000));
        }
        scanned += page.entries.len();
        gaps.extend(page.gaps);
        let Some(next) = page.next else { break };
        from = next;
    }
    assert_eq!((scanned, gaps.len()), (readable, 2), "a scan sees what a get sees: {gaps:?}");
    let keys = store.scan_keys(&[], u128::MAX, 1000).expect("scanned");
    assert_eq!((keys.keys.len(), keys.gaps.len()), (readable, 2));

    let (mut cursor, mut damaged) = (FileCursor::default(), Vec::new());
    loop {
        let check = store.verify_files(&mut cursor, 50_000).expect("checked");
        damaged.extend(check.damaged);
        if check.is_done {
            break;
        }
    }
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(newest.ends_with(&damaged[0].0), "{damaged:?}");
}

#[test]
fn a_merge_that_meets_damage_is_told_by_the_next_flush() {
    let home = home();
    let mut store = home.open_lsm();
    round(&mut store, 0, 1000);
    drop(store);
    let table = files_in(&home, "tables").pop().expect("a table");
    let mut bytes = fs::read(&table).expect("readable");
    bytes[50_000] ^= 1;
    fs::write(&table, bytes).expect("writable");
    let mut store = home.open_lsm();
    for number in 1..6 {
        for key in 0..KEYS {
            put(&mut store, number * KEYS + key + 1, token(key), "key", b"newer");
        }
        match store.flush_durable(Lsn((number + 1) * KEYS)) {
            Ok(()) => {}
            Err(SortedStoreError::Failed { kind: FailureKind::Damaged, .. }) => return,
            Err(error) => panic!("{error}"),
        }
        if store.settle().is_err() {
            let told = store.flush_durable(Lsn((number + 1) * KEYS)).expect_err("told");
            assert!(matches!(told, SortedStoreError::Failed { kind: FailureKind::Damaged, .. }), "{told}");
            return;
        }
    }
    panic!("nobody met the damage");
}

/// Everything in the directory of the store, to be put back.
fn copy_of(home: &Home, directory: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files_in(home, directory).into_iter().filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
}

/// Copies the store to another home, with other bytes in one file.
fn spoiled(home: &Home, file: &Path, bytes: &[u8]) -> Home {
    let other = Home::new(Engine::Lsm);
    for directory in ["", "tables", "blobs"] {
        fs::create_dir_all(other.path().join(directory)).expect("made");
        for (path, content) in copy_of(home, directory) {
            let content = if path == file { bytes } else { &content };
            fs::write(other.path().join(path.strip_prefix(home.path()).expect("inside")), content).expect("written");
        }
    }
    other
}

#[test]
fn the_smallest_files_are_checked_before_they_are_believed_and_restored_from_their_copy() {
    let home = home();
    let mut store = home.open_lsm();
    round(&mut store, 0, 500);
    drop(store);
    let is_version = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('v'));
    let version = files_in(&home, "").into_iter().find(is_version).expect("a version");
    let (current, copy) = (home.path().join("current"), home.path().join("copy-of-version"));
    for file in [&current, &version, &copy] {
        let good = fs::read(file).expect("readable");
        for at in (0..good.len()).step_by(17) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            let spoiled = spoiled(&home, file, &bad);
            assert_eq!(get(&*spoiled.open(), token(3), "key"), Some(large(3, 500)), "byte {at} of {}", file.display());
            let aside = fs::read_dir(spoiled.dir.path()).expect("readable").count() - 1;
            assert_eq!(
                aside > 0,
                *file != copy,
                "byte {at} of {}: what was damaged stays to be looked at",
                file.display()
            );
            drop(spoiled.open());
        }
    }
    let mut bad = fs::read(&current).expect("readable");
    bad[9] ^= 1;
    let without_copy = spoiled(&home, &current, &bad);
    fs::remove_file(without_copy.path().join("copy-of-version")).expect("removable");
    let error = without_copy.try_open().err().expect("two faults keep it shut");
    assert!(matches!(error, SortedStoreError::Failed { kind: FailureKind::Damaged, .. }), "{error}");
    assert_eq!(files_in(&without_copy, "tables").len(), 1, "nothing was removed meanwhile");
    fs::remove_file(without_copy.path().join("current")).expect("removable");
    assert!(without_copy.try_open().is_err(), "tables without `current` are no fresh store");
}

#[test]
fn a_table_that_cannot_be_opened_is_written_anew_without_a_loss() {
    let home = home();
    let mut store = home.open_lsm();
    for number in 0..6 {
        for key in 0..KEYS {
            let bytes = if key % 7 == 0 { 6000 } else { 400 };
            put(&mut store, number * KEYS + key + 1, token(key), "key", &large((number + key) as u8, bytes));
        }
        store.flush_durable(Lsn((number + 1) * KEYS)).expect("flushed");
        store.settle().expect("merged");
    }
    assert!(store.shape().0[6] > 0 && store.shape().0[0] > 0, "a packed table and young ones: {:?}", store.shape());
    drop(store);
    let mut mended = 0;
    for table in files_in(&home, "tables") {
        let good = fs::read(&table).expect("readable");
        // Behind the data lie index, filter, description, table of contents and trailer.
        for at in (1..24).map(|step| good.len() - step * 103).filter(|at| *at > good.len() * 9 / 10) {
            let mut bad = good.clone();
            bad[at] ^= 8;
            let spoiled = spoiled(&home, &table, &bad);
            let mut store = spoiled.open();
            for key in 0..KEYS {
                let bytes = if key % 7 == 0 { 6000 } else { 400 };
                assert_eq!(get(&*store, token(key), "key"), Some(large((5 + key) as u8, bytes)), "byte {at}");
            }
            mended += fs::read_dir(spoiled.dir.path()).expect("readable").count() - 1;
            assert_eq!(store.durable_upto().expect("a note"), Lsn(6 * KEYS));
            put(&mut *store, 6 * KEYS + 1, token(1), "key", b"newer");
            store.flush_durable(Lsn(6 * KEYS + 1)).expect("goes on");
            drop(store);
            assert_eq!(get(&*spoiled.open(), token(1), "key").as_deref(), Some(&b"newer"[..]));
        }
    }
    assert!(mended > 8, "{mended} tables were mended");
}

#[test]
fn of_a_blob_file_that_is_cut_off_or_gone_only_its_own_objects_are_unreadable() {
    let home = home();
    let mut store = home.open_lsm();
    for key in 0..40 {
        put(&mut store, key + 1, token(key), "key", &large(key as u8, if key % 2 == 0 { 6000 } else { 400 }));
    }
    store.flush_durable(Lsn(40)).expect("flushed");
    drop(store);
    let blobs = files_in(&home, "blobs").pop().expect("a blob file");
    let good = fs::read(&blobs).expect("readable");
    let mut without_description = good.clone();
    *without_description.last_mut().expect("not empty") ^= 1;
    for (bytes, readable) in [(&without_description[..], 40), (&good[..good.len() / 2], 30), (&[], 20)] {
        let spoiled = spoiled(&home, &blobs, bytes);
        if bytes.is_empty() {
            fs::remove_file(spoiled.path().join("blobs").join(blobs.file_name().expect("a name"))).expect("removable");
        }
        let store = spoiled.open();
        let found = (0..40).filter(|&key| match store.get(token(key), b"key") {
            Ok(found) => {
                let object = large(key as u8, if key % 2 == 0 { 6000 } else { 400 });
                found.expect("there").object == object
            }
            Err(SortedStoreError::Unreadable { .. }) => false,
            Err(error) => panic!("{error}"),
        });
        assert_eq!(found.count(), readable, "{} bytes are left", bytes.len());
        let page = store.scan(&[], u128::MAX, PageLimits { entries_max: 100, bytes_max: 1 << 20 }).expect("scanned");
        assert_eq!((page.entries.len(), page.unreadable.len()), (readable, 40 - readable));
        drop(store);
        drop(spoiled.open());
    }
}

#[test]
fn a_flush_that_fails_leaves_nothing_behind_and_the_next_one_makes_up_for_it() {
    let home = home();
    let mut store = home.open_lsm();
    round(&mut store, 0, 10_000);
    let blobs = home.path().join("blobs");
    fs::rename(&blobs, home.path().join("elsewhere")).expect("renamed");
    for key in 0..KEYS {
        put(&mut store, KEYS + key + 1, token(key), "key", &large(key as u8, 9_000));
    }
    let error = store.flush_durable(Lsn(2 * KEYS)).expect_err("no directory for blob files");
    assert!(matches!(error, SortedStoreError::Failed { kind: FailureKind::Io, .. }), "{error}");
    assert_eq!(files_in(&home, "tables").len(), 1, "what was begun is removed");
    assert_eq!(get(&store, token(3), "key"), Some(large(3, 9_000)), "what was applied is still read");
    fs::rename(home.path().join("elsewhere"), &blobs).expect("renamed");
    assert_eq!(store.durable_upto().expect("a note"), Lsn(KEYS), "nothing more is durable");
    put(&mut store, 2 * KEYS + 1, token(4), "key", b"later");
    store.flush_durable(Lsn(2 * KEYS + 1)).expect("flushed");
    drop(store);
    let store = home.open_lsm();
    assert_eq!(get(&store, token(3), "key"), Some(large(3, 9_000)));
    assert_eq!(get(&store, token(4), "key").as_deref(), Some(&b"later"[..]));
}

#[test]
fn what_a_crash_left_behind_is_removed() {
    let home = home();
    let mut store = home.open_lsm();
    round(&mut store, 0, 10_000);
    drop(store);
    for leftover in ["tables/77", "blobs/77", "v77", ".tmpXYZ"] {
        fs::write(home.path().join(leftover), b"half").expect("writable");
    }
    let store = home.open_lsm();
    assert_eq!((files_in(&home, "tables").len(), files_in(&home, "blobs").len()), (1, 1));
    assert!(!home.path().join("v77").exists() && !home.path().join(".tmpXYZ").exists());
    assert_eq!(get(&store, token(3), "key"), Some(large(3, 10_000)));
    assert!(store.sizes().memory_bytes < 2 * CACHE_BYTES);
}
