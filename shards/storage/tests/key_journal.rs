//! The list of keys beside a sled store: whatever happens to it, or in the middle of what happens, no key that the store
//! has is ever denied.

mod support;

use bytes::Bytes;
use rondo_storage::sorted_store::{SledConfig, SledStore, split_stored_key};
use rondo_storage::{KeyCensus, KeyFilter, Lsn, SortedEntry, SortedStore};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::Dice;

const VNODE_BITS: u8 = 4;
const ROOM: usize = 1 << 20;
/// Tells the child of the crash test which store to write, from which round on, and after how many pieces to die.
const CHILD: &str = "RONDO_TEST_KEY_JOURNAL_CHILD";
const PIECE: usize = 16;
/// Pieces of a checkpoint.
const PIECES: u64 = 12;

struct Entry {
    token: u128,
    routed: Vec<u8>,
    object: Bytes,
    lsn: Lsn,
}

fn open(dir: &Path) -> SledStore {
    SledStore::open(&SledConfig { path: dir.join("sled-0001"), cache_bytes: 8 << 20 }).expect("opened")
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("keys-0001")
}

/// The entries of one checkpoint: some keys are new, some were written in earlier rounds; some objects are long.
fn entries_of(round: u64) -> Vec<Entry> {
    let mut dice = Dice(round);
    let count = PIECES * PIECE as u64;
    let entry = |place: u64| {
        let key = if dice.roll(3) == 0 { dice.roll(round * 40 + 1) } else { round * 40 + dice.roll(400) };
        let bytes = if dice.roll(40) == 0 { 9_000 } else { dice.roll(300) as usize };
        Entry {
            token: u128::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            routed: key.to_le_bytes().to_vec(),
            object: Bytes::from(vec![round as u8; bytes]),
            lsn: Lsn(round * count + place + 1),
        }
    };
    // As in a table: each key once, with its last record.
    let newest: BTreeMap<u128, Entry> = (0..count).map(entry).map(|entry| (entry.token, entry)).collect();
    newest.into_values().collect()
}

fn last_lsn(round: u64) -> Lsn {
    Lsn((round + 1) * PIECES * PIECE as u64)
}

fn apply(store: &mut SledStore, entries: &[Entry]) {
    let entries: Vec<_> = entries
        .iter()
        .map(|Entry { token, routed, object, lsn }| SortedEntry { token: *token, routed, object, lsn: *lsn })
        .collect();
    store.apply(&entries).expect("applied");
}

fn tokens_in(store: &SledStore) -> Vec<u128> {
    let (mut from, mut tokens) = (Some(Vec::new()), Vec::new());
    while let Some(start) = from {
        let page = store.scan_keys(&start, u128::MAX, 500).expect("scanned");
        tokens.extend(page.keys.iter().filter_map(|key| split_stored_key(key)).map(|(token, _)| token));
        from = page.next;
    }
    tokens
}

fn filter_of(store: &SledStore) -> KeyFilter {
    store.key_filter(VNODE_BITS, ROOM).expect("read").expect("sled has none of its own")
}

/// The filter lets in everything that the store has, and the census names exactly that.
fn check(dir: &Path, store: &SledStore) {
    let (filter, tokens) = (filter_of(store), tokens_in(store));
    assert!(tokens.iter().all(|&token| filter.contains(token)), "a key that is there is denied");
    let census = KeyCensus::read(&dir.join("sled-0001"), Lsn(u64::MAX)).expect("read").expect("there");
    assert_eq!((census.tokens(), census.is_exact()), (&tokens[..], true));
}

#[test]
fn the_keys_of_every_checkpoint_are_listed_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path());
    for round in 0..6 {
        apply(&mut store, &entries_of(round));
        store.flush_durable(last_lsn(round)).expect("flushed");
        check(dir.path(), &store);
    }
    let (live, tokens) = (store.sizes().live_bytes, tokens_in(&store).len() as u64);
    drop(store);
    let store = open(dir.path());
    check(dir.path(), &store);
    assert_eq!(store.sizes().live_bytes, live);
    let pages = std::fs::metadata(journal(dir.path())).expect("there").len() / 4096;
    assert!(pages <= tokens / 253 + 6, "{tokens} keys on {pages} pages");
}

