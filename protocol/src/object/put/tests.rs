//! Stories of writers that meet, and of those that do not.

use super::*;
use crate::causality::{ActorId, Hlc};
use crate::limits::VALUE_BYTES_MAX;
use ConflictPolicy::{Lww, Siblings};
use bytes::Bytes;

/// One replica's copy of one key.
struct Copy {
    actor: u64,
    policy: ConflictPolicy,
    object: Option<EncodedObject>,
    arena: BytesMut,
}

impl Copy {
    fn new(actor: u64, policy: ConflictPolicy) -> Copy {
        Copy { actor, policy, object: None, arena: BytesMut::new() }
    }

    fn put(&mut self, time: u64, context: &VersionVector, value: &str) -> usize {
        self.try_put(time, context, SiblingKind::Value(value.as_bytes())).expect("within limits")
    }

    fn try_put(&mut self, time: u64, context: &VersionVector, kind: SiblingKind) -> Result<usize, ObjectTooLarge> {
        let dot = Dot { hlc: Hlc(time), actor: ActorId::from_u64(self.actor) };
        let current = self.object.as_ref();
        let outcome = EncodedObject::put(current, self.policy, dot, context, kind, &mut self.arena)?;
        self.object = Some(outcome.object);
        Ok(outcome.discarded)
    }

    fn hear(&mut self, other: &Copy) {
        let Some(theirs) = &other.object else { return };
        let merged = self.object.as_ref().map_or(theirs.clone(), |own| own.merge(theirs, self.policy, &mut self.arena));
        self.object = Some(merged);
    }

    fn values(&self) -> Vec<String> {
        let text =
            |sibling: Sibling| sibling.kind.value().map_or("-".into(), |value| String::from_utf8_lossy(value).into());
        self.object.iter().flat_map(|object| object.siblings().map(text)).collect()
    }

    fn seen(&self) -> VersionVector {
        self.object.as_ref().map(EncodedObject::seen).unwrap_or_default()
    }
}

fn blind() -> VersionVector {
    VersionVector::default()
}

#[test]
fn blind_writes_stay_side_by_side_until_somebody_merges_them() {
    let mut copy = Copy::new(1, Siblings);
    copy.put(1, &blind(), "tea");
    copy.put(2, &blind(), "milk");
    assert_eq!(copy.values(), ["tea", "milk"]);
    let seen = copy.seen();
    copy.put(3, &seen, "tea and milk");
    assert_eq!(copy.values(), ["tea and milk"]);
}

#[test]
fn a_context_replaces_what_it_saw_and_not_what_came_after() {
    let mut copy = Copy::new(1, Siblings);
    copy.put(1, &blind(), "first");
    let seen = copy.seen();
    copy.put(2, &blind(), "meanwhile");
    copy.put(3, &seen, "second");
    assert_eq!(copy.values(), ["meanwhile", "second"]);
}

#[test]
fn writes_at_two_replicas_meet_and_are_both_kept() {
    let (mut one, mut two) = (Copy::new(1, Siblings), Copy::new(2, Siblings));
    one.put(1, &blind(), "left");
    two.put(1, &blind(), "right");
    one.hear(&two);
    two.hear(&one);
    assert_eq!(one.values(), ["left", "right"]);
    assert_eq!(one.object, two.object);
}

#[test]
fn an_overwritten_version_does_not_come_back_from_a_replica_that_slept() {
    let (mut one, mut two) = (Copy::new(1, Siblings), Copy::new(2, Siblings));
    one.put(1, &blind(), "old");
    two.hear(&one);
    let seen = one.seen();
    one.put(2, &seen, "new");
    one.hear(&two);
    assert_eq!(one.values(), ["new"]);
}

#[test]
fn a_context_may_know_more_than_the_replica_that_takes_the_write() {
    let (mut one, mut two) = (Copy::new(1, Siblings), Copy::new(2, Siblings));
    one.put(1, &blind(), "only here");
    let seen = one.seen();
    two.put(2, &seen, "knows of it");
    assert_eq!(two.values(), ["knows of it"]);
    two.hear(&one);
    assert_eq!(two.values(), ["knows of it"]);
}

#[test]
fn a_delete_is_a_version_too_and_loses_to_nobody_it_has_not_seen() {
    let mut copy = Copy::new(1, Siblings);
    copy.put(1, &blind(), "value");
    let seen = copy.seen();
    copy.put(2, &blind(), "unseen");
    copy.try_put(3, &seen, SiblingKind::Tombstone).expect("within limits");
    assert_eq!(copy.values(), ["unseen", "-"]);
    assert!(!copy.object.as_ref().expect("written").is_deleted());
    let seen = copy.seen();
    copy.try_put(4, &seen, SiblingKind::Tombstone).expect("within limits");
    assert!(copy.object.as_ref().expect("written").is_deleted());
}

#[test]
fn the_last_write_wins_whatever_the_order_of_arrival() {
    let (mut one, mut two) = (Copy::new(1, Lww), Copy::new(2, Lww));
    one.put(5, &blind(), "later");
    two.put(4, &blind(), "earlier");
    one.hear(&two);
    two.hear(&one);
    assert_eq!((one.values(), two.values()), (vec!["later".into()], vec!["later".into()]));
    assert_eq!(one.seen().entries().len(), 1, "an object that keeps one version names one actor");
}

