//! A data directory gets other shards or another engine, and every object comes along.

use bytes::Bytes;
use core::ops::ControlFlow;
use rondo_storage::{
    CheckpointJob, Engine, LogRecord, Lookup, NodeDir, NodeDirOptions, OpenOptions, OpenShard, RelayoutError,
    RelayoutOptions, RelayoutProgress, RelayoutReport, StdDisk, StoreConfig, StoreLimits, WalLimits, WalWriter,
    finish_checkpoint, open_shard, relayout, run_ready,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

const VNODE_BITS: u8 = 6;
const LIMITS: StoreLimits = StoreLimits {
    filter_bytes_max: 1 << 20,
    memtable_bytes_max: 1 << 20,
    cache_bytes_max: 1 << 20,
    log_bytes_max: 8 << 20,
    pending_bytes_max: 8 << 20,
};
const WAL: WalLimits = WalLimits { segment_bytes: 1 << 20, reserve_bytes: 64 << 10 };

type Objects = BTreeMap<u64, Vec<u8>>;

fn shard_of(vnode: u32, shards: u16) -> u16 {
    (vnode % u32::from(shards)) as u16
}

/// Neighbouring keys lie far from each other on the ring.
fn token(key: u64) -> u128 {
    u128::from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64 | u128::from(key)
}

fn owner(key: u64, shards: u16) -> u16 {
    shard_of((token(key) >> (128 - u32::from(VNODE_BITS))) as u32, shards)
}

fn open_options(shard: u16, engine: Engine) -> OpenOptions {
    OpenOptions {
        shard,
        salt: 0x5A17 + u64::from(shard),
        unix_seconds: 7,
        limits: LIMITS,
        wal: WAL,
        store: StoreConfig { engine, cache_bytes: 1 << 20 },
        vnode_bits: VNODE_BITS,
    }
}

fn directory_options(shards: u16, engine: Engine) -> NodeDirOptions {
    let node_name = "alpha".to_owned();
    NodeDirOptions { cluster_id: 1, node_name, shards, engine, vnode_bits: VNODE_BITS, unix_seconds: 1000 }
}

fn private_dir() -> TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().expect("a directory")
}

fn open_directory(path: &Path) -> NodeDir {
    NodeDir::open_for_tool(path, 2000).expect("a used directory")
}

/// A node's shards, driven by hand.
struct Shards {
    directory: NodeDir,
    open: Vec<(OpenShard, WalWriter<StdDisk>)>,
}

impl Shards {
    fn open(directory: NodeDir) -> Shards {
        let (shards, engine) = (directory.identity().shards, directory.identity().engine);
        directory.create_shard_dirs(directory.identity().layout, shards).expect("made");
        let open = |shard| {
            let path = directory.shard_path(shard);
            let opened = open_shard(&path, &open_options(shard, engine)).expect("it opens");
            let disk = StdDisk::open(path).expect("a disk");
            let writer = WalWriter::resume(disk, opened.recovered.position.clone(), WAL);
            (opened, writer)
        };
        Shards { open: (0..shards).map(open).collect(), directory }
    }

    fn put(&mut self, key: u64, object: &[u8]) {
        let shard = owner(key, self.directory.identity().shards);
        let store = &mut self.open[usize::from(shard)].0.recovered.store;
        let routed = key.to_be_bytes();
        let record = LogRecord::Object { token: token(key), routed: &routed, object: Bytes::copy_from_slice(object) };
        store.append(store.last_lsn().next(), record);
    }

    fn bound_clock(&mut self, bound: u64) {
        let store = &mut self.open[0].0.recovered.store;
        store.append(store.last_lsn().next(), LogRecord::HlcBound(bound));
    }

    fn commit(&mut self) {
        for (shard, writer) in &mut self.open {
            while let Some(batch) = shard.recovered.store.take_batch() {
                let upto = run_ready(writer.write(batch)).expect("written");
                shard.recovered.store.committed(upto);
            }
        }
    }

