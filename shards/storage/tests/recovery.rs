//! What comes back after the power went: all that was acknowledged, or an error that says what is wrong.

mod support;

use proptest::prelude::*;
use rondo_storage::{
    DiskTrouble, LogRecord, Lsn, MemorySortedStore, RecoverOptions, RecoveryReport, StorageError, WalLimits, Wounds,
    run_ready,
};
use std::collections::BTreeMap;
use support::{CrashDisk, Dice, Seen, Shard, small_options, token};

fn object(seed: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (seed as usize * 31 + at) as u8).collect()
}

/// A small log: ten puts in five batches, on one segment. Its path.
fn small_log(disk: &CrashDisk, sorted: &mut MemorySortedStore, is_sealed: bool) -> String {
    let mut shard = Shard::open(disk, sorted, small_options()).expect("fresh");
    for key in 0..10 {
        shard.append(key, object(key, 300));
        if key % 2 == 1 {
            shard.commit().expect("written");
        }
    }
    if is_sealed {
        shard.seal().expect("sealed");
    }
    let path = "wal/0000000000000001.log";
    assert!(disk.paths().contains(&path.to_owned()));
    path.to_owned()
}

/// Opens a log to which something was done, twice, and says which of the ten keys cannot be read and which are absent. What
/// is read is right; and the second start finds what the first one found, without anything new.
fn reopen(disk: &CrashDisk) -> (Vec<u64>, Vec<u64>, RecoveryReport) {
    let mut sorted = MemorySortedStore::new();
    let mut shard = Shard::open(disk, &mut sorted, small_options()).expect("opened");
    let report = shard.recovered.report.clone();
    let first = read_all(&mut shard, &sorted);
    let mut shard = Shard::open(disk, &mut sorted, small_options()).expect("opened again");
    assert_eq!(read_all(&mut shard, &sorted), first, "{report:?}");
    assert!(!shard.recovered.report.has_lost() && shard.recovered.report.set_aside.is_empty());
    (first.0, first.1, report)
}

fn read_all(shard: &mut Shard, sorted: &MemorySortedStore) -> (Vec<u64>, Vec<u64>) {
    let (mut unreadable, mut absent) = (Vec::new(), Vec::new());
    for key in 0..10 {
        match shard.look(sorted, key) {
            Seen::Object(found) => assert_eq!(found, object(key, 300), "key {key}"),
            Seen::Unreadable => unreadable.push(key),
            Seen::Absent => absent.push(key),
        }
    }
    (unreadable, absent)
}

/// Where the n-th batch of the small log lies.
fn batch_at(n: usize) -> usize {
    (2 + n) * 4096
}

#[test]
fn a_fresh_shard_knows_that_it_is_empty_and_a_restart_finds_everything() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    assert!(shard.recovered.report.is_fresh);
    assert_eq!(shard.get(&sorted, 1), None);
    let lsn = shard.recovered.store.last_lsn().next();
    shard.recovered.store.append(lsn, LogRecord::HlcBound(77));
    shard.put(1, object(1, 5000)).expect("written");
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    assert_eq!(shard.get(&sorted, 1), Some(object(1, 5000)));
    assert_eq!((shard.recovered.hlc_bound, shard.recovered.last_lsn), (77, Lsn(2)));
    assert_eq!(shard.recovered.report.torn_tail, None);
}

#[test]
fn whatever_is_cut_off_is_missed_and_what_is_left_is_read() {
    let disk = CrashDisk::default();
    let path = small_log(&disk, &mut MemorySortedStore::new(), false);
    let length = disk.content(&path).len();
    for length in (0..length).step_by(97).chain([4096, batch_at(0), batch_at(1), batch_at(5)]) {
        let cut = disk.copy();
        cut.spoil(&path, |bytes| bytes.truncate(length));
        let (unreadable, absent, report) = reopen(&cut);
        assert_eq!(absent, [0; 0], "{length}: {report:?}");
        // Whatever was cut off may have been written to any of the keys.
        assert_eq!(unreadable.len(), if report.has_lost() { 10 } else { 0 }, "{length}: {report:?}");
        assert_eq!(report.has_lost(), length < batch_at(5) + 4096, "{length}: {report:?}");
        assert_eq!(report.set_aside.len(), 1, "{length}: {report:?}");
    }
}

