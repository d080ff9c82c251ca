//! A grown store is written anew while checkpoints go on: nothing is lost, space comes back, and a crash at any moment
//! leaves a whole store behind the manifest.

mod support;

use bytes::Bytes;
use rondo_storage::{
    Engine, JobMoment, JobStep, KeyCensus, Lsn, MemorySortedStore, PageLimits, RewriteEnd, RewriteJob, RewriteRule,
    SortedEntry, SortedStore, StoreConfig, StoreJob, open_store, remove_generation, remove_leftovers, store_dir,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::Dice;

const CONFIG: StoreConfig = StoreConfig { engine: Engine::Sled, cache_bytes: 8 << 20 };
const NOW: JobMoment = JobMoment { is_between_checkpoints: true };
const PIECE: usize = 32;
/// Tells the child of the crash test the directory, the first round, and after how many steps to die.
const CHILD: &str = "RONDO_TEST_REWRITE_CHILD";
/// For a measurement by hand: MiB of live objects; the default is for every day.
const MIB: &str = "RONDO_TEST_REWRITE_MIB";

type Model = BTreeMap<(u128, Vec<u8>), (Bytes, Lsn)>;

/// Entries of a checkpoint: a part of the keys, each with a new object.
fn entries_of(round: u64, keys: u64, part: u64) -> Model {
    let mut dice = Dice(round);
    let entry = |key: u64| {
        let bytes = if dice.roll(50) == 0 { 20_000 } else { 200 + dice.roll(1_500) };
        // Not to be compressed, and never the same twice.
        let object: Vec<u8> = (0..bytes).map(|_| dice.roll(256) as u8).collect();
        let token = u128::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        ((token, key.to_le_bytes().to_vec()), (Bytes::from(object), Lsn(round * keys + key + 1)))
    };
    (0..keys).filter(|key| round < 1 || (key + round).is_multiple_of(part)).map(entry).collect()
}

fn apply(store: &mut dyn SortedStore, model: &Model, job: Option<&mut RewriteJob>) {
    let entries: Vec<SortedEntry<'_>> = model
        .iter()
        .map(|((token, routed), (object, lsn))| SortedEntry { token: *token, routed, object, lsn: *lsn })
        .collect();
    let mut job = job;
    for piece in entries.chunks(PIECE) {
        store.apply(piece).expect("applied");
        job.iter_mut().for_each(|job| job.applied(piece));
    }
}

fn check(store: &dyn SortedStore, expected: &Model) {
    let (mut from, mut found) = (Some(Vec::new()), Model::new());
    while let Some(start) = from {
        let limits = PageLimits { entries_max: 1000, bytes_max: 1 << 20 };
        let page = store.scan(&start, u128::MAX, limits).expect("scanned");
        assert!(page.unreadable.is_empty() && page.gaps.is_empty());
        let entries = page.entries.into_iter();
        found.extend(entries.map(|entry| ((entry.token, entry.routed.to_vec()), (entry.object, entry.lsn))));
        from = page.next;
    }
    assert_eq!(found.len(), expected.len());
    assert!(found == *expected, "the objects differ");
}

#[test]
fn a_grown_store_is_rewritten_while_checkpoints_go_on_and_gives_its_space_back() {
    let mib: u64 = std::env::var(MIB).ok().and_then(|mib| mib.parse().ok()).unwrap_or(4);
    let (keys, rounds) = (mib * 1024, 10);
    let dir = tempfile::tempdir().expect("a directory");
    let mut old = open_store(dir.path(), 1, &CONFIG).expect("opened");
    let mut model = Model::new();
    let mut checkpoint = |round: u64, part: u64, store: &mut dyn SortedStore, job: Option<&mut RewriteJob>| {
        let entries = entries_of(round, keys, part);
        apply(store, &entries, job);
        store.flush_durable(Lsn((round + 1) * keys)).expect("flushed");
        model.extend(entries);
        model.clone()
    };
    for round in 0..rounds {
        checkpoint(round, 2, &mut *old, None);
    }
    let grown = old.sizes();
    let (end, ended) = flume::bounded(1);
    let mut job = RewriteJob::new(dir.path().to_owned(), 1, CONFIG, end);
    let mut steps = 0_u64;
    let (mut new, generation) = loop {
        steps += 1;
        let mut is_holding = false;
        match job.step(&mut *old, NOW) {
            JobStep::More => {}
            JobStep::Later => std::thread::yield_now(),
            JobStep::Hold => is_holding = true,
            JobStep::Done => panic!("given up: {:?}", ended.try_recv()),
            JobStep::Replace { store, generation } => break (store, generation),
        }
        if !is_holding && steps.is_multiple_of(100) && steps <= 1_000 {
            checkpoint(rounds + steps / 100, 40, &mut *old, Some(&mut job));
        }
    };
    let expected = checkpoint(rounds + 20, 40, &mut *new, None);
    check(&*new, &expected);
    let (after, live) = (new.sizes(), new.sizes().live_bytes);
    eprintln!(
        "live {} KiB, files before {} KiB ({:.1} x), after {} KiB ({:.1} x)",
        live >> 10,
        grown.disk_bytes >> 10,
        grown.disk_bytes as f64 / grown.live_bytes as f64,
        after.disk_bytes >> 10,
        after.disk_bytes as f64 / live as f64,
    );
    let Ok(RewriteEnd::Replaced { objects, bytes_before, bytes_after }) = ended.recv() else { panic!("no word") };
    assert_eq!((generation, objects), (2, keys));
    assert!(bytes_after < bytes_before, "{bytes_after} of {bytes_before}");
    drop((old, new));
    remove_generation(dir.path(), Engine::Sled, 1).expect("removed");
    assert!(!dir.path().join("sled-0001").exists() && !dir.path().join("keys-0001").exists());
    let new = open_store(dir.path(), 2, &CONFIG).expect("opened");
    check(&*new, &expected);
    let census = KeyCensus::read(&dir.path().join(store_dir(Engine::Sled, 2)), Lsn(u64::MAX)).expect("read");
    assert_eq!(census.map(|census| (census.tokens().len(), census.is_exact())), Some((expected.len(), true)));
}

#[test]
fn a_rewrite_ends_though_a_checkpoint_writes_everything_anew_after_each_step() {
    const KEYS: u64 = 300;
    let dir = tempfile::tempdir().expect("a directory");
    let mut old = open_store(dir.path(), 1, &CONFIG).expect("opened");
    let (end, ended) = flume::bounded(1);
    let mut job = RewriteJob::new(dir.path().to_owned(), 1, CONFIG, end);
    let mut round = 0;
    let mut checkpoint = |store: &mut dyn SortedStore, job: Option<&mut RewriteJob>| {
        let entries = entries_of(round, KEYS, 1);
        apply(store, &entries, job);
        round += 1;
        store.flush_durable(Lsn(round * KEYS)).expect("flushed");
        entries
    };
    checkpoint(&mut *old, None);
    // One step between two checkpoints, as under a load that never lets up; and the waits for other threads have a bound.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut pieces = 0;
    let mut new = loop {
        assert!(std::time::Instant::now() < until, "no end after {pieces} pieces");
        match job.step(&mut *old, NOW) {
            JobStep::Replace { store, .. } => break store,
            JobStep::Done => panic!("given up: {:?}", ended.try_recv()),
            JobStep::Hold => continue,
            JobStep::More => pieces += 1,
            JobStep::Later => {}
        }
        checkpoint(&mut *old, Some(&mut job));
    };
    // A page has 32 objects; after the copy each that a checkpoint wrote during its flush is carried, at most.
    assert!(pieces < 20 + KEYS, "{pieces}");
    let expected = checkpoint(&mut *new, None);
    check(&*new, &expected);
}

#[test]
fn a_store_with_unreadable_objects_is_not_rewritten() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut old = MemorySortedStore::new();
    let model = entries_of(0, 100, 1);
    apply(&mut old, &model, None);
    let (token, routed) = model.keys().nth(50).expect("a hundred");
    assert!(old.damage(*token, routed));
    let (end, ended) = flume::bounded(1);
    let mut job = RewriteJob::new(dir.path().to_owned(), 1, CONFIG, end);
    while !matches!(job.step(&mut old, NOW), JobStep::Done) {}
    let Ok(RewriteEnd::GivenUp(why)) = ended.recv() else { panic!("not given up") };
    assert!(why.contains("cannot be read"), "{why}");
}