#[test]
fn a_journal_that_is_damaged_foreign_or_gone_is_set_aside_and_made_anew() {
    let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for (dir, rounds) in [(&dir, 0..3), (&other, 3..6)] {
        let mut store = open(dir.path());
        for round in rounds {
            apply(&mut store, &entries_of(round));
            store.flush_durable(last_lsn(round)).expect("flushed");
        }
    }
    let whole = std::fs::read(journal(dir.path())).expect("read");
    let mut dice = Dice(11);
    for case in 0..8 {
        let mut bytes = whole.clone();
        match case {
            0 => bytes.truncate(bytes.len() - 4096),
            1 => bytes.clear(),
            2 => bytes = std::fs::read(journal(other.path())).expect("read"),
            _ => bytes[dice.roll(whole.len() as u64) as usize] ^= 1 << dice.roll(8),
        }
        std::fs::write(journal(dir.path()), bytes).expect("written");
        check(dir.path(), &open(dir.path()));
    }
    let aside = std::fs::read_dir(dir.path()).expect("listed").filter(|file| {
        let name = file.as_ref().expect("an entry").file_name();
        rondo_storage::is_set_aside(&name.to_string_lossy())
    });
    assert!(aside.count() >= 1, "what was damaged stays to be looked at");
    std::fs::remove_file(journal(dir.path())).expect("removed");
    check(dir.path(), &open(dir.path()));
}

#[test]
fn a_journal_of_many_small_checkpoints_is_packed_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path());
    for key in 0..400u64 {
        let object = Bytes::from_static(b"object");
        let token = u128::from(key) << 90;
        store.apply(&[SortedEntry { token, routed: b"k", object: &object, lsn: Lsn(key + 1) }]).expect("applied");
        store.flush_durable(Lsn(key + 1)).expect("flushed");
    }
    let bytes = || std::fs::metadata(journal(dir.path())).expect("there").len();
    assert_eq!(bytes(), 400 * 4096);
    for _ in 0..2 {
        drop(store);
        store = open(dir.path());
        check(dir.path(), &store);
        assert_eq!(bytes(), 2 * 4096);
    }
}

/// Dies in the middle of a checkpoint, or of its flush.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return }; // Only a child of the test below does anything here.
    let mut told = told.splitn(3, ' ');
    let mut number = || told.next().and_then(|number| number.parse().ok()).expect("a number");
    let (round, mut pieces_left): (u64, u64) = (number(), number());
    let dir = PathBuf::from(told.next().expect("a directory"));
    let mut store = open(&dir);
    for round in round.. {
        for piece in entries_of(round).chunks(PIECE) {
            if pieces_left == 0 {
                std::process::exit(0);
            }
            pieces_left -= 1;
            apply(&mut store, piece);
        }
        let task = store.flush_task(last_lsn(round));
        if pieces_left == 0 {
            std::thread::spawn(task);
            std::process::exit(0);
        }
        task().expect("flushed");
    }
}

#[test]
fn a_crash_at_any_moment_leaves_no_key_unlisted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut dice, mut round) = (Dice(3), 0);
    for _ in 0..14 {
        let pieces = dice.roll(3 * PIECES);
        let status = Command::new(std::env::current_exe().expect("this test"))
            .args(["child", "--exact"])
            .env(CHILD, format!("{round} {pieces} {}", dir.path().display()))
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.expect("the child ran").success());
        // What was not synced may be lost or garbled in the journal.
        if dice.roll(2) == 0 {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new().append(true).open(journal(dir.path())).expect("there");
            file.write_all(&vec![7; dice.roll(9_000) as usize]).expect("written");
        }
        let mut store = open(dir.path());
        let upto = store.durable_upto().expect("noted");
        store.discard_unfinished(upto).expect("discarded");
        // As the log does: everything behind the note comes again, some of it for the second time.
        let reached = (upto.0 / (PIECES * PIECE as u64)).max(round);
        for again in reached..=reached + 1 {
            let entries: Vec<Entry> = entries_of(again).into_iter().filter(|entry| entry.lsn > upto).collect();
            apply(&mut store, &entries);
        }
        let filter = filter_of(&store);
        assert!(tokens_in(&store).iter().all(|&token| filter.contains(token)), "denied before the flush");
        store.flush_durable(last_lsn(reached + 1)).expect("flushed");
        check(dir.path(), &store);
        drop(store);
        check(dir.path(), &open(dir.path()));
        round = reached + 2;
    }
}