#[test]
fn every_flipped_bit_costs_at_most_the_record_or_the_batch_that_it_hit() {
    let disk = CrashDisk::default();
    let path = small_log(&disk, &mut MemorySortedStore::new(), true);
    let (mut one, mut batch, mut none) = (0, 0, 0);
    for at in 0..batch_at(6) {
        if at % 4096 > 800 && at % 61 != 0 {
            continue; // Padding: a sample is enough.
        }
        let spoiled = disk.copy();
        spoiled.spoil(&path, |bytes| bytes[at] ^= 1 << (at % 8));
        let (unreadable, absent, report) = reopen(&spoiled);
        assert_eq!(absent, [0; 0], "byte {at}: {report:?}");
        assert_eq!(report.records_lost > 0, !unreadable.is_empty(), "byte {at}: {report:?}");
        match report.records_lost {
            0 => none += 1,
            // The token of the record is known. Two keys share it, and the later one is newer than what the first has lost.
            1 => {
                let hit = (at / 4096 - 2) as u64;
                let both = [2 * hit, 2 * hit + 1];
                assert!(unreadable == both || unreadable == both[..1], "byte {at}: {unreadable:?} {report:?}");
                one += 1;
            }
            2 => {
                assert_eq!(report.wounds.len(), 1, "byte {at}: {report:?}");
                assert!(report.wounds[0].is_whole() && report.wounds[0].what.contains("2 records"), "{report:?}");
                batch += 1;
            }
            more => panic!("byte {at}: {more} records, {report:?}"),
        }
    }
    assert!(one > 2000 && batch > 400 && none > 1000, "{one} one, {batch} batch, {none} none");
}

#[test]
fn rot_in_the_last_batch_of_a_log_that_was_not_left_cleanly_looks_like_the_one_being_written() {
    let disk = CrashDisk::default();
    let path = small_log(&disk, &mut MemorySortedStore::new(), false);
    disk.spoil(&path, |bytes| bytes[batch_at(4) + 300] ^= 1);
    let (unreadable, absent, report) = reopen(&disk);
    assert_eq!((unreadable, absent, report.has_lost()), (vec![], vec![8, 9], false));
}

#[test]
fn swapped_and_zeroed_blocks_are_told_and_what_is_there_is_found() {
    let disk = CrashDisk::default();
    let path = small_log(&disk, &mut MemorySortedStore::new(), true);
    let swapped = disk.copy();
    swapped.spoil(&path, |bytes| {
        let (left, right) = bytes.split_at_mut(batch_at(3));
        left[batch_at(1)..batch_at(2)].swap_with_slice(&mut right[..4096]);
    });
    let (unreadable, absent, report) = reopen(&swapped);
    assert_eq!((unreadable, absent, report.has_lost(), report.set_aside.len()), (vec![], vec![], false, 1));
    for batch in 0..5 {
        let zeroed = disk.copy();
        zeroed.spoil(&path, |bytes| bytes[batch_at(batch)..batch_at(batch + 1)].fill(0));
        let (_, absent, report) = reopen(&zeroed);
        assert_eq!((absent, report.records_lost, report.wounds.len()), (vec![], 2, 1), "{report:?}");
        assert_eq!(report.wounds[0].upto.0, 2 * batch as u64 + 2);
    }
    let headless = disk.copy();
    headless.spoil(&path, |bytes| bytes[..4096].fill(0));
    let (unreadable, absent, report) = reopen(&headless);
    assert_eq!((unreadable, absent, report.has_lost(), report.set_aside.len()), (vec![], vec![], false, 1));
}