#[test]
fn a_rewrite_is_due_when_files_weigh_too_many_times_what_they_hold() {
    let rule = RewriteRule { ratio: 4, bytes_min: 1_000 };
    let is_due = |disk_bytes, live_bytes| {
        rule.is_due(&rondo_storage::sorted_store::StoreSizes { disk_bytes, live_bytes, ..Default::default() })
    };
    let cases = [(4_001, 1_000, true), (4_000, 1_000, false), (999, 100, false), (9_999, 0, false)];
    cases.into_iter().for_each(|(disk, live, due)| assert_eq!(is_due(disk, live), due, "{disk} {live}"));
}

const CRASH_KEYS: u64 = 500;

/// Stands for the manifest: which generation counts, replaced as a whole.
fn write_manifest(dir: &Path, generation: u32) {
    std::fs::write(dir.join("manifest.new"), generation.to_string()).expect("written");
    std::fs::rename(dir.join("manifest.new"), dir.join("manifest")).expect("renamed");
}

fn read_manifest(dir: &Path) -> u32 {
    std::fs::read_to_string(dir.join("manifest")).map_or(1, |text| text.parse().expect("a number"))
}

fn checkpoint(dir: &Path, store: &mut dyn SortedStore, generation: u32, round: u64, job: Option<&mut RewriteJob>) {
    apply(store, &entries_of(round, CRASH_KEYS, 3), job);
    store.flush_durable(Lsn((round + 1) * CRASH_KEYS)).expect("flushed");
    write_manifest(dir, generation);
}

