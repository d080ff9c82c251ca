//! What a scrub finds: every planted fault is named with its place, and what is sound is not.

use bytes::Bytes;
use rondo_storage::scrub::{ScrubJob, Scrubbed, check_shard_files, check_shard_log};
use rondo_storage::{
    Engine, JobMoment, JobStep, LogRecord, Lsn, Manifest, MemorySortedStore, OpenOptions, SegmentId, SortedEntry,
    SortedStore, StdDisk, StoreConfig, StoreJob, StoreLimits, WalLimits, WalWriter, Wound, WoundCause, Wounds,
    finish_checkpoint, open_shard, run_ready,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn store_of(keys: u64) -> MemorySortedStore {
    let mut store = MemorySortedStore::new();
    for n in 1..=keys {
        let object = Bytes::from(vec![n as u8; 10]);
        let entry = SortedEntry { token: u128::from(n) << 100, routed: b"key", object: &object, lsn: Lsn(n) };
        store.apply(&[entry]).expect("memory takes everything");
    }
    store.flush_durable(Lsn(keys)).expect("memory takes everything");
    store
}

/// Runs a scrub of `store` to its end.
fn scrub(store: &mut dyn SortedStore, known: Wounds) -> Scrubbed {
    let (results_in, results) = flume::bounded(1);
    let mut job = ScrubJob::new(0, known, 77, results_in, Arc::default(), Arc::default());
    while !matches!(job.step(store, JobMoment { is_between_checkpoints: true }), JobStep::Done) {}
    results.try_recv().expect("it says what it found")
}

#[test]
fn a_sound_store_is_read_as_a_whole_and_nothing_is_said_against_it() {
    let found = scrub(&mut store_of(1000), Wounds::default());
    assert_eq!((found.objects, found.bytes, found.damaged), (1000, 1000 * 13, 0));
    assert!(found.wounds.is_empty() && found.cut_short.is_none());
}

#[test]
fn a_damaged_object_is_named_and_becomes_a_wound_once() {
    let mut store = store_of(1000);
    assert!(store.damage(5 << 100, b"key"));
    let found = scrub(&mut store, Wounds::default());
    assert_eq!((found.objects, found.damaged), (1000, 1));
    assert!(found.damage[0].place.contains("key key"), "{:?}", found.damage);
    let [wound] = &found.wounds[..] else { panic!("{:?}", found.wounds) };
    assert_eq!((wound.from, wound.to, wound.upto, wound.keys), (5 << 100, 5 << 100, Lsn(1000), Some(1)));
    assert_eq!((wound.cause, wound.found_at_unix), (WoundCause::StoreRot, 77));
    let mut known = Wounds::default();
    known.add(wound.clone());
    let again = scrub(&mut store, known);
    assert_eq!((again.damaged, again.wounds.len()), (1, 0), "it is still damaged, and known to be");
}

#[test]
fn a_cancelled_scrub_says_nothing() {
    let (results_in, results) = flume::bounded(1);
    let stop = Arc::new(AtomicBool::new(true));
    let mut job = ScrubJob::new(0, Wounds::default(), 77, results_in, Arc::default(), stop);
    assert!(matches!(job.step(&mut store_of(10), JobMoment { is_between_checkpoints: true }), JobStep::Done));
    drop(job);
    assert!(results.recv().is_err());
}

/// A shard on a real disk: some checkpointed records, then a log of several segments.
fn shard(path: &Path) -> Vec<PathBuf> {
    let wal = WalLimits { segment_bytes: 64 * 1024, reserve_bytes: 0 };
    let options = OpenOptions {
        shard: 0,
        salt: 5,
        unix_seconds: 7,
        vnode_bits: 4,
        limits: StoreLimits::default(),
        wal,
        store: StoreConfig { engine: Engine::Sled, cache_bytes: 1 << 20 },
    };
    let mut open = open_shard(path, &options).expect("it opens");
    let disk = StdDisk::open(path).expect("it is there");
    let mut writer = WalWriter::resume(disk, open.recovered.position.clone(), wal);
    let store = &mut open.recovered.store;
    let mut lsn = Lsn(0);
    for round in 0..3000_u64 {
        lsn = lsn.next();
        let token = u128::from(round) << 100;
        let object = Bytes::from(vec![round as u8; 100]);
        store.append(lsn, LogRecord::Object { token, routed: b"key", object });
        if round % 50 == 49 {
            let batch = store.take_batch().expect("there is something");
            store.committed(run_ready(writer.write(batch)).expect("the disk takes it"));
        }
        if round == 999 {
            let frozen = store.freeze().expect("all of it is durable");
            let mut job = rondo_storage::CheckpointJob::new(frozen);
            while !job.step(&mut *open.sorted).expect("the store takes it") {}
            let table = job.into_table();
            run_ready(finish_checkpoint(&mut writer, &mut open.recovered.manifest, &table, 1)).expect("finished");
            store.checkpointed(table.last_lsn());
        }
    }
    let names = fs::read_dir(path.join("wal")).expect("listable").map(|entry| entry.expect("readable").file_name());
    let mut ids: Vec<SegmentId> = names.filter_map(|name| SegmentId::parse(&name.to_string_lossy())).collect();
    ids.sort();
    ids.into_iter().map(|id| path.join(id.path())).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("readable");
    bytes[at] ^= 4;
    fs::write(path, bytes).expect("writable");
}

fn said(found: &Scrubbed) -> String {
    found.damage.iter().map(|damage| format!("{}: {}\n", damage.place, damage.what)).collect()
}

#[test]
fn rot_in_a_closed_segment_is_named_and_the_open_one_is_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let segments = shard(directory.path());
    assert!(segments.len() >= 4, "{segments:?}");
    let never = AtomicBool::new(false);
    let sound = check_shard_log(directory.path(), 0, &never);
    assert_eq!((sound.files, sound.damaged), (segments.len() as u64 - 1, 0), "{}", said(&sound));
    flip(&segments[1], 20_000);
    flip(segments.last().expect("there are some"), 9_000);
    let found = check_shard_log(directory.path(), 0, &never);
    assert_eq!(found.damaged, 1, "{}", said(&found));
    let name = segments[1].file_name().expect("it has a name").to_string_lossy().into_owned();
    assert!(said(&found).contains(&name), "{}", said(&found));
    fs::remove_file(&segments[2]).expect("removable");
    let found = check_shard_log(directory.path(), 0, &never);
    assert_eq!(found.damaged, 1, "the segment before the gap is the one with the rot: {}", said(&found));
    let truncated = fs::read(&segments[0]).expect("readable");
    fs::write(&segments[0], &truncated[..truncated.len() / 2]).expect("writable");
    assert_eq!(check_shard_log(directory.path(), 0, &never).damaged, 2);
}

