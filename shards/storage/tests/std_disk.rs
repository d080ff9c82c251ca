//! A shard on a real directory: log, checkpoint into sled, restart.

use bytes::Bytes;
use rondo_storage::sorted_store::SledConfig;
use rondo_storage::{
    CheckpointJob, LogRecord, Lookup, Lsn, RecoverOptions, Recovered, SledStore, SortedStore, StdDisk, StoreLimits,
    WalLimits, WalWriter, finish_checkpoint, recover, run_ready,
};
use std::path::Path;
use tempfile::TempDir;

fn open(dir: &Path) -> (Recovered, WalWriter<StdDisk>, SledStore) {
    let disk = StdDisk::open(dir).expect("a directory");
    let config = SledConfig { path: dir.join("sled"), cache_bytes: 8 << 20 };
    let mut sorted = SledStore::open(&config).expect("opened");
    let wal = WalLimits { segment_bytes: 1 << 20, reserve_bytes: 0 };
    let (shard, salt, unix_seconds, generation, vnode_bits) = (0, 42, 0, 1, 10);
    let store = StoreLimits::default();
    let options = RecoverOptions { shard, salt, unix_seconds, generation, vnode_bits, store, wal };
    let recovered = run_ready(recover(&disk, &mut sorted, options)).expect("recovered");
    let writer = WalWriter::resume(disk, recovered.position.clone(), wal);
    (recovered, writer, sorted)
}

fn put(recovered: &mut Recovered, writer: &mut WalWriter<StdDisk>, key: u64, bytes: usize) {
    let lsn = recovered.store.last_lsn().next();
    let object = Bytes::from(vec![key as u8; bytes]);
    recovered.store.append(lsn, LogRecord::Object { token: u128::from(key), routed: b"key", object });
    let batch = recovered.store.take_batch().expect("one record");
    let upto = run_ready(writer.write(batch)).expect("written");
    recovered.store.committed(upto);
}

#[test]
fn half_of_a_shard_comes_back_from_sled_and_half_from_the_log() {
    let dir = TempDir::new().expect("a directory");
    let (mut recovered, mut writer, mut sorted) = open(dir.path());
    (0..50).for_each(|key| put(&mut recovered, &mut writer, key, 50_000));
    let segments = writer.segments();
    let mut job = CheckpointJob::new(recovered.store.freeze().expect("durable"));
    while !job.step(&mut sorted).expect("applied") {}
    run_ready(finish_checkpoint(&mut writer, &mut recovered.manifest, &job.into_table(), 1)).expect("finished");
    recovered.store.checkpointed(Lsn(50));
    assert!(segments > 2 && writer.segments() == 1, "{segments} then {}", writer.segments());
    (50..80).for_each(|key| put(&mut recovered, &mut writer, key, 100));
    drop((recovered, writer, sorted));

    let (mut recovered, _writer, sorted) = open(dir.path());
    assert_eq!((recovered.report.records_replayed, recovered.last_lsn), (30, Lsn(80)));
    for key in 0..80u64 {
        let found = match recovered.store.lookup(u128::from(key), b"key") {
            Lookup::Hit { object, .. } => Some(object),
            Lookup::Cold => sorted.get(u128::from(key), b"key").expect("readable").map(|stored| stored.object),
            Lookup::Absent => None,
            Lookup::Unreadable => panic!("nothing is lost"),
        };
        assert_eq!(found, Some(Bytes::from(vec![key as u8; if key < 50 { 50_000 } else { 100 }])), "key {key}");
    }
}
