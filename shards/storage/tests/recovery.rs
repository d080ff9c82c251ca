//! What comes back after the power went: all that was acknowledged, or an error that says what is wrong.

mod support;

use proptest::prelude::*;
use rondo_storage::{LogRecord, Lsn, MemorySortedStore, RecoverOptions, StorageError, WalLimits};
use std::collections::BTreeMap;
use support::{CrashDisk, Dice, Shard, small_options};

fn object(seed: u64, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (seed as usize * 31 + at) as u8).collect()
}

/// A small log: ten puts in five batches, on one segment. Its path.
fn small_log(disk: &CrashDisk, sorted: &mut MemorySortedStore) -> String {
    let mut shard = Shard::open(disk, sorted, small_options()).expect("fresh");
    for key in 0..10 {
        shard.append(key, object(key, 300));
        if key % 2 == 1 {
            shard.commit().expect("written");
        }
    }
    let path = "wal/0000000000000001.log";
    assert!(disk.paths().contains(&path.to_owned()));
    path.to_owned()
}

/// Opens the shard and says which of the ten keys are there; `Err` is a clear refusal.
fn reopen(disk: &CrashDisk, sorted: &mut MemorySortedStore) -> Result<u64, StorageError> {
    let mut shard = Shard::open(disk, sorted, small_options())?;
    let last = shard.recovered.last_lsn.0;
    for key in 0..10 {
        let expected = (key < last).then(|| object(key, 300));
        assert_eq!(shard.get(sorted, key), expected, "key {key} of {last}");
    }
    Ok(last)
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
fn every_truncation_leaves_whole_batches_from_the_start() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let path = small_log(&disk, &mut sorted);
    for length in (0..6 * 4096).step_by(97).chain([4096, 8192, 12288]) {
        let cut = disk.copy();
        cut.spoil(&path, |bytes| bytes.truncate(length));
        let last = reopen(&cut, &mut sorted).expect("a cut end is no damage");
        assert!(last.is_multiple_of(2) && last <= (length.saturating_sub(1) / 4096) as u64 * 2, "{last} of {length}");
    }
}

#[test]
fn every_flipped_bit_gives_the_exact_prefix_or_a_clear_error() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let path = small_log(&disk, &mut sorted);
    let (mut refused, mut whole, mut cut) = (0, 0, 0);
    for at in 0..6 * 4096 {
        if at % 4096 > 800 && at % 61 != 0 {
            continue; // Padding: a sample is enough.
        }
        let spoiled = disk.copy();
        spoiled.spoil(&path, |bytes| bytes[at] ^= 1 << (at % 8));
        match reopen(&spoiled, &mut sorted) {
            Ok(10) => whole += 1,
            // Only the last batch can be taken for one that was being written.
            Ok(last) => {
                assert_eq!((last, at / 4096), (8, 5), "byte {at}");
                cut += 1;
            }
            Err(StorageError::Damaged { path: named, .. }) => {
                assert_eq!(named, path);
                refused += 1;
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused > 1000 && whole > 100 && cut > 600, "{refused} refused, {whole} whole, {cut} cut");
}

#[test]
fn a_torn_tail_is_reported_left_alone_and_stays_cut_when_the_log_has_gone_on() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let path = small_log(&disk, &mut sorted);
    disk.spoil(&path, |bytes| bytes[5 * 4096 + 100] ^= 1);
    let torn = disk.content(&path);
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("cut");
    let (named, offset, why) = shard.recovered.report.torn_tail.clone().expect("reported");
    assert_eq!((named, offset), (path.clone(), 5 * 4096));
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
    disk.spoil("wal/0000000000000001.log", |bytes| bytes[4096 + 40] ^= 1);
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("cut");
    assert_eq!(shard.recovered.report.segments_removed, 1);
    shard.put(2, object(2, 10)).expect("written");
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("reopened");
    assert_eq!((shard.get(&sorted, 1), shard.get(&sorted, 2)), (None, Some(object(2, 10))));
}

#[test]
fn a_missing_segment_or_manifest_is_an_error_that_names_it() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    for key in 0..40 {
        shard.put(key, object(key, 300)).expect("written");
    }
    let segments: Vec<String> = disk.paths().into_iter().filter(|path| path.ends_with(".log")).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    for lost in segments.iter().take(segments.len() - 1).chain([&"manifest".to_owned()]) {
        let spoiled = disk.copy();
        spoiled.lose(lost);
        let error = Shard::open(&spoiled, &mut sorted, small_options()).err().expect("refused").to_string();
        assert!(error.contains("damaged") && error.contains("restore"), "{error}");
    }
}

#[test]
fn directories_of_another_shard_or_engine_are_refused_by_name() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    small_log(&disk, &mut sorted);
    let options = RecoverOptions { shard: 4, ..small_options() };
    let error = Shard::open(&disk, &mut sorted, options).err().expect("refused").to_string();
    assert!(error.contains("belongs to shard 3, not to shard 4"), "{error}");
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
    assert!(shard.recovered.store.stats().memtable_active_bytes <= 16 * 1024);
    for key in 0..200 {
        assert_eq!(shard.get(&sorted, key), Some(object(key, 300)));
    }
    let shard = Shard::open(&disk, &mut sorted, small_options()).expect("and again");
    assert_eq!(shard.recovered.last_lsn, Lsn(200));
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
fn a_failed_write_closes_the_log_for_good() {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    shard.put(1, object(1, 10)).expect("written");
    disk.power_off_after(1); // The write passes, its sync does not.
    let first = shard.put(2, object(2, 10)).expect_err("failed");
    assert!(matches!(first, StorageError::Io { action: "sync", .. }), "{first}");
    disk.power_off_after(u64::MAX);
    let second = shard.put(3, object(3, 10)).expect_err("closed");
    assert!(matches!(second, StorageError::Poisoned { .. }), "{second}");
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
                prop_assert!(error.to_string().contains("the power is off") || error.to_string().contains("closed since"), "{}", error);
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
