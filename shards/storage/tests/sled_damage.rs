//! Rotten pages in a real sled file, again and again: what can be read is found by a scan, what cannot is named, and nothing
//! else is lost. `RONDO_FAULTS` sets the number of faults.

mod engines;

use engines::{Home, large, put};
use rondo_storage::sorted_store::{ScanPage, stored_key};
use rondo_storage::{Engine, FailureKind, Lsn, PageLimits, SortedStore, SortedStoreError, Wounds};
use std::fs;

const KEYS: u64 = 2_000;
const FAULTS: u64 = 40;
/// Keys that a scan may pass over though they can be read: those that share their token's place with the end of a gap.
const PASSED_OVER_MAX: usize = 4;

fn token(key: u64) -> u128 {
    u128::from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64
}

fn object(key: u64, round: u64) -> Vec<u8> {
    large((key + 7 * round) as u8, if key.is_multiple_of(50) { 9_000 } else { 300 })
}

/// Every key in two versions, as they come with two checkpoints each. Left cleanly, sled has a snapshot of where its pages lie;
/// otherwise it reads its log from the start.
fn prepare(is_left_cleanly: bool) -> Home {
    let home = Home::new(Engine::Sled);
    let mut store = home.open_sled();
    for round in 0..4 {
        for key in (0..KEYS).filter(|key| key % 2 == round % 2) {
            put(&mut store, round * KEYS + key + 1, token(key), "key", &object(key, round / 2));
        }
        store.flush_durable(Lsn((round + 1) * KEYS)).expect("flushed");
    }
    if is_left_cleanly {
        drop(store);
        drop(home.open_sled());
    } else {
        // A killed process tidies nothing up.
        std::mem::forget(store);
    }
    home
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn scan_all(store: &dyn SortedStore) -> Vec<ScanPage> {
    let (mut from, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = store.scan(&from, u128::MAX, PageLimits { entries_max: 100, bytes_max: 1 << 20 }).expect("scanned");
        let next = page.next.clone();
        pages.push(page);
        let Some(next) = next else { return pages };
        assert!(next > from, "a scan goes forward");
        from = next;
    }
}

/// Keys that cannot be read, and keys in gaps that can.
fn check(store: &dyn SortedStore, fault: &str) -> (usize, usize) {
    let pages = scan_all(store);
    let (mut unreadable, mut passed_over, mut lost) = (0, 0, Wounds::default());
    store.losses().into_iter().for_each(|loss| lost.add(loss));
    for key in 0..KEYS {
        let stored_key = stored_key(token(key), b"key");
        let is_named = pages.iter().any(|page| {
            let in_gap = |gap: &rondo_storage::sorted_store::KeyGap| {
                gap.from <= stored_key && gap.to.as_ref().is_none_or(|to| stored_key < *to)
            };
            page.unreadable.contains(&stored_key) || page.gaps.iter().any(in_gap)
        });
        let scanned = pages.iter().flat_map(|page| &page.entries).find(|entry| entry.token == token(key));
        let is_lost = lost.hides(token(key), Lsn(0));
        assert!(scanned.is_some() || is_named || is_lost, "{fault}: a scan passes over key {key}");
        let shown = scanned.filter(|entry| !lost.hides(token(key), entry.lsn));
        assert!(shown.is_none_or(|entry| entry.object == object(key, 1)), "{fault}: another object of key {key}");
        match store.get(token(key), b"key") {
            Ok(Some(stored)) if lost.hides(token(key), stored.lsn) => unreadable += 1,
            Ok(None) if is_lost => unreadable += 1,
            Ok(Some(stored)) => {
                assert!(stored.object == object(key, 1), "{fault}: another object of key {key}");
                passed_over += usize::from(scanned.is_none());
            }
            Ok(None) => panic!("{fault}: key {key} is said to be absent"),
            Err(SortedStoreError::Unreadable { .. }) => unreadable += 1,
            Err(error) => panic!("{fault}: {error}"),
        }
    }
    (unreadable, passed_over)
}

fn goes_on_behind_rot(is_left_cleanly: bool) {
    let home = prepare(is_left_cleanly);
    let faults = std::env::var("RONDO_FAULTS").map_or(FAULTS, |faults| faults.parse().expect("a number"));
    let (mut random, mut shut, mut hiding, mut hidden) = (Random(7), 0, 0, 0);
    for number in 0..faults {
        let spoiled = Home::new(Engine::Sled);
        for entry in fs::read_dir(home.dir.path()).expect("readable") {
            let entry = entry.expect("an entry");
            let to = spoiled.dir.path().join(entry.file_name());
            if entry.path().is_file() {
                fs::copy(entry.path(), to).expect("copied");
                continue;
            }
            fs::create_dir_all(&to).expect("made");
            for file in fs::read_dir(entry.path()).expect("readable") {
                let file = file.expect("an entry").path();
                if file.is_file() {
                    fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copied");
                }
            }
        }
        let db = spoiled.path().join("db");
        let mut bytes = fs::read(&db).expect("readable");
        let at = loop {
            let at = random.below(bytes.len());
            if bytes[at] != 0 {
                break at;
            }
        };
        bytes[at] ^= 1 << random.below(8);
        fs::write(&db, bytes).expect("writable");
        let fault = format!("fault {number}: a bit of byte {at}");
        let store = match spoiled.try_open() {
            Ok(store) => store,
            Err(SortedStoreError::Failed { kind: FailureKind::Damaged, .. }) => {
                shut += 1;
                continue;
            }
            Err(error) => panic!("{fault}: {error}"),
        };
        if store.durable_upto().is_ok_and(|upto| upto < Lsn(4 * KEYS)) {
            shut += 1;
            continue;
        }
        let (unreadable, passed_over) = check(&*store, &fault);
        assert!(passed_over <= PASSED_OVER_MAX, "{fault}: {passed_over} keys can be read and were not scanned");
        hiding += u64::from(unreadable > 0);
        hidden += unreadable;
    }
    println!("{faults} faults: {shut} keep the store shut, {hiding} hide {hidden} keys");
    assert!(hiding + shut > 0, "no fault had an effect");
}

#[test]
fn a_scan_goes_on_behind_pages_that_have_rotted() {
    goes_on_behind_rot(true);
}

#[test]
fn what_has_rotted_since_the_last_start_brings_up_no_older_version() {
    goes_on_behind_rot(false);
}
