//! Killed at any moment, a store opens again and holds at least what its note says.
//!
//! The work is done by a child: this test program once more, told by its environment where to write. It writes records of
//! a fixed history and says after each flush how far it came; the parent kills it in between, looks, and lets the next
//! child go on from the note. `RONDO_CRASH_ROUNDS` sets the rounds.
//!
//! `kill -9` leaves the page cache alone, so this is about half-done work, not about syncs; power cuts are tested apart.

mod engines;

use bytes::Bytes;
use engines::{CACHE_BYTES, Home, large};
use rondo_storage::{Engine, Lsn, SortedEntry, SortedStore, SortedStoreError, StoreConfig, open_store};
use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const KEYS: u64 = 150;
/// Records of one checkpoint.
const CHECKPOINT: u64 = 80;
const ROUNDS: u32 = 6;

/// The record of number `lsn`: key, and object.
fn record(lsn: u64) -> (u64, Bytes) {
    let mix = lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let bytes = match mix % 8 {
        0 => 20_000 + mix as usize % 80_000,
        1 | 2 => 4_000 + mix as usize % 300,
        _ => mix as usize % 1500,
    };
    (mix / 8 % KEYS, Bytes::from(large(lsn as u8, bytes)))
}

fn token(key: u64) -> u128 {
    u128::from(key.wrapping_mul(0xD134_2543_DE82_EF95)) << 64
}

fn open(dir: &Path, engine: Engine) -> Box<dyn SortedStore> {
    open_store(dir, 1, &StoreConfig { engine, cache_bytes: CACHE_BYTES }).expect("opened after a kill")
}

/// The child's work; does nothing in a run of the tests themselves.
#[test]
fn writes_until_it_is_killed() {
    let (Ok(dir), Ok(engine)) = (env::var("RONDO_CRASH_DIR"), env::var("RONDO_CRASH_ENGINE")) else { return };
    let mut store = open(Path::new(&dir), engine.parse().expect("an engine"));
    let mut lsn = store.durable_upto().expect("a note").0;
    store.discard_unfinished(Lsn(lsn)).expect("discarded");
    loop {
        for _ in 0..CHECKPOINT {
            lsn += 1;
            let (key, object) = record(lsn);
            let routed = format!("key-{key}");
            let entry = SortedEntry { token: token(key), routed: routed.as_bytes(), object: &object, lsn: Lsn(lsn) };
            store.apply(&[entry]).expect("applied");
        }
        store.flush_durable(Lsn(lsn)).expect("flushed");
        println!("flushed {lsn}");
    }
}

/// Ends the child, however the test ends.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        // It may have ended by itself; the caller looks at what it said.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(home: &Home) -> (Killed, Receiver<u64>) {
    let mut child = Command::new(env::current_exe().expect("a path"))
        .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
        .env("RONDO_CRASH_DIR", home.dir.path())
        .env("RONDO_CRASH_ENGINE", home.engine.name())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("spawned");
    let (sender, flushed) = channel();
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(lsn) = line.strip_prefix("flushed ")
                && sender.send(lsn.parse::<u64>().expect("a number")).is_err()
            {
                return;
            }
        }
    });
    (Killed(child), flushed)
}

/// Lets a child work for `checkpoints` checkpoints and some microseconds, kills it, and says how far it told it came.
fn work_and_kill(home: &Home, checkpoints: u32, micros: u64) -> u64 {
    let (mut child, flushed) = spawn(home);
    let mut told = 0;
    for _ in 0..checkpoints {
        told = flushed.recv_timeout(Duration::from_secs(60)).expect("a checkpoint within a minute");
    }
    // Any moment within the next checkpoint or merge will do.
    if let Ok(more) = flushed.recv_timeout(Duration::from_micros(micros)) {
        told = more;
    }
    child.kill();
    flushed.iter().last().unwrap_or(told)
}

/// Every key holds its newest record up to the note, or a later one that was on its way; true if some are on their way.
fn check(home: &Home, told: u64) -> bool {
    let store = open(home.dir.path(), home.engine);
    let upto = store.durable_upto().expect("a note").0;
    assert!(told <= upto && upto <= told + CHECKPOINT, "told {told}, but the store's note is {upto}");
    let newest: HashMap<u64, u64> = (1..=upto).map(|lsn| (record(lsn).0, lsn)).collect();
    let coming: Vec<u64> = (upto + 1..=upto + CHECKPOINT).collect();
    let mut is_some_coming = false;
    for key in 0..KEYS {
        let is_coming = |lsn: u64| coming.contains(&lsn) && record(lsn).0 == key;
        match store.get(token(key), format!("key-{key}").as_bytes()) {
            Ok(Some(stored)) => {
                let lsn = stored.lsn.0;
                assert!(stored.object == record(lsn).1, "key {key}: not the object of record {lsn}");
                assert!(
                    newest.get(&key) == Some(&lsn) || is_coming(lsn),
                    "key {key}: record {lsn} is old; upto {upto}"
                );
                is_some_coming |= is_coming(lsn);
            }
            Ok(None) => assert!(!newest.contains_key(&key), "{}: key {key} is lost; upto {upto}", home.engine),
            // The pieces of a long object that was on its way; its record comes again from the log.
            Err(SortedStoreError::Unreadable { .. }) => {
                assert!(coming.iter().any(|&lsn| is_coming(lsn)), "key {key} is unreadable");
                is_some_coming = true;
            }
            Err(error) => panic!("{error}"),
        }
    }
    is_some_coming
}

fn kill_again_and_again(engine: Engine) {
    let home = Home::new(engine);
    let rounds = env::var("RONDO_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let mut moments = 0x1234_5678_9ABC_DEF0_u64 ^ u64::from(std::process::id());
    let mut last = 0;
    for round in 0..rounds {
        moments = moments.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let told = work_and_kill(&home, 1 + (moments >> 60) as u32 % 6, (moments >> 33) % 40_000);
        assert!(told > last, "round {round}: no progress");
        last = told;
        let is_some_coming = check(&home, told);
        println!("round {round}: flushed {told}, something more on its way: {is_some_coming}");
    }
}

#[test]
fn sled_killed_at_any_moment_holds_what_it_flushed() {
    kill_again_and_again(Engine::Sled);
}

#[test]
fn lsm_killed_at_any_moment_holds_what_it_flushed() {
    kill_again_and_again(Engine::Lsm);
}
