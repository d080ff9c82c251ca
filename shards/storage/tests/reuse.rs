//! A segment whose file was one before: what stands behind its last batch is old, and must never count.

mod support;

use rondo_storage::limits::PAGE_BYTES;
use rondo_storage::{MemorySortedStore, StorageError};
use support::{CrashDisk, Seen, Shard, small_options};

fn object(key: u64) -> Vec<u8> {
    (0..300).map(|at| (key as usize * 31 + at) as u8).collect()
}

/// A shard that is writing into a used file, with `puts` new batches in it. The path of that segment, and the first key in it.
fn reusing(disk: &CrashDisk, sorted: &mut MemorySortedStore, puts: u64) -> (Shard<CrashDisk>, String, u64) {
    let mut shard = Shard::open(disk, sorted, small_options()).expect("fresh");
    let mut key = 0;
    let mut put = |shard: &mut Shard<CrashDisk>| {
        shard.put(key, object(key)).expect("written");
        key += 1;
        key
    };
    // Three segments are filled; one becomes the spare; the next one is made of it.
    while shard.writer.segments() < 4 {
        put(&mut shard);
    }
    shard.checkpoint(sorted).expect("checkpointed");
    assert!(disk.paths().contains(&"wal/spare".to_owned()), "{:?}", disk.paths());
    let first_in_it = loop {
        let count = put(&mut shard);
        if !disk.paths().contains(&"wal/spare".to_owned()) {
            break count - 1;
        }
    };
    for _ in 1..puts {
        put(&mut shard);
    }
    let path = disk.paths().into_iter().filter(|path| path.ends_with(".log")).max().expect("there are segments");
    (shard, path, first_in_it)
}

fn has_old_bytes(content: &[u8], puts: u64) -> bool {
    content[(2 + puts as usize + 1) * PAGE_BYTES..].iter().any(|&byte| byte != 0)
}

#[test]
fn a_reused_segment_ends_where_its_new_batches_end() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let (shard, path, first) = reusing(&disk, &mut sorted, 2);
    assert!(has_old_bytes(&disk.content(&path), 2), "the file was used before");
    let last = shard.recovered.store.last_lsn();
    drop(shard);
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    let report = &shard.recovered.report;
    assert_eq!((report.torn_tail.clone(), report.has_lost(), shard.recovered.last_lsn), (None, false, last));
    for key in 0..first + 2 {
        assert_eq!(shard.get(&sorted, key), Some(object(key)), "key {key}");
    }
}

#[test]
fn a_torn_batch_in_a_reused_segment_is_cut_and_said() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let (shard, path, first) = reusing(&disk, &mut sorted, 3);
    drop(shard);
    disk.spoil(&path, |bytes| bytes[4 * PAGE_BYTES + 200] ^= 1);
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    let (named, offset, _) = shard.recovered.report.torn_tail.clone().expect("reported");
    assert_eq!((named, offset), (path, 4 * PAGE_BYTES as u64));
    assert_eq!((shard.get(&sorted, first + 1), shard.get(&sorted, first + 2)), (Some(object(first + 1)), None));
}

#[test]
fn rot_in_the_middle_of_a_reused_segment_is_no_torn_end() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let (shard, path, first) = reusing(&disk, &mut sorted, 3);
    drop(shard);
    // A zeroed page looks like the end, but for the batch behind it.
    disk.spoil(&path, |bytes| bytes[3 * PAGE_BYTES..4 * PAGE_BYTES].fill(0));
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    assert!(shard.recovered.report.has_lost());
    assert!(matches!(shard.look(&sorted, first + 1), Seen::Unreadable), "lost, and not denied");
    assert_eq!(shard.get(&sorted, first + 2), Some(object(first + 2)));
}

#[test]
fn a_segment_that_gave_trouble_is_never_reused() -> Result<(), StorageError> {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options())?;
    shard.put(0, object(0))?;
    disk.power_off_after(1); // The write passes, its sync does not.
    shard.put(1, object(1)).expect_err("refused");
    disk.power_off_after(u64::MAX);
    drop(shard);
    let mut shard = Shard::open(&disk, &mut sorted, small_options())?;
    shard.put(2, object(2))?;
    shard.checkpoint(&mut sorted)?;
    assert!(!disk.paths().contains(&"wal/spare".to_owned()), "{:?}", disk.paths());
    Ok(())
}