    fn checkpoint(&mut self) {
        self.commit();
        for (shard, writer) in &mut self.open {
            let Some(frozen) = shard.recovered.store.freeze() else { continue };
            let mut job = CheckpointJob::new(frozen);
            while !job.step(&mut *shard.sorted).expect("applied") {}
            let frozen = job.into_table();
            run_ready(finish_checkpoint(writer, &mut shard.recovered.manifest, &frozen, 1)).expect("durable");
            shard.recovered.store.checkpointed(frozen.last_lsn());
        }
    }

    /// What a key holds; an error if it cannot be said.
    fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, ()> {
        let shard = owner(key, self.directory.identity().shards);
        let shard = &mut self.open[usize::from(shard)].0;
        let routed = key.to_be_bytes();
        match shard.recovered.store.lookup(token(key), &routed) {
            Lookup::Hit { object, .. } => Ok(Some(object.to_vec())),
            Lookup::Absent => Ok(None),
            Lookup::Unreadable => Err(()),
            Lookup::Cold => {
                let stored = shard.sorted.get(token(key), &routed).map_err(|_| ())?;
                let lsn = stored.as_ref().map_or(rondo_storage::Lsn(0), |stored| stored.lsn);
                let is_hidden = shard.recovered.store.wounds().hides(token(key), lsn);
                if is_hidden { Err(()) } else { Ok(stored.map(|stored| stored.object.to_vec())) }
            }
        }
    }
}

fn object(key: u64, version: u8) -> Vec<u8> {
    // Some are large enough to lie in chunks.
    let bytes = if key.is_multiple_of(97) { 20_000 } else { 40 + (key % 50) as usize };
    (0..bytes).map(|at| version ^ (key as u8).wrapping_add(at as u8)).collect()
}

/// A directory with 600 keys: a third only in the log, a third only in the stores, a third in both with a newer version.
fn filled(path: &Path, shards: u16, engine: Engine) -> Objects {
    let mut objects = Objects::new();
    let mut node = Shards::open(NodeDir::open(path, &directory_options(shards, engine)).expect("fresh"));
    let mut put = |node: &mut Shards, keys: core::ops::Range<u64>, version| {
        for key in keys {
            node.put(key, &object(key, version));
            objects.insert(key, object(key, version));
        }
    };
    put(&mut node, 0..400, 1);
    node.checkpoint();
    put(&mut node, 200..400, 2);
    node.commit();
    put(&mut node, 400..600, 2);
    node.bound_clock(77_000);
    node.commit();
    node.directory.close_clean().expect("closed");
    objects
}

fn check(path: &Path, objects: &Objects) {
    let mut node = Shards::open(open_directory(path));
    for (&key, expected) in objects {
        assert_eq!(node.get(key).as_ref(), Ok(&Some(expected.clone())), "key {key}");
    }
    for absent in 10_000..10_050 {
        assert_eq!(node.get(absent), Ok(None));
    }
    assert!(node.open.iter().map(|(shard, _)| shard.recovered.hlc_bound).min() >= Some(0));
    node.directory.close_as_found(false).expect("closed");
}

fn options(shards: u16, engine: Engine) -> RelayoutOptions {
    RelayoutOptions { shards, engine, salt: 99, unix_seconds: 2000, limits: LIMITS, wal: WAL, cache_bytes: 1 << 20 }
}