#[test]
fn a_bad_copy_of_the_manifest_and_a_bad_page_of_the_list_of_keys_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    shard(directory.path());
    let sound = check_shard_files(directory.path());
    assert_eq!(sound.damaged, 0, "{}", said(&sound));
    flip(&directory.path().join("manifest.copy"), 20);
    assert!(said(&check_shard_files(directory.path())).contains("manifest.copy"));
    flip(&directory.path().join("keys-0001"), 100);
    let found = check_shard_files(directory.path());
    assert!(found.damaged == 2 && said(&found).contains("keys-0001, page 0"), "{}", said(&found));
}

#[test]
fn noted_wounds_are_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    shard(directory.path());
    let disk = StdDisk::open(directory.path()).expect("it is there");
    let mut manifest = run_ready(Manifest::read(&disk)).expect("sound").expect("there");
    let mut wounds = Wounds::default();
    let what = "damaged".to_owned();
    let cause = WoundCause::StoreRot;
    wounds.add(Wound { from: 7 << 100, to: 7 << 100, upto: Lsn(1000), keys: Some(1), cause, what, found_at_unix: 77 });
    run_ready(wounds.note(&disk, &mut manifest)).expect("noted");
    assert!(manifest.is_wounded);
    assert_eq!(run_ready(Wounds::read(&disk)).expect("sound"), wounds);
    assert_eq!(check_shard_files(directory.path()).damaged, 0);
}
