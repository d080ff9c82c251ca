//! One fault in one file of an LSM store, again and again: it is noticed, or it changes nothing.
//!
//! Two versions of every key lie in the files, so that an old one would be found if the newest were passed over. After each
//! fault every key is read and the store is scanned: the newest object, or word that it cannot be read, and nothing else.
//! What the store lists as lost counts as such word: its shard answers for it.
//! `RONDO_FAULTS` sets the number of faults.

mod engines;

use engines::{Home, large, put};
use rondo_storage::sorted_store::{FileCursor, ScanPage, stored_key};
use rondo_storage::{Engine, Lsn, PageLimits, SortedStore, SortedStoreError, Wounds};
use std::fs;
use std::path::{Path, PathBuf};

const KEYS: u64 = 160;
const FAULTS: u64 = 150;

fn token(key: u64) -> u128 {
    u128::from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64
}

/// Some in tables, some in blob files.
fn object(key: u64, round: u64) -> Vec<u8> {
    large((key + 7 * round) as u8, if key.is_multiple_of(5) { 5000 } else { 300 })
}

/// A merged level and two young tables.
fn prepare() -> Home {
    let home = Home::new(Engine::Lsm);
    let mut store = home.open_lsm();
    for round in 0..6 {
        for key in 0..KEYS {
            put(&mut store, round * KEYS + key + 1, token(key), "key", &object(key, round));
        }
        store.flush_durable(Lsn((round + 1) * KEYS)).expect("flushed");
        if round == 3 {
            store.settle().expect("merged");
        }
    }
    store.settle().expect("merged");
    home
}

fn files_below(root: &Path, under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(under)).expect("a directory") {
        let entry = entry.expect("an entry");
        let path = under.join(entry.file_name());
        if entry.path().is_dir() { files_below(root, &path, found) } else { found.push(path) }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Changes the bytes in one of five ways; what was done. No bytes at all stand for no file.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let at = random.below(bytes.len());
    match random.below(6) {
        5 => {
            bytes.clear();
            "it is gone".to_owned()
        }
        0 => {
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
            format!("zeros from {at} to {end}")
        }
        1 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        2 if bytes.len() > 8192 => {
            let pages = bytes.len() / 4096;
            let (a, b) = (random.below(pages), random.below(pages));
            for offset in 0..4096 {
                bytes.swap(a * 4096 + offset, b * 4096 + offset);
            }
            format!("pages {a} and {b} changed places")
        }
        _ => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit of byte {at}")
        }
    }
}

fn scan_all(store: &dyn SortedStore) -> Vec<ScanPage> {
    let (mut from, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = store.scan(&from, u128::MAX, PageLimits { entries_max: 40, bytes_max: 1 << 20 }).expect("scanned");
        let next = page.next.clone();
        pages.push(page);
        let Some(next) = next else { return pages };
        assert!(next > from, "a scan goes forward");
        from = next;
    }
}

/// Reads everything; the number of keys that cannot be read.
fn check(store: &dyn SortedStore, fault: &str) -> u64 {
    let pages = scan_all(store);
    let (mut hidden, mut lost) = (0, Wounds::default());
    store.losses().into_iter().for_each(|loss| lost.add(loss));
    for key in 0..KEYS {
        let stored_key = stored_key(token(key), b"key");
        let mut entries = pages.iter().flat_map(|page| &page.entries);
        let scanned = entries.find(|entry| entry.token == token(key));
        let is_named = pages.iter().any(|page| {
            let in_gap = |gap: &rondo_storage::sorted_store::KeyGap| {
                gap.from <= stored_key && gap.to.as_ref().is_none_or(|to| stored_key < *to)
            };
            page.unreadable.contains(&stored_key) || page.gaps.iter().any(in_gap)
        });
        let is_lost = lost.hides(token(key), Lsn(0));
        assert!(scanned.is_some() || is_named || is_lost, "{fault}: a scan passes over key {key}");
        if let Some(entry) = scanned.filter(|entry| !lost.hides(token(key), entry.lsn)) {
            assert!(entry.object == object(key, 5), "{fault}: a scan shows something else for key {key}");
        }
        match store.get(token(key), b"key") {
            Ok(Some(stored)) if lost.hides(token(key), stored.lsn) => hidden += 1,
            Ok(None) if is_lost => hidden += 1,
            Ok(Some(stored)) => assert!(stored.object == object(key, 5), "{fault}: something else for key {key}"),
            Ok(None) => panic!("{fault}: key {key} is said to be absent"),
            Err(SortedStoreError::Unreadable { .. }) => hidden += 1,
            Err(error) => panic!("{fault}: {error}"),
        }
    }
    hidden
}

fn damaged_files(store: &dyn SortedStore) -> usize {
    let (mut cursor, mut damaged) = (FileCursor::default(), 0);
    loop {
        let check = store.verify_files(&mut cursor, 1 << 20).expect("checked");
        damaged += check.damaged.len();
        if check.is_done {
            return damaged;
        }
    }
}

#[test]
fn one_fault_in_any_file_is_noticed_or_changes_nothing() {
    let home = prepare();
    let good = home.path();
    let mut files = Vec::new();
    files_below(&good, Path::new(""), &mut files);
    files.sort();
    let faults = std::env::var("RONDO_FAULTS").map_or(FAULTS, |faults| faults.parse().expect("a number"));
    let (mut random, mut amputated, mut mended, mut hiding, mut harmless) = (Random(42), 0, 0, 0, 0);
    for number in 0..faults {
        let spoiled = Home::new(Engine::Lsm);
        for file in &files {
            let to = spoiled.path().join(file);
            fs::create_dir_all(to.parent().expect("a parent")).expect("made");
            fs::copy(good.join(file), to).expect("copied");
        }
        let file = &files[random.below(files.len())];
        let before = fs::read(good.join(file)).expect("readable");
        let mut bytes = before.clone();
        let fault = format!("fault {number} in {}: {}", file.display(), spoil(&mut bytes, &mut random));
        fs::write(spoiled.path().join(file), &bytes).expect("writable");
        if bytes.is_empty() {
            fs::remove_file(spoiled.path().join(file)).expect("removable");
        }
        let store = match spoiled.try_open() {
            Ok(store) => store,
            Err(error) => panic!("{fault}: {error}"),
        };
        assert_eq!(store.durable_upto().expect("a note"), Lsn(6 * KEYS), "{fault}");
        let hidden = check(&*store, &fault);
        // What stands beside the store was replaced; the copy of the version is made anew at each start.
        let is_replaced = fs::read_dir(spoiled.dir.path()).expect("readable").count() > 1;
        let is_mended = is_replaced || bytes.is_empty() || !store.losses().is_empty();
        let is_whole = is_mended || bytes == before || file.ends_with("copy-of-version");
        assert_eq!(damaged_files(&*store) == 0, is_whole, "{fault}: the files are what they are");
        mended += u64::from(is_mended);
        amputated += u64::from(!store.losses().is_empty());
        if hidden > 0 { hiding += 1 } else { harmless += 1 }
    }
    println!("{faults} faults: {hiding} hide keys, {harmless} hide none ({mended} mended, {amputated} with a loss)");
    assert!(hiding > 0 && amputated > 0, "the faults had no effect");
}
