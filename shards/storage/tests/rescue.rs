//! A shard whose sorted store is gone or rotten opens all the same, says what is missing, and never gives an old value.

use rondo_storage::sorted_store::stored_key;
use rondo_storage::{
    CheckpointJob, ColdFound, Delivery, Engine, LogRecord, Lookup, Lsn, OpenOptions, OpenShard, StdDisk, StoreConfig,
    StoreLimits, WalLimits, WalWriter, WoundCause, finish_checkpoint, open_shard, run_ready,
};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn options(engine: Engine) -> OpenOptions {
    OpenOptions {
        shard: 0,
        salt: 77,
        unix_seconds: 1_800_000_000,
        vnode_bits: 4,
        limits: StoreLimits::default(),
        wal: WalLimits { segment_bytes: 1 << 20, reserve_bytes: 0 },
        store: StoreConfig { engine, cache_bytes: 8 << 20 },
    }
}

fn token(key: u64) -> u128 {
    u128::from(key) << 120
}

fn object(key: u64, version: u8) -> Vec<u8> {
    [vec![version], vec![key as u8; 500]].concat()
}

/// A shard with the keys 0 to 199 in version 1 in its store, and the first twenty in version 2 in its log.
fn fill(dir: &Path, engine: Engine) {
    let OpenShard { mut recovered, mut sorted, generation } = open_shard(dir, &options(engine)).expect("fresh");
    let disk = StdDisk::open(dir).expect("a disk");
    let mut writer = WalWriter::resume(disk, recovered.position.clone(), options(engine).wal);
    let put = |recovered: &mut rondo_storage::Recovered, writer: &mut WalWriter<StdDisk>, key: u64, version: u8| {
        let lsn = recovered.store.last_lsn().next();
        let routed = format!("key-{key}");
        let object = object(key, version).into();
        recovered.store.append(lsn, LogRecord::Object { token: token(key), routed: routed.as_bytes(), object });
        let batch = recovered.store.take_batch().expect("a batch");
        let upto = run_ready(writer.write(batch)).expect("written");
        recovered.store.committed(upto);
    };
    (0..200).for_each(|key| put(&mut recovered, &mut writer, key, 1));
    let frozen = recovered.store.freeze().expect("durable");
    let mut job = CheckpointJob::new(frozen);
    while !job.step(&mut *sorted).expect("applied") {}
    run_ready(finish_checkpoint(&mut writer, &mut recovered.manifest, &job.into_table(), generation))
        .expect("finished");
    (0..20).for_each(|key| put(&mut recovered, &mut writer, key, 2));
}

/// Version of a key, 0 if it is absent; `None` if it is unreadable.
fn look(shard: &mut OpenShard, key: u64) -> Option<u8> {
    let routed = format!("key-{key}");
    let store = &mut shard.recovered.store;
    let delivery = match store.lookup(token(key), routed.as_bytes()) {
        Lookup::Hit { object, lsn } => Delivery::Object { object, lsn },
        Lookup::Absent => Delivery::Absent,
        Lookup::Unreadable => Delivery::Unreadable,
        Lookup::Cold => {
            let found = match shard.sorted.get(token(key), routed.as_bytes()) {
                Ok(Some(stored)) => ColdFound::Object(stored),
                Ok(None) => ColdFound::Absent,
                Err(_) => ColdFound::Unreadable,
            };
            store.loaded(token(key), routed.as_bytes(), found)
        }
    };
    match delivery {
        Delivery::Object { object, .. } => {
            assert_eq!(object.to_vec(), self::object(key, object[0]), "key {key}");
            Some(object[0])
        }
        Delivery::Absent => Some(0),
        Delivery::Unreadable => None,
    }
}

/// Opens twice: what was lost is reported once, and stays lost.
fn reopen(dir: &Path, engine: Engine) -> OpenShard {
    let first = open_shard(dir, &options(engine)).expect("opened");
    let (report, wounds) = (first.recovered.report.clone(), first.recovered.store.wounds().clone());
    assert!(report.has_lost() && !report.set_aside.is_empty(), "{report:?}");
    assert!(report.set_aside.iter().all(|(name, _)| dir.join(name).exists()));
    drop(first);
    let mut second = open_shard(dir, &options(engine)).expect("opened again");
    assert_eq!(second.recovered.store.wounds(), &wounds);
    assert!(!second.recovered.report.has_lost(), "{:?}", second.recovered.report);
    assert!(report.set_aside.iter().all(|(name, _)| dir.join(name).exists()), "what is set aside stays");
    for key in 0..20 {
        assert_eq!(look(&mut second, key), Some(2), "key {key} is newer than what was lost");
    }
    second.recovered.report = report;
    second
}