/// Makes checkpoints and rewrites the store again and again, and dies after so many steps.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return }; // Only a child of the test below does anything here.
    let mut told = told.splitn(3, ' ');
    let mut number = || told.next().and_then(|number| number.parse::<u64>().ok()).expect("a number");
    let (mut round, mut steps_left) = (number(), number());
    let dir = PathBuf::from(told.next().expect("a directory"));
    let mut generation = read_manifest(&dir);
    let mut store = open_store(&dir, generation, &CONFIG).expect("opened");
    loop {
        let (end, _ended) = flume::bounded(1);
        let mut job = RewriteJob::new(dir.clone(), generation, CONFIG, end);
        loop {
            if steps_left == 0 {
                std::process::exit(0);
            }
            steps_left -= 1;
            if steps_left % 40 == 7 {
                checkpoint(&dir, &mut *store, generation, round, Some(&mut job));
                round += 1;
            }
            match job.step(&mut *store, NOW) {
                JobStep::More => {}
                // Another thread opens or flushes: a moment that can be died in, too.
                JobStep::Later | JobStep::Hold => std::thread::park_timeout(std::time::Duration::from_millis(1)),
                JobStep::Done => panic!("given up"),
                JobStep::Replace { store: new, generation: next } => {
                    store = new;
                    checkpoint(&dir, &mut *store, next, round, None);
                    round += 1;
                    remove_generation(&dir, Engine::Sled, generation).expect("removed");
                    generation = next;
                    break;
                }
            }
        }
    }
}

#[test]
fn a_crash_at_any_moment_of_a_rewrite_leaves_a_whole_store_behind_the_manifest() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut dice, mut model, mut round) = (Dice(17), Model::new(), 0);
    let mut store = open_store(dir.path(), 1, &CONFIG).expect("opened");
    checkpoint(dir.path(), &mut *store, 1, 0, None);
    drop(store);
    let mut generations = Vec::new();
    for _ in 0..12 {
        let steps = dice.roll(400);
        let status = Command::new(std::env::current_exe().expect("this test"))
            .args(["child", "--exact"])
            .env(CHILD, format!("{} {steps} {}", round + 1, dir.path().display()))
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.expect("the child ran").success());
        // As a start does: what the manifest does not name goes, what the log has behind the note comes again.
        let generation = read_manifest(dir.path());
        remove_leftovers(dir.path(), Engine::Sled, generation).expect("removed");
        generations.push(generation);
        let stores = std::fs::read_dir(dir.path()).expect("listed").count();
        assert!(stores <= 4, "{stores} names in the directory: manifest, its leftover, store, list of keys");
        let mut store = open_store(dir.path(), generation, &CONFIG).expect("opened");
        let upto = store.durable_upto().expect("noted");
        store.discard_unfinished(upto).expect("discarded");
        let reached = upto.0 / CRASH_KEYS; // The first round that is not noted.
        for noted in round..reached {
            model.extend(entries_of(noted, CRASH_KEYS, 3));
        }
        round = reached;
        checkpoint(dir.path(), &mut *store, generation, round, None);
        model.extend(entries_of(round, CRASH_KEYS, 3));
        check(&*store, &model);
    }
    generations.dedup();
    assert!(generations.len() > 2, "the store was never replaced: {generations:?}");
}