#[test]
fn what_was_written_after_a_loss_is_read_and_heals_it() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    for key in [1, 2, 3, 1] {
        shard.put(key, object(key, 300)).expect("written");
    }
    shard.seal().expect("sealed");
    let path = "wal/0000000000000001.log";
    disk.spoil(path, |bytes| {
        bytes[batch_at(0) + 200] ^= 1;
        bytes[batch_at(1) + 200] ^= 1;
    });
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("opened");
    let report = shard.recovered.report.clone();
    assert_eq!((report.records_lost, report.wounds.len(), report.wounds[0].from), (2, 1, token(2)), "{report:?}");
    assert_eq!(report.set_aside[0].0, format!("{path}.damaged-1800000000-rot"));
    // Key 3 has the token of key 2, and is older than nothing that is lost.
    let seen = [1, 2, 3].map(|key| shard.look(&sorted, key));
    assert_eq!(seen, [Seen::Object(object(1, 300)), Seen::Unreadable, Seen::Object(object(3, 300))]);
    shard.put(2, object(22, 10)).expect("written");
    assert_eq!(shard.look(&sorted, 2), Seen::Object(object(22, 10)));
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("and again");
    assert_eq!(shard.look(&sorted, 2), Seen::Object(object(22, 10)));
    assert!(!shard.recovered.report.has_lost() && !shard.recovered.store.wounds().is_empty());
    drop(shard);
    assert_eq!(run_ready(Wounds::accept(&disk)).expect("accepted").len(), 1);
    assert!(Shard::open(&disk, &mut sorted, small_options()).expect("healed").recovered.store.wounds().is_empty());
}

#[test]
fn a_torn_tail_is_reported_left_alone_and_stays_cut_when_the_log_has_gone_on() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let path = small_log(&disk, &mut sorted, false);
    disk.spoil(&path, |bytes| bytes[batch_at(4) + 100] ^= 1);
    let torn = disk.content(&path);
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("cut");
    let (named, offset, why) = shard.recovered.report.torn_tail.clone().expect("reported");
    assert_eq!((named, offset), (path.clone(), batch_at(4) as u64));
    assert!(why.contains("checksum"), "{why}");
    assert_eq!(shard.recovered.last_lsn, Lsn(8));
    shard.put(20, object(20, 10)).expect("written");
    assert_eq!(disk.content(&path), torn, "the tail was not written over");
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    assert_eq!((shard.recovered.last_lsn, shard.get(&sorted, 9)), (Lsn(9), None));
    assert_eq!(shard.get(&sorted, 20), Some(object(20, 10)));
}

#[test]
fn a_segment_whose_only_batch_is_torn_makes_room_for_the_next_of_its_name() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    Shard::open(&disk, &mut sorted, small_options()).expect("fresh").put(1, object(1, 10)).expect("written");
    disk.spoil("wal/0000000000000001.log", |bytes| bytes[batch_at(0) + 40] ^= 1);
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("cut");
    assert_eq!(shard.recovered.report.segments_removed, 1);
    shard.put(2, object(2, 10)).expect("written");
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    assert_eq!((shard.get(&sorted, 1), shard.get(&sorted, 2)), (None, Some(object(2, 10))));
}

