//! A disk's life as a list of what happened to it, and what it takes after each.

use super::*;

const ENOUGH: Room = Room::Enough { free_bytes: 1 << 30 };
const LITTLE: Room = Room::Little { free_bytes: 1 << 20 };

fn at(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

#[test]
fn little_room_takes_deletes_only_until_there_is_room() {
    let mut health = DiskHealth::default();
    assert_eq!(health.look(at(0), LITTLE), Some(Takes::Deletes));
    assert_eq!(health.look(at(1), LITTLE), None);
    assert!(health.report().reason.is_some_and(|reason| reason.contains("1 MiB")));
    assert_eq!(health.look(at(2), ENOUGH), Some(Takes::All));
}

#[test]
fn a_full_disk_is_writable_again_when_the_reserve_is_back() {
    let mut health = DiskHealth::default();
    health.began(at(0));
    health.refused(Attempt::Commit, DiskTrouble::NoSpace, "no space".to_owned(), at(1));
    assert_eq!(health.look(at(1), LITTLE), Some(Takes::Deletes));
    assert!(health.may_try(at(1)) && health.uses_reserve(), "the reserve is tried at once");
    health.written(Attempt::CommitFromReserve);
    assert!(!health.may_refill(at(500)), "there is no room yet");
    assert_eq!(health.look(at(500), ENOUGH), None, "and still no reserve");
    assert!(health.may_refill(at(500)));
    health.refilled(true, at(501));
    assert_eq!(health.look(at(501), ENOUGH), Some(Takes::All));
}

#[test]
fn without_room_and_reserve_nothing_is_taken() {
    let mut health = DiskHealth::default();
    health.refused(Attempt::Commit, DiskTrouble::NoSpace, "no space".to_owned(), at(0));
    health.refused(Attempt::CommitFromReserve, DiskTrouble::NoSpace, "no space".to_owned(), at(0));
    assert_eq!(health.look(at(0), LITTLE), Some(Takes::Nothing));
    assert_eq!(health.report().condition, DiskCondition::Full);
    assert!(!health.may_try(at(0)));
    health.written(Attempt::CommitFromReserve);
    assert_eq!(health.look(at(2000), ENOUGH), Some(Takes::Deletes));
}

#[test]
fn a_disk_that_says_it_has_room_and_has_none_does_not_go_back_and_forth() {
    let (mut health, mut changes) = (DiskHealth::default(), 0);
    for millis in 0..60_000 {
        let now = at(millis);
        changes += u64::from(health.look(now, ENOUGH) == Some(Takes::All));
        match health.condition() {
            DiskCondition::Writable => {
                health.refused(Attempt::Commit, DiskTrouble::NoSpace, "no space".to_owned(), now);
            }
            _ if health.may_refill(now) => health.refilled(true, now),
            _ => health.written(Attempt::CommitFromReserve),
        }
    }
    assert!(changes < 60, "{changes} times in a minute");
}

#[test]
fn the_reserve_is_not_filled_while_there_is_room_for_nothing_else() {
    let mut health = DiskHealth::default();
    health.refused(Attempt::Commit, DiskTrouble::NoSpace, "no space".to_owned(), at(0));
    health.look(at(5000), Room::Enough { free_bytes: REFILL_FREE_BYTES - 1 });
    assert!(!health.may_refill(at(5000)));
    health.look(at(5000), ENOUGH);
    assert!(health.may_refill(at(5000)));
}

#[test]
fn a_disk_that_fails_is_tried_again_with_growing_waits_and_is_well_when_one_try_got_through() {
    let mut health = DiskHealth::default();
    let mut now = at(0);
    for _ in 0..10 {
        health.refused(Attempt::Commit, DiskTrouble::Failing, "an I/O error".to_owned(), now);
        health.look(now, ENOUGH);
        assert_eq!(health.takes, Takes::Nothing);
        assert!(!health.may_try(now));
        now += DISK_RETRY_MAX;
        assert!(health.wants_try(now) && health.may_try(now));
    }
    health.written(Attempt::Commit);
    assert_eq!(health.look(now, ENOUGH), Some(Takes::All));
    assert!(!health.wants_try(now + DISK_RETRY_MAX));
}

#[test]
fn a_write_that_does_not_come_back_stalls_the_shard_until_it_does() {
    let mut health = DiskHealth::default();
    health.began(at(100));
    assert_eq!(health.look(at(1099), ENOUGH), None);
    assert_eq!(health.look(at(1100), ENOUGH), Some(Takes::Nothing));
    assert_eq!(health.report().stalled_since, Some(at(100)));
    health.written(Attempt::Commit);
    assert_eq!(health.look(at(9000), ENOUGH), Some(Takes::All));
}

#[test]
fn a_probe_that_does_not_come_back_stalls_the_shard_though_nothing_is_written() {
    let mut health = DiskHealth::default();
    health.probing(Some(at(100)));
    assert_eq!(health.look(at(1099), ENOUGH), None);
    assert_eq!(health.next_look(at(1099)), Some(at(1100)));
    assert_eq!(health.look(at(1100), ENOUGH), Some(Takes::Nothing));
    assert_eq!(health.report().stalled_since, Some(at(100)));
    // A write that gets through says nothing of the probe: that speaks for itself.
    health.began(at(1200));
    health.written(Attempt::Commit);
    assert_eq!(health.look(at(1201), ENOUGH), None);
    health.probing(None);
    assert_eq!(health.look(at(1202), ENOUGH), Some(Takes::All));
}