fn relayout_at(path: &Path, shards: u16, engine: Engine) -> Result<RelayoutReport, RelayoutError> {
    let mut directory = open_directory(path);
    let told = AtomicUsize::new(0);
    let on_progress = |progress: &RelayoutProgress| {
        told.fetch_max(progress.objects as usize, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    let outcome = relayout(&mut directory, &options(shards, engine), &shard_of, &on_progress);
    directory.close_as_found(false).expect("closed");
    if let Ok(report) = &outcome {
        assert_eq!(told.into_inner() as u64, report.copied.objects, "the progress counts all of them");
    }
    outcome
}

fn names(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).expect("a directory").map(|file| file.expect("a file").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn objects_follow_their_vnodes_to_any_number_of_shards_and_back() {
    let dir = private_dir();
    let objects = filled(dir.path(), 2, Engine::Sled);
    for shards in [1, 5, 3, 4, 2] {
        let report = relayout_at(dir.path(), shards, Engine::Sled).expect("moved");
        assert_eq!((report.copied.objects, report.wounds, report.has_lost), (600, 0, false));
        assert_eq!(report.leftover, None);
        check(dir.path(), &objects);
    }
    assert_eq!(names(dir.path()), ["LOCK", "identity", "identity.copy", "layout-0006"]);
}

#[test]
fn objects_go_to_the_other_engine_and_back() {
    let dir = private_dir();
    let objects = filled(dir.path(), 2, Engine::Sled);
    for (shards, engine) in [(2, Engine::Lsm), (2, Engine::Sled), (1, Engine::Lsm), (3, Engine::Lsm)] {
        let report = relayout_at(dir.path(), shards, engine).expect("moved");
        assert_eq!(report.copied.objects, 600);
        let identity = rondo_storage::Identity::read(dir.path()).expect("readable");
        assert_eq!((identity.engine, identity.shards, identity.incarnation), (engine, shards, 1000));
        check(dir.path(), &objects);
    }
}

#[test]
fn every_new_shard_numbers_its_objects_from_one_in_a_lineage_of_its_own_and_keeps_the_clock() {
    let dir = private_dir();
    filled(dir.path(), 1, Engine::Sled);
    relayout_at(dir.path(), 2, Engine::Sled).expect("moved");
    let node = Shards::open(open_directory(dir.path()));
    let manifests: Vec<_> = node.open.iter().map(|(shard, _)| &shard.recovered.manifest).collect();
    assert_eq!(manifests.iter().map(|manifest| manifest.upto.0).sum::<u64>(), 600);
    assert!(manifests.iter().all(|manifest| manifest.hlc_bound == 77_000));
    assert_ne!(manifests[0].lineage, manifests[1].lineage);
}

#[test]
fn a_move_that_is_interrupted_anywhere_leaves_the_old_layout_in_force() {
    let dir = private_dir();
    let objects = filled(dir.path(), 2, Engine::Sled);
    for stop_at in 0.. {
        let calls = AtomicUsize::new(0);
        let on_progress = |_: &RelayoutProgress| match calls.fetch_add(1, Ordering::Relaxed) {
            call if call < stop_at => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let mut directory = open_directory(dir.path());
        let outcome = relayout(&mut directory, &options(3, Engine::Sled), &shard_of, &on_progress);
        directory.close_as_found(false).expect("closed");
        match outcome {
            Err(RelayoutError::Interrupted) => assert!(!names(dir.path()).contains(&"layout-0002".to_owned())),
            outcome => {
                outcome.expect("nobody stopped it");
                assert!(stop_at > 5, "it was stopped at {stop_at} places");
                break;
            }
        }
        check(dir.path(), &objects);
    }
    check(dir.path(), &objects);
    let identity = rondo_storage::Identity::read(dir.path()).expect("readable");
    assert_eq!((identity.shards, identity.layout, identity.is_clean), (3, 2, true));
}

#[test]
fn half_a_layout_that_a_crash_left_behind_is_in_nobodys_way() {
    let dir = private_dir();
    let objects = filled(dir.path(), 2, Engine::Sled);
    let half = dir.path().join("layout-0002/shard-000");
    fs::create_dir_all(half.join("sled-0001")).expect("made");
    fs::write(half.join("manifest"), "half a page").expect("written");
    relayout_at(dir.path(), 1, Engine::Sled).expect("moved");
    check(dir.path(), &objects);
}

#[test]
fn what_was_set_aside_survives_its_layout() {
    let dir = private_dir();
    filled(dir.path(), 2, Engine::Sled);
    let aside = "0000000000000001.log.damaged-5-rot";
    fs::write(dir.path().join("layout-0001/shard-001/wal").join(aside), "rot").expect("written");
    relayout_at(dir.path(), 1, Engine::Sled).expect("moved");
    assert_eq!(names(&dir.path().join("set-aside")), [format!("layout-0001-shard-001-{aside}")]);
}

/// Flips a bit in the stored object of `key`, behind the store's back.
fn spoil(path: &Path, key: u64, shards: u16) {
    let store = path.join(format!("layout-0001/shard-{:03}/sled-0001", owner(key, shards)));
    let db = sled::Config::new().path(store).open().expect("it opens");
    let objects = db.open_tree("objects").expect("it is there");
    let stored_key = [&token(key).to_be_bytes()[..], &key.to_be_bytes()].concat();
    let mut value = objects.get(&stored_key).expect("readable").expect("it is there").to_vec();
    *value.last_mut().expect("not empty") ^= 1;
    objects.insert(stored_key, value).expect("written");
    db.flush().expect("flushed");
}

/// Who is unreadable among all keys; the others must hold what is expected.
fn unreadable(path: &Path, objects: &Objects) -> Vec<u64> {
    let mut node = Shards::open(open_directory(path));
    let mut found = Vec::new();
    for (&key, expected) in objects {
        match node.get(key) {
            Ok(object) => assert_eq!(object.as_ref(), Some(expected), "key {key}"),
            Err(()) => found.push(key),
        }
    }
    node.directory.close_as_found(false).expect("closed");
    found
}

#[test]
fn what_cannot_be_read_travels_along_as_a_wound_until_it_is_written_again() {
    let dir = private_dir();
    let mut objects = filled(dir.path(), 2, Engine::Sled);
    // The third one has a newer version in the log: nothing of it is missing.
    [11, 42, 300].into_iter().for_each(|key| spoil(dir.path(), key, 2));
    let report = relayout_at(dir.path(), 3, Engine::Sled).expect("moved");
    assert_eq!((report.copied.objects, report.wounds, report.has_lost), (598, 2, true));
    assert_eq!(unreadable(dir.path(), &objects), [11, 42]);

    let mut node = Shards::open(open_directory(dir.path()));
    node.put(11, b"again");
    objects.insert(11, b"again".to_vec());
    node.checkpoint();
    drop(node);
    for (shards, engine) in [(1, Engine::Lsm), (2, Engine::Lsm), (2, Engine::Sled), (5, Engine::Sled)] {
        let report = relayout_at(dir.path(), shards, engine).expect("moved");
        assert_eq!((report.copied.objects, report.wounds, report.has_lost), (599, 2, false));
        assert_eq!(unreadable(dir.path(), &objects), [42]);
    }
    let wounds = Shards::open(open_directory(dir.path()))
        .open
        .iter()
        .map(|(shard, _)| {
            let wounds = shard.recovered.store.wounds();
            wounds.iter().map(|wound| (wound.from, wound.to, wound.keys)).collect::<Vec<_>>()
        })
        .collect::<Vec<_>>()
        .concat();
    assert!(wounds.contains(&(token(42), token(42), Some(1))), "{wounds:?}");
}

#[test]
fn an_old_object_that_a_wound_hides_stays_hidden_wherever_it_goes() {
    let dir = private_dir();
    let objects = filled(dir.path(), 1, Engine::Sled);
    // The log rots where key 250 got its second version: what the store has of it is old.
    let wal = dir.path().join("layout-0001/shard-000/wal");
    let newer = [&250u64.to_be_bytes()[..], &object(250, 2)].concat();
    for path in fs::read_dir(wal).expect("a log").map(|file| file.expect("a segment").path()) {
        let mut bytes = fs::read(&path).expect("readable");
        if let Some(at) = bytes.windows(newer.len()).position(|window| window == newer) {
            bytes[at + 20] ^= 1;
            fs::write(path, bytes).expect("writable");
        }
    }
    for (shards, engine) in [(2, Engine::Sled), (3, Engine::Lsm), (1, Engine::Sled)] {
        relayout_at(dir.path(), shards, engine).expect("moved");
        assert_eq!(unreadable(dir.path(), &objects), [250]);
    }
}
