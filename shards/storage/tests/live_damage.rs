//! A store whose files are damaged under its running shard: what can be read is read, what cannot is said to be lost, and
//! writes go on.

mod engines;

use bytes::Bytes;
use core::time::Duration;
use engines::large;
use rondo_storage::{
    ColdFound, ColdRead, Companion, CompanionAnswer, CompanionRequest, Delivery, Engine, FailureKind, LogRecord,
    Lookup, LossesNoted, Manifest, OpenOptions, OpenShard, ShardReopener, ShardStore, StdDisk, StoreConfig,
    StoreLimits, WalLimits, WalWriter, finish_checkpoint, open_shard, run_ready,
};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const KEYS: u64 = 6_000;
/// Longest wait for an answer; a healthy companion gives it in milliseconds.
const WITHIN: Duration = Duration::from_secs(60);

fn options(engine: Engine) -> OpenOptions {
    OpenOptions {
        shard: 0,
        salt: 77,
        unix_seconds: 1_800_000_000,
        vnode_bits: 4,
        limits: StoreLimits { cache_bytes_max: 16 << 10, ..StoreLimits::default() },
        wal: WalLimits { segment_bytes: 16 << 20, reserve_bytes: 0 },
        // The least that the engines take: what is read must come from the files.
        store: StoreConfig { engine, cache_bytes: 256 << 10 },
    }
}

fn token(key: u64) -> u128 {
    u128::from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64
}

fn object(key: u64, version: u8) -> Bytes {
    [vec![version], large((key % 251) as u8, 700)].concat().into()
}

/// A shard with its companion, driven by hand.
struct Shard {
    store: ShardStore,
    writer: WalWriter<StdDisk>,
    manifest: Manifest,
    companion: Companion,
    downs: u32,
    is_down: bool,
}

impl Shard {
    fn open(dir: &Path, engine: Engine) -> Shard {
        let options = options(engine);
        let OpenShard { recovered, sorted, generation } = open_shard(dir, &options).expect("opened");
        let writer = WalWriter::resume(StdDisk::open(dir).expect("a disk"), recovered.position, options.wal);
        let reopener = Box::new(ShardReopener::new(dir, options.store, options.vnode_bits));
        let companion = Companion::spawn("companion".to_owned(), sorted, generation, None, reopener).expect("a thread");
        let (store, manifest) = (recovered.store, recovered.manifest);
        Shard { store, writer, manifest, companion, downs: 0, is_down: false }
    }

    fn put(&mut self, keys: impl Iterator<Item = u64>, version: u8) {
        for key in keys {
            let (lsn, routed) = (self.store.last_lsn().next(), format!("key-{key}"));
            let (token, routed) = (token(key), routed.as_bytes());
            self.store.append(lsn, LogRecord::Object { token, routed, object: object(key, version) });
        }
        while let Some(batch) = self.store.take_batch() {
            let upto = run_ready(self.writer.write(batch)).expect("written");
            self.store.committed(upto);
        }
    }

    /// Begins a checkpoint and waits for its end, however often the store is opened again meanwhile.
    fn checkpoint(&mut self) {
        let frozen = self.store.freeze().expect("all durable");
        self.companion.ask(CompanionRequest::Checkpoint(frozen)).expect("room");
        let before = self.store.stats().checkpoints_total;
        while self.store.stats().checkpoints_total == before {
            self.take_next();
        }
    }

    fn take_next(&mut self) -> Option<ColdFound> {
        match self.companion.answers().recv_timeout(WITHIN).expect("an answer") {
            CompanionAnswer::Got(mut answers) => answers.pop().map(|answer| answer.found),
            CompanionAnswer::Applied { table, generation } => {
                run_ready(finish_checkpoint(&mut self.writer, &mut self.manifest, &table, generation)).expect("noted");
                let upto = table.last_lsn();
                drop(table);
                self.store.checkpointed(upto);
                None
            }
            CompanionAnswer::Down { kind, .. } => {
                assert_eq!(kind, FailureKind::Damaged);
                (self.downs, self.is_down) = (self.downs + 1, true);
                None
            }
            CompanionAnswer::Reopened { wounds, .. } => {
                self.is_down = false;
                self.store.add_wounds(wounds);
                run_ready(self.store.wounds().note(self.writer.disk(), &mut self.manifest)).expect("noted");
                self.companion.ask(CompanionRequest::Run(Box::new(LossesNoted))).expect("room");
                None
            }
            other => panic!("{other:?}"),
        }
    }

