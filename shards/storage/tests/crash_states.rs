//! Every power cut: at each change of a life, in every state that the disk may then be in, all that was acknowledged is there.
//!
//! The states are enumerated, not rolled, as far as they are few: unsynced writes lost, kept, or torn by sectors; names
//! before or after each change since their directory was synced; lengths before or after. Recovery itself is cut short, too.

mod support;

use rondo_storage::{MemorySortedStore, SortedStore};
use support::life::{Life, Mark, after_power_cut, eventful, power_cuts, read_all};
use support::traced::{Files, TracedDisk};
use support::{Dice, Shard, small_options};

/// States below which the enumeration has not done its work.
const STATES_MIN: usize = 4_000;

fn check_all(life: &Life) -> Result<usize, String> {
    let (trace, mut dice, mut states) = (life.disk.trace(), Dice(1), 0);
    for (at, cut) in power_cuts(&Files::new(), &trace) {
        let mark = life.marks.iter().rev().find(|mark| mark.at <= at).expect("there is one at the very beginning");
        let issued = life.marks.iter().find(|mark| at < mark.at).map_or(u64::MAX, |mark| mark.issued);
        for files in cut.states(&mut dice) {
            let sorted = after_power_cut(&mark.sorted, &mut dice);
            let checked = check(&files, &sorted, mark, issued, &mut dice);
            states += checked.map_err(|what| format!("cut after change {at} of {}: {what}", trace.len()))?;
        }
    }
    Ok(states)
}

/// Recovers one state, and then what is left when the power goes again during that; says how many states it was.
fn check(
    files: &Files,
    sorted: &MemorySortedStore,
    mark: &Mark,
    issued: u64,
    dice: &mut Dice,
) -> Result<usize, String> {
    let (disk, mut after) = (TracedDisk::with(files), sorted.clone());
    let seen = recover(&disk, &mut after, mark, issued)?;
    let again = recover(&disk, &mut after, mark, issued)?;
    if seen != again {
        return Err(format!("read {seen:?}, and after another start {again:?}"));
    }
    let (trace, mut states) = (disk.trace(), 1);
    let wanted = dice.roll(4 * trace.len() as u64 + 1) as usize;
    for (_, cut) in power_cuts(files, &trace).filter(|(at, _)| *at == wanted) {
        for files in cut.states(dice).into_iter().take(4) {
            let mut store = store_beside(&files, sorted, &after, dice);
            recover(&TracedDisk::with(&files), &mut store, mark, issued)?;
            states += 1;
        }
    }
    Ok(states)
}

fn recover(
    disk: &TracedDisk,
    sorted: &mut MemorySortedStore,
    mark: &Mark,
    issued: u64,
) -> Result<Vec<Option<u64>>, String> {
    let mut shard = Shard::open(disk, sorted, small_options()).map_err(|error| error.to_string())?;
    let report = shard.recovered.report.clone();
    if report.has_lost() || !report.set_aside.is_empty() {
        return Err(format!("a power cut is no damage: {report:?}"));
    }
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read_all(&mut shard, sorted)));
    let seen = seen.map_err(|_| "a value that was never written".to_owned())?;
    for (key, found) in seen.iter().enumerate() {
        let acknowledged = mark.acknowledged.get(&(key as u64)).copied().unwrap_or(0);
        if found.is_none_or(|found| found < acknowledged || issued < found) {
            return Err(format!("key {key} was acknowledged at {acknowledged} and is at {found:?}: {report:?}"));
        }
    }
    Ok(seen)
}

#[test]
fn no_power_cut_in_any_state_of_the_disk_loses_what_was_acknowledged() {
    let states = check_all(&eventful()).unwrap_or_else(|what| panic!("{what}"));
    println!("{states} states after a power cut were recovered");
    assert!(states >= STATES_MIN, "{states} states");
}