#[test]
fn a_missing_foreign_or_misnamed_segment_costs_what_it_held_and_no_more() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    for key in 0..40 {
        shard.put(key, object(key, 300)).expect("written");
    }
    shard.seal().expect("sealed");
    let segments: Vec<String> = disk.paths().into_iter().filter(|path| path.ends_with(".log")).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    let first_of = |path: &str| u64::from_str_radix(&path[4..20], 16).expect("a number");
    for (place, lost) in segments.iter().enumerate() {
        let spoiled = disk.copy();
        spoiled.lose(lost);
        let mut copy = sorted.clone();
        let mut shard = Shard::open(&spoiled, &mut copy, small_options()).expect("opened");
        let (from, to) = (first_of(lost), segments.get(place + 1).map_or(41, |next| first_of(next)));
        let report = shard.recovered.report.clone();
        assert_eq!((report.records_lost, report.wounds.len()), (to - from, 1), "{lost}: {report:?}");
        for key in 0..40 {
            let lsn = key + 1;
            let expected = if to <= lsn { Seen::Object(object(key, 300)) } else { Seen::Unreadable };
            assert_eq!(shard.look(&copy, key), expected, "key {key} without {lost}");
        }
        let misnamed = disk.copy();
        misnamed.name_anew(lost, "wal/00000000000000ff.log");
        let mut copy = sorted.clone();
        let mut shard = Shard::open(&misnamed, &mut copy, small_options()).expect("opened");
        assert!(!shard.recovered.report.has_lost(), "{:?}", shard.recovered.report);
        assert_eq!(shard.recovered.report.set_aside.len(), 1);
        assert!((0..40).all(|key| shard.get(&copy, key) == Some(object(key, 300))));
        let foreign = disk.copy();
        foreign.spoil(lost, |bytes| *bytes = of_another_shard());
        let shard = Shard::open(&foreign, &mut sorted.clone(), small_options()).expect("opened");
        let report = shard.recovered.report;
        assert!(report.records_lost == to - from && report.set_aside[0].0.contains("-foreign"), "{report:?}");
    }
}

/// A segment of shard 4.
fn of_another_shard() -> Vec<u8> {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let options = RecoverOptions { shard: 4, ..small_options() };
    Shard::open(&disk, &mut sorted, options).expect("fresh").put(1, object(1, 10)).expect("written");
    disk.content("wal/0000000000000001.log")
}

#[test]
fn one_manifest_is_enough_and_without_any_the_store_tells() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    for key in 0..40 {
        shard.put(key, object(key, 300)).expect("written");
        if key == 25 {
            shard.checkpoint(&mut sorted).expect("checkpointed");
        }
    }
    drop(shard);
    for (lost, flipped) in
        [(&["manifest"][..], false), (&["manifest.copy"], false), (&["manifest", "manifest.copy"], false)]
            .into_iter()
            .flat_map(|(lost, _)| [(lost, false), (lost, true)])
    {
        let (copy, mut sorted) = (disk.copy(), sorted.clone());
        for path in lost {
            if flipped { copy.spoil(path, |bytes| bytes[20] ^= 4) } else { copy.lose(path) }
        }
        for round in 0..2 {
            let mut shard = Shard::open(&copy, &mut sorted, small_options()).expect("opened");
            let report = &shard.recovered.report;
            assert!(!report.is_fresh && !report.has_lost(), "{report:?}");
            let aside = if flipped && round == 0 { lost.len() } else { 0 };
            assert_eq!(report.set_aside.len(), aside, "{lost:?} {report:?}");
            assert!((0..40).all(|key| shard.get(&sorted, key) == Some(object(key, 300))));
        }
        assert_eq!(copy.content("manifest"), copy.content("manifest.copy"));
    }
}

#[test]
fn lost_wounds_are_taken_for_the_worst() {
    let disk = CrashDisk::default();
    let path = small_log(&disk, &mut MemorySortedStore::new(), true);
    disk.spoil(&path, |bytes| bytes[batch_at(1) + 200] ^= 1);
    let mut sorted = MemorySortedStore::new();
    Shard::open(&disk, &mut sorted, small_options()).expect("opened");
    for (lost, wounds) in [(&["wounds"][..], 1), (&["wounds.copy"], 1), (&["wounds", "wounds.copy"], 1)] {
        let (copy, mut sorted) = (disk.copy(), sorted.clone());
        lost.iter().for_each(|path| copy.lose(path));
        let mut shard = Shard::open(&copy, &mut sorted, small_options()).expect("opened");
        assert_eq!(shard.recovered.store.wounds().len(), wounds);
        let unreadable = read_all(&mut shard, &sorted).0.len();
        assert_eq!(unreadable, if lost.len() == 1 { 1 } else { 10 }, "{lost:?}");
    }
}