    /// Version of a key, 0 if it is absent; `None` if it is unreadable.
    fn look(&mut self, key: u64) -> Option<u8> {
        let (token, routed) = (token(key), Bytes::from(format!("key-{key}")));
        let delivery = match self.store.lookup(token, &routed) {
            Lookup::Hit { object, lsn } => Delivery::Object { object, lsn },
            Lookup::Absent => Delivery::Absent,
            Lookup::Unreadable => Delivery::Unreadable,
            Lookup::Cold => {
                let read = ColdRead { tag: 0, token, routed: routed.clone() };
                self.companion.ask(CompanionRequest::Get(vec![read])).expect("room");
                let found = loop {
                    if let Some(found) = self.take_next() {
                        break found;
                    }
                };
                self.store.loaded(token, &routed, found)
            }
        };
        match delivery {
            Delivery::Object { object, .. } => {
                assert_eq!(object, self::object(key, object[0]), "key {key}");
                Some(object[0])
            }
            Delivery::Absent => Some(0),
            Delivery::Unreadable => None,
        }
    }

    /// All keys: how many have that version, and how many are unreadable. Nothing else is allowed.
    fn survey(&mut self, version: impl Fn(u64) -> u8) -> (u64, u64) {
        // What the last checkpoint wrote is in memory until the next one.
        self.put(KEYS..KEYS + 1, 1);
        self.checkpoint();
        let (mut right, mut lost) = (0, 0);
        for key in 0..KEYS {
            match self.look(key) {
                Some(found) if found == version(key) => right += 1,
                None => lost += 1,
                Some(found) => panic!("key {key} has version {found}, not {}", version(key)),
            }
        }
        (right, lost)
    }

    fn stop(self) {
        self.companion.ask(CompanionRequest::Stop).expect("room");
        loop {
            match self.companion.answers().recv_timeout(WITHIN).expect("an answer") {
                CompanionAnswer::Stopped => break,
                _ => continue,
            }
        }
        while !self.companion.has_ended() {
            std::thread::yield_now();
        }
    }
}

/// The file with the objects.
fn largest_file(dir: &Path, engine: Engine) -> PathBuf {
    let inside = match engine {
        Engine::Sled => dir.join("sled-0001"),
        Engine::Lsm => dir.join("lsm-0001/tables"),
    };
    let files = fs::read_dir(inside).expect("a store").map(|file| file.expect("listed").path());
    files.max_by_key(|file| fs::metadata(file).map_or(0, |file| file.len())).expect("a file")
}

/// Flips a bit of every byte in some places, through the running store's feet.
fn rot(file: &Path, places: impl Iterator<Item = u64>) {
    let open = File::options().read(true).write(true).open(file).expect("writable");
    for place in places {
        let mut bytes = [0; 64];
        open.read_exact_at(&mut bytes, place).expect("inside");
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        open.write_all_at(&bytes, place).expect("written");
    }
}

fn goes_on_without_what_is_damaged(engine: Engine) {
    let dir = TempDir::new().expect("a directory");
    let mut shard = Shard::open(dir.path(), engine);
    shard.put(0..KEYS, 1);
    shard.checkpoint();
    assert_eq!(shard.survey(|_| 1), (KEYS, 0));
    let file = largest_file(dir.path(), engine);
    let bytes = fs::metadata(&file).expect("there").len();
    rot(&file, (1..6).map(|sixth| bytes * sixth / 6));
    let (right, lost) = shard.survey(|_| 1);
    println!("{engine}: {right} right, {lost} unreadable beside damage under a running store");
    // Every key is written anew, in four rounds: the damage is met by writes, or by merges.
    for round in 2..6 {
        shard.put((0..KEYS).filter(|key| key % 5 + 2 == u64::from(round)), round);
        shard.checkpoint();
    }
    let version = |key: u64| if key % 5 < 4 { (key % 5) as u8 + 2 } else { 1 };
    let (right, lost) = shard.survey(version);
    println!("{engine}: {right} right, {lost} unreadable after writing, {} times down", shard.downs);
    assert!(right >= KEYS * 4 / 5, "what was written after the damage is there: {right}");
    assert!(!shard.is_down && shard.downs > 0, "nobody met the damage");
    shard.stop();
    let mut shard = Shard::open(dir.path(), engine);
    let (again, lost_again) = shard.survey(version);
    assert!(again >= right && lost_again <= lost, "{again} right, {lost_again} lost after a restart");
    shard.put(0..KEYS, 9);
    shard.checkpoint();
    assert_eq!(shard.survey(|_| 9), (KEYS, 0), "what is written again is no loss any more");
    shard.stop();
}

#[test]
fn sled_goes_on_without_what_is_damaged() {
    goes_on_without_what_is_damaged(Engine::Sled);
}

#[test]
fn an_lsm_goes_on_without_what_is_damaged() {
    goes_on_without_what_is_damaged(Engine::Lsm);
}
