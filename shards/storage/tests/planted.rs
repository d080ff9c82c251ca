//! The planted bugs are bugs: with them, the promises that the other tests check are broken.
#![cfg(feature = "planted")]

mod support;

use rondo_storage::planted::{Planted, plant};
use rondo_storage::{Lsn, MemorySortedStore};
use support::{CrashDisk, Shard, small_options};

#[test]
fn a_torn_tail_accepted_brings_back_what_was_never_written_like_that() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    shard.put(1, vec![1; 600]).expect("written");
    disk.spoil("wal/0000000000000001.log", |bytes| bytes[2 * 4096 + 200] ^= 1);
    plant(Some(Planted::TornTailAccepted));
    let outcome = Shard::open(&disk.copy(), &mut sorted, small_options());
    plant(None);
    assert_eq!(outcome.expect("accepted").recovered.last_lsn, Lsn(1));
    assert_eq!(Shard::open(&disk, &mut sorted, small_options()).expect("cut").recovered.last_lsn, Lsn(0));
}

#[test]
fn a_skipped_sync_acknowledges_what_the_disk_does_not_have() {
    let syncs_of_a_put = |bug| {
        let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
        let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
        shard.put(1, vec![1; 600]).expect("written");
        let before = disk.syncs();
        plant(bug);
        shard.put(2, vec![2; 600]).expect("written");
        plant(None);
        disk.syncs() - before
    };
    assert_eq!((syncs_of_a_put(None), syncs_of_a_put(Some(Planted::SkipSync))), (1, 0));
}