#[test]
fn directories_of_another_shard_or_version_are_refused_by_name_and_left_alone() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let path = small_log(&disk, &mut sorted, false);
    let options = RecoverOptions { shard: 4, ..small_options() };
    let error = Shard::open(&disk, &mut sorted, options).err().expect("refused").to_string();
    assert!(error.contains("belongs to shard 3, not to shard 4"), "{error}");
    let newer: [&[&str]; 3] = [&["manifest", "manifest.copy"], &[&path], &["wounds"]];
    for paths in newer {
        let copy = disk.copy();
        if paths == ["wounds"] {
            copy.put_file("wounds", &[b"RONDOWND".as_slice(), &[9, 0], &[0; 54]].concat());
        }
        for at in [8, 4096 + 8] {
            paths
                .iter()
                .filter(|path| at < copy.content(path).len())
                .for_each(|path| copy.spoil(path, |bytes| bytes[at] = 9));
        }
        let before = copy.paths();
        let error = Shard::open(&copy, &mut sorted, small_options()).err().expect("refused").to_string();
        assert!(error.contains("format version 9") && error.contains(paths[0]), "{error}");
        assert_eq!(copy.paths(), before);
    }
}

#[test]
fn a_log_larger_than_memory_goes_on_to_the_sorted_store() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    for key in 0..200 {
        shard.put(key, object(key, 300)).expect("written");
    }
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    let report = &shard.recovered.report;
    assert!(
        report.records_checkpointed > 0 && report.records_checkpointed + report.records_replayed == 200,
        "{report:?}"
    );
    assert!(shard.recovered.store.stats().memtable_active_bytes <= 2 * 16 * 1024, "as much as both tables may have");
    for key in 0..200 {
        assert_eq!(shard.get(&sorted, key), Some(object(key, 300)));
    }
    let shard = Shard::open(&disk, &mut sorted, small_options()).expect("and again");
    assert_eq!(shard.recovered.last_lsn, Lsn(200));
}

#[test]
fn starts_that_leave_a_nearly_empty_file_each_make_a_checkpoint_due() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    // Files of 32 KiB, and a checkpoint after 1 MiB of log.
    let due_at = (0..100).find(|&key| {
        let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("opened");
        let is_due = shard.recovered.store.checkpoint_due();
        shard.put(key, object(key, 10)).expect("written");
        is_due
    });
    assert_eq!(due_at, Some(33));
    let shard = Shard::open(&disk, &mut sorted, small_options()).expect("opened");
    assert!(shard.recovered.store.stats().memtable_active_bytes < 16 * 1024, "the memtable is far from full");
}

#[test]
fn the_largest_object_fits_and_comes_back() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let options = RecoverOptions { wal: WalLimits::default(), ..small_options() };
    let mut shard = Shard::open(&disk, &mut sorted, options).expect("fresh");
    shard.append(1, object(1, 8 << 20));
    shard.append(2, object(2, 1 << 20));
    shard.commit().expect("written");
    let mut shard = Shard::open(&disk, &mut sorted, options).expect("reopened");
    assert_eq!(shard.get(&sorted, 1).map(|found| found.len()), Some(8 << 20));
    assert_eq!(shard.get(&sorted, 2), Some(object(2, 1 << 20)));
}

#[test]
fn after_a_failed_sync_the_same_batch_goes_to_a_new_segment() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    shard.put(1, object(1, 10)).expect("written");
    disk.power_off_after(1); // The write passes, its sync does not.
    shard.append(2, object(2, 10));
    let batch = shard.recovered.store.take_batch().expect("a batch");
    let failure = run_ready(shard.writer.write(batch)).expect_err("failed");
    assert!(matches!(failure.error, StorageError::Io { action: "write", .. }), "{failure}");
    assert_eq!((failure.trouble, failure.batch.first_lsn()), (DiskTrouble::Failing, Lsn(2)));
    disk.power_off_after(u64::MAX);
    let path = "wal/0000000000000001.log";
    let given_up = disk.content(path);
    assert_eq!(run_ready(shard.writer.write(failure.batch)).expect("written"), Lsn(2));
    shard.recovered.store.committed(Lsn(2));
    shard.put(3, object(3, 10)).expect("written");
    assert_eq!(disk.content(path), given_up, "never written again");
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    assert_eq!((shard.recovered.last_lsn, shard.recovered.report.has_lost()), (Lsn(3), false));
    assert!((1..=3).all(|key| shard.get(&sorted, key) == Some(object(key, 10))));
}