#[test]
fn at_the_same_time_the_higher_actor_wins_everywhere() {
    let (mut one, mut two) = (Copy::new(1, Lww), Copy::new(2, Lww));
    one.put(5, &blind(), "one");
    two.put(5, &blind(), "two");
    one.hear(&two);
    two.hear(&one);
    assert_eq!((one.values(), two.values()), (vec!["two".into()], vec!["two".into()]));
}

#[test]
fn a_version_dropped_unseen_is_counted_and_a_seen_one_is_not() {
    let mut copy = Copy::new(1, Lww);
    assert_eq!(copy.put(1, &blind(), "a"), 0, "there was nothing to drop");
    assert_eq!(copy.put(2, &blind(), "b"), 1, "dropped unseen");
    let seen = copy.seen();
    assert_eq!(copy.put(3, &seen, "c"), 0, "dropped by one who knew it");
    assert_eq!(copy.put(2, &blind(), "too late"), 1, "a write below the winner is itself the one dropped");
    assert_eq!(copy.values(), ["c"]);
}

#[test]
fn a_hundred_siblings_are_enough_and_merging_them_is_the_way_out() {
    let mut copy = Copy::new(1, Siblings);
    for time in 1..=100 {
        copy.put(time, &blind(), "x");
    }
    let before = copy.object.clone();
    let refused = copy.try_put(101, &blind(), SiblingKind::Tombstone);
    assert_eq!((refused, &copy.object), (Err(ObjectTooLarge::Siblings { siblings: 101 }), &before));
    let seen = copy.seen();
    copy.put(102, &seen, "merged");
    assert_eq!(copy.values(), ["merged"]);
}

#[test]
fn a_merge_above_the_limit_can_still_be_reduced_step_by_step() {
    let (mut one, mut two) = (Copy::new(1, Siblings), Copy::new(2, Siblings));
    for time in 1..=100 {
        one.put(time, &blind(), "x");
        two.put(time, &blind(), "y");
    }
    let seen_by_reader_of_one = one.seen();
    one.hear(&two);
    assert_eq!(one.values().len(), 200);
    assert_eq!(one.object.as_ref().expect("written").check_limits(), Ok(()), "it may be stored all the same");
    one.put(201, &seen_by_reader_of_one, "half");
    assert_eq!(one.values().len(), 101);
    assert!(one.try_put(202, &blind(), SiblingKind::Value(b"more")).is_err());
}

#[test]
fn two_of_the_largest_values_fit_and_three_do_not() {
    let mut copy = Copy::new(1, Siblings);
    let largest = vec![7; VALUE_BYTES_MAX];
    for time in 1..=2 {
        copy.try_put(time, &blind(), SiblingKind::Value(&largest)).expect("fits");
    }
    let refused = copy.try_put(3, &blind(), SiblingKind::Value(&largest));
    assert!(matches!(refused, Err(ObjectTooLarge::Bytes { bytes }) if OBJECT_PUT_BYTES_MAX < bytes), "{refused:?}");
}

#[test]
fn an_actor_too_many_is_refused_and_a_known_one_is_not() {
    let mut copy = Copy::new(1, Siblings);
    let dots = (1..=ACTORS_MAX as u64).map(|actor| Dot { hlc: Hlc(9), actor: ActorId::from_u64(actor) });
    let context: VersionVector = dots.collect();
    copy.put(10, &context, "a thousand lives");
    copy.actor = 5000;
    let refused = copy.try_put(11, &context, SiblingKind::Tombstone);
    assert!(matches!(refused, Err(ObjectTooLarge::Bytes { .. })), "{refused:?}");
}

#[test]
fn a_merge_that_teaches_nothing_hands_back_the_same_memory() {
    let (mut one, mut two) = (Copy::new(1, Siblings), Copy::new(2, Siblings));
    one.put(1, &blind(), "a");
    two.hear(&one);
    two.put(2, &blind(), "b");
    let before = two.object.as_ref().expect("written").bytes().as_ptr();
    two.hear(&one);
    one.hear(&two);
    assert_eq!(two.object.as_ref().expect("written").bytes().as_ptr(), before);
    assert_eq!(one.object.as_ref().expect("written").bytes().as_ptr(), before);
}

#[test]
fn small_objects_share_the_arena_and_large_ones_do_not() {
    let mut copy = Copy::new(1, Lww);
    copy.put(1, &blind(), "small");
    let room_after_one = copy.arena.capacity();
    copy.try_put(2, &blind(), SiblingKind::Value(&[0; 100_000])).expect("fits");
    assert_eq!(copy.arena.capacity(), room_after_one);
    copy.put(3, &blind(), "small");
    assert_eq!(room_after_one - copy.arena.capacity(), copy.object.as_ref().expect("written").bytes().len());
}

#[test]
fn every_object_made_here_is_one_that_decode_accepts() {
    let (mut one, mut two) = (Copy::new(1, Siblings), Copy::new(2, Siblings));
    one.put(1, &blind(), "");
    two.put(3, &one.seen(), "b");
    one.put(2, &blind(), "c");
    one.hear(&two);
    for object in [&one.object, &two.object].into_iter().flatten() {
        let bytes = Bytes::copy_from_slice(object.bytes());
        assert_eq!(EncodedObject::decode(bytes).as_ref(), Ok(object));
    }
}