#[test]
fn a_store_whose_directory_is_gone_is_missed_key_by_key() {
    let dir = TempDir::new().expect("a directory");
    fill(dir.path(), Engine::Sled);
    fs::remove_dir_all(dir.path().join("sled-0001")).expect("removed");
    let mut shard = reopen(dir.path(), Engine::Sled);
    assert_eq!(shard.generation, 2);
    assert!(shard.recovered.report.wounds.iter().all(|wound| wound.cause == WoundCause::StoreLost));
    assert!((20..200).all(|key| look(&mut shard, key).is_none()));
}

#[test]
fn a_store_that_is_all_rot_gives_way_to_an_empty_one_that_says_what_it_lacks() {
    let dir = TempDir::new().expect("a directory");
    fill(dir.path(), Engine::Sled);
    let db = dir.path().join("sled-0001/db");
    let bytes = fs::metadata(&db).expect("its file").len() as usize;
    fs::write(&db, vec![0x5A; bytes]).expect("spoiled");
    let mut shard = reopen(dir.path(), Engine::Sled);
    assert!((20..200).all(|key| look(&mut shard, key).is_none()));
}

#[test]
fn leftovers_of_other_generations_go_and_what_was_set_aside_stays() {
    let dir = TempDir::new().expect("a directory");
    fill(dir.path(), Engine::Sled);
    for name in ["sled-0002", "sled-0001.damaged-12-rot", "own"] {
        fs::create_dir(dir.path().join(name)).expect("made");
    }
    let mut shard = open_shard(dir.path(), &options(Engine::Sled)).expect("opened");
    let is_there = |name: &str| dir.path().join(name).exists();
    assert!(!is_there("sled-0002"));
    assert!(is_there("sled-0001") && is_there("sled-0001.damaged-12-rot") && is_there("own"));
    assert!((20..200).all(|key| look(&mut shard, key) == Some(1)));
    assert_eq!(shard.sorted.get(token(30), b"key-30").expect("readable").map(|stored| stored.lsn), Some(Lsn(31)));
    assert_eq!(stored_key(token(30), b"key-30").len(), 22);
}

fn table_of(dir: &Path) -> std::path::PathBuf {
    let tables = fs::read_dir(dir.join("lsm-0001/tables")).expect("a store").map(|table| table.expect("listed").path());
    tables.max().expect("a table")
}

#[test]
fn a_table_that_is_cut_off_costs_its_end_and_the_store_goes_on() {
    let dir = TempDir::new().expect("a directory");
    fill(dir.path(), Engine::Lsm);
    let table = table_of(dir.path());
    let bytes = fs::read(&table).expect("read");
    fs::write(&table, &bytes[..bytes.len() / 2]).expect("cut");
    let first = open_shard(dir.path(), &options(Engine::Lsm)).expect("opened");
    let wounds = first.recovered.store.wounds().clone();
    assert!(first.recovered.report.has_lost() && wounds.len() == 1, "{:?}", first.recovered.report);
    assert_eq!(first.generation, 1, "what is left of the store stays where it is");
    drop(first);
    let mut shard = open_shard(dir.path(), &options(Engine::Lsm)).expect("opened again");
    assert!(!shard.recovered.report.has_lost() && shard.recovered.store.wounds() == &wounds);
    let found: Vec<Option<u8>> = (20..200).map(|key| look(&mut shard, key)).collect();
    let readable = found.iter().take_while(|version| **version == Some(1)).count();
    assert!((60..100).contains(&readable), "{readable} of 180 keys stood before the cut");
    assert!(found[readable..].iter().all(Option::is_none), "none of the others is absent");
    assert!((0..20).all(|key| look(&mut shard, key) == Some(2)), "the log is newer than what was lost");
}

#[test]
fn a_table_that_is_gone_hides_what_is_older_and_nothing_else() {
    let dir = TempDir::new().expect("a directory");
    fill(dir.path(), Engine::Lsm);
    fs::remove_file(table_of(dir.path())).expect("removed");
    let mut shard = open_shard(dir.path(), &options(Engine::Lsm)).expect("opened");
    let wound = shard.recovered.store.wounds().iter().next().expect("a wound").clone();
    assert!(wound.upto == Lsn(200) && wound.what.contains("at most 20"), "{wound:?}");
    assert!((20..200).all(|key| look(&mut shard, key).is_none()));
    assert!((0..20).all(|key| look(&mut shard, key) == Some(2)));
}