#[test]
fn every_step_may_fail_and_nothing_acknowledged_is_lost_and_no_number_left_out() {
    let mut failed = 0;
    for kind in [std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull] {
        for step in 0.. {
            let mut life = Life::begin();
            life.disk.fail(step, kind);
            let begun = life.disk.steps();
            for key in 0..10 {
                life.put(key, 2000 + 700 * key as usize);
                if key == 4 {
                    life.checkpoint(2).expect("checkpointed at the second try");
                }
            }
            assert_eq!(life.shard.recovered.store.last_lsn().0, 10);
            assert!(!life.disk.touched_after_failure(), "{kind:?} at step {step}");
            // The states at the very end are enough here.
            let (mark, trace) = (life.marks.last().expect("many").clone(), life.disk.trace());
            let (_, cut) = power_cuts(&Files::new(), &trace).last().expect("one at least");
            let mut dice = Dice(step as u64);
            for files in cut.states(&mut dice) {
                let sorted = after_power_cut(&life.sorted, &mut dice);
                let checked = check(&files, &sorted, &mark, u64::MAX, &mut dice);
                checked.unwrap_or_else(|what| panic!("{kind:?} at step {step}: {what}"));
            }
            if life.disk.steps() - begun <= step {
                break;
            }
            failed += 1;
        }
    }
    assert!(failed > 100, "{failed} steps");
}

#[test]
fn a_recovery_from_rot_may_be_cut_short_anywhere_and_loses_no_more() {
    let mut life = Life::begin();
    for key in 0..8 {
        life.put(key, 900);
    }
    life.shard.seal().expect("sealed");
    let (mut files, mark, mut dice, mut states) =
        (life.disk.files(), life.marks.last().expect("many").clone(), Dice(5), 0);
    // The object of key 3; and the batches of key 4 and 5 change places.
    let segment = files.get_mut("wal/0000000000000001.log").expect("the segment");
    segment[(2 + 3) * 4096 + 500] ^= 1;
    let (left, right) = segment.split_at_mut((2 + 5) * 4096);
    left[(2 + 4) * 4096..].swap_with_slice(&mut right[..4096]);
    // Key 2 has the token of key 3, and is older than what is lost.
    let found = |key: u64| if key < 8 { Some(key + 1) } else { Some(0) };
    let expected: Vec<Option<u64>> = (0..12).map(|key| if matches!(key, 2 | 3) { None } else { found(key) }).collect();
    let (disk, mut sorted) = (TracedDisk::with(&files), mark.sorted.clone());
    let look = |disk: &TracedDisk, sorted: &mut MemorySortedStore| {
        let mut shard = Shard::open(disk, sorted, small_options()).expect("opened");
        assert_eq!(read_all(&mut shard, sorted), expected, "{:?}", shard.recovered.report);
        assert_eq!(shard.recovered.store.wounds().len(), 1);
    };
    look(&disk, &mut sorted);
    let trace = disk.trace();
    for (_, cut) in power_cuts(&files, &trace) {
        for files in cut.states(&mut dice) {
            let mut store = store_beside(&files, &mark.sorted, &sorted, &mut dice);
            look(&TracedDisk::with(&files), &mut store);
            states += 1;
        }
    }
    println!("{states} states of an interrupted recovery");
    assert!(states > 80, "{states}");
}

/// The sorted store that may lie beside these files: the one from before a recovery, or the one from after it. What a
/// manifest says to be in the store is in it.
fn store_beside(
    files: &Files,
    before: &MemorySortedStore,
    after: &MemorySortedStore,
    dice: &mut Dice,
) -> MemorySortedStore {
    let upto = |path: &str| {
        files.get(path).map_or(0, |bytes| u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes")))
    };
    let needed = upto("manifest").max(upto("manifest.copy"));
    let may_be_old = needed <= before.durable_upto().expect("memory does not fail").0;
    if may_be_old && dice.roll(2) == 0 { before.clone() } else { after.clone() }
}

/// Each of these bugs loses something acknowledged in one of the states, or gives what was never written.
#[cfg(feature = "planted")]
#[test]
fn the_planted_bugs_are_found() {
    use rondo_storage::planted::{Planted, plant};
    for bug in [
        Planted::SkipSync,
        Planted::SkipDirSync,
        Planted::SkipCrc,
        Planted::DropLogEarly,
        Planted::TornManifestAccepted,
        Planted::RetryFailedSync,
    ] {
        plant(Some(bug));
        let found = std::panic::catch_unwind(|| check_all(&eventful()));
        plant(None);
        match found {
            Ok(Ok(states)) => panic!("{bug:?} was not found in {states} states"),
            Ok(Err(what)) => println!("{bug:?}: {what}"),
            Err(_) => println!("{bug:?}: a broken belief"),
        }
    }
}