/// One life: random puts and checkpoints until the power goes. Keeps the books on what must and what may be there.
fn live(
    disk: &CrashDisk,
    sorted: &mut MemorySortedStore,
    acknowledged: &mut BTreeMap<u64, u64>,
    dice: &mut Dice,
    version: &mut u64,
) -> Result<(), StorageError> {
    let mut shard = Shard::open(disk, sorted, small_options())?;
    let found: BTreeMap<u64, u64> = (0..24).filter_map(|key| Some((key, number(&shard.get(sorted, key)?)))).collect();
    for (key, oldest) in acknowledged.iter() {
        let now = found.get(key).copied().unwrap_or(0);
        assert!(*oldest <= now, "key {key} was acknowledged at {oldest} and is at {now}");
    }
    *acknowledged = found; // What was read is as good as acknowledged.
    for _ in 0..60 {
        let mut appended = Vec::new();
        for _ in 0..=dice.roll(3) {
            *version += 1;
            let (key, bytes) = (dice.roll(24), 8 + dice.roll(2000) as usize);
            let mut object = object(*version, bytes);
            object[..8].copy_from_slice(&version.to_le_bytes());
            shard.append(key, object);
            appended.push((key, *version));
        }
        shard.commit()?;
        acknowledged.extend(appended);
        if shard.recovered.store.checkpoint_due() {
            shard.checkpoint(sorted)?;
        }
    }
    Ok(())
}

fn number(object: &[u8]) -> u64 {
    u64::from_le_bytes(object[..8].try_into().expect("eight bytes"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2000 }))]
    #[test]
    fn no_power_cut_at_any_step_loses_what_was_acknowledged(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
        let (mut acknowledged, mut version) = (BTreeMap::new(), 0);
        for _ in 0..6 {
            disk.power_off_after(dice.roll(300));
            if let Err(error) = live(&disk, &mut sorted, &mut acknowledged, &mut dice, &mut version) {
                prop_assert!(error.to_string().contains("the power is off"), "{}", error);
            }
            disk.crash(&mut dice);
            sorted.crash(|_| dice.roll(2) == 0);
        }
        live(&disk, &mut sorted, &mut acknowledged, &mut dice, &mut version).expect("the power stays on");
    }
}

#[test]
fn a_checkpoint_interrupted_at_any_step_changes_nothing_that_is_read() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    for key in 0..60 {
        shard.put(key, object(key, 500)).expect("written");
    }
    drop(shard);
    for steps in 0..60 {
        let (copy, mut sorted) = (disk.copy(), sorted.clone());
        let mut dice = Dice(steps);
        copy.power_off_after(steps);
        let outcome =
            Shard::open(&copy, &mut sorted, small_options()).and_then(|mut shard| shard.checkpoint(&mut sorted));
        copy.crash(&mut dice);
        sorted.crash(|_| dice.roll(2) == 0);
        let mut shard = Shard::open(&copy, &mut sorted, small_options()).expect("reopened");
        for key in 0..60 {
            assert_eq!(shard.get(&sorted, key), Some(object(key, 500)), "key {key} after {steps} steps ({outcome:?})");
        }
        assert_eq!(shard.recovered.last_lsn, Lsn(60));
    }
}

#[test]
fn what_is_checkpointed_leaves_the_log_and_is_not_replayed() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    for key in 0..40 {
        shard.put(key, object(key, 300)).expect("written");
    }
    let before = shard.writer.segments();
    shard.checkpoint(&mut sorted).expect("checkpointed");
    assert!(before > 3 && shard.writer.segments() == 1, "{before} then {}", shard.writer.segments());
    let shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    assert_eq!((shard.recovered.report.records_replayed, shard.recovered.last_lsn), (0, Lsn(40)));
}
