//! The laws that versions obey, tried on histories that nobody would think of.

#[path = "laws/world.rs"]
mod world;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::sample::Index;
use rondo_protocol::causality::{ActorId, CausalContext, Dot, Hlc, HybridClock, VersionVector};
use rondo_protocol::limits::CLOCK_DRIFT_MAX;
use rondo_protocol::now::Now;
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::ring::Token;
use rondo_protocol::view::ConflictPolicy;
use world::{REPLICAS, World, steps};

fn policies() -> impl Strategy<Value = ConflictPolicy> {
    prop_oneof![Just(ConflictPolicy::Lww), Just(ConflictPolicy::Siblings)]
}

/// An object that no honest history need ever have made: a few puts on top of each other, with any contexts.
fn any_object() -> impl Strategy<Value = EncodedObject> {
    let dot = (1..5u64, 1..9u64).prop_map(|(actor, hlc)| Dot { hlc: Hlc(hlc), actor: ActorId::from_u64(actor) });
    let context = prop::collection::vec(dot.clone(), 0..4);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..3));
    prop::collection::vec((dot, context, value), 1..5).prop_map(|puts| {
        let mut arena = BytesMut::new();
        let put = |current: Option<EncodedObject>, (dot, context, value): (Dot, Vec<Dot>, Option<Vec<u8>>)| {
            let context: VersionVector = context.into_iter().collect();
            let kind = value.as_deref().map_or(SiblingKind::Tombstone, SiblingKind::Value);
            let policy = ConflictPolicy::Siblings;
            let outcome = EncodedObject::put(current.as_ref(), policy, dot, &context, kind, &mut arena);
            Some(outcome.expect("a few puts stay within limits").object)
        };
        puts.into_iter().fold(None, put).expect("at least one put")
    })
}

fn check_merge_laws(policy: ConflictPolicy, a: &EncodedObject, b: &EncodedObject, c: &EncodedObject) {
    let mut arena = BytesMut::new();
    let mut merge = |left: &EncodedObject, right: &EncodedObject| left.merge(right, policy, &mut arena);
    assert_eq!(merge(a, a), *a, "idempotent");
    let ab = merge(a, b);
    assert_eq!(ab, merge(b, a), "commutative");
    assert_eq!(merge(&ab, a), ab, "absorbing");
    let bc = merge(b, c);
    assert_eq!(merge(&ab, c), merge(a, &bc), "associative");
    assert_eq!(EncodedObject::decode(ab.bytes().clone()), Ok(ab), "canonical");
}

proptest! {
    #[test]
    fn replicas_may_hear_of_each_other_in_any_order_and_as_often_as_they_like(
        policy in policies(), steps in steps(), picks in any::<[Index; 3]>(),
    ) {
        let world = World::after(policy, &steps);
        prop_assume!(!world.objects.is_empty());
        let [a, b, c] = picks.map(|pick| pick.get(&world.objects));
        check_merge_laws(policy, a, b, c);
    }

    #[test]
    fn merging_keeps_its_laws_even_for_histories_that_cannot_be(
        policy in policies(), a in any_object(), b in any_object(), c in any_object(),
    ) {
        check_merge_laws(policy, &a, &b, &c);
    }

    #[test]
    fn siblings_are_exact_no_concurrent_write_is_lost_and_no_overwritten_one_returns(
        policy in policies(), steps in steps(),
    ) {
        let mut world = World::new(policy);
        for step in steps {
            world.take(step);
            for replica in &world.replicas {
                let object = replica.object.iter().flat_map(EncodedObject::siblings);
                let held: Vec<_> = object.map(|one| (one.dot, one.kind.value().map(<[u8]>::to_vec))).collect();
                prop_assert_eq!(held, world.expected(&replica.heard));
            }
        }
    }

    #[test]
    fn a_vector_covers_exactly_the_writes_that_were_told_of(steps in steps()) {
        let world = World::after(ConflictPolicy::Siblings, &steps);
        for replica in &world.replicas {
            let Some(object) = &replica.object else { continue };
            let told_of = world.told_of(&replica.heard);
            for dot in world.writes.keys() {
                prop_assert_eq!(object.covers(*dot), told_of.contains(dot), "{:?}", dot);
                prop_assert_eq!(object.seen().covers(*dot), told_of.contains(dot));
            }
        }
    }

    #[test]
    fn all_replicas_agree_byte_for_byte_once_everybody_heard_everybody(policy in policies(), steps in steps()) {
        let mut world = World::after(policy, &steps);
        world.settle();
        for replica in 1..REPLICAS {
            prop_assert_eq!(&world.replicas[0].object, &world.replicas[replica].object);
        }
    }

    #[test]
    fn what_was_known_before_a_write_has_an_earlier_time_whatever_the_wall_clocks_say(
        policy in policies(), steps in steps(),
    ) {
        let world = World::after(policy, &steps);
        for (dot, write) in &world.writes {
            let before = write.replaces.iter().chain(&write.known_before).max();
            prop_assert!(before.is_none_or(|before| before.hlc < dot.hlc), "{before:?} came before {dot:?}");
        }
    }

    #[test]
    fn a_put_after_a_get_replaces_what_the_get_saw_and_nothing_else(
        steps in steps(), place in any::<Index>(), later in any::<Index>(),
    ) {
        let world = World::after(ConflictPolicy::Siblings, &steps);
        prop_assume!(!world.objects.is_empty());
        let (read, met) = (place.get(&world.objects), later.get(&world.objects));
        let dot = Dot { hlc: Hlc::from_millis(1 << 40), actor: ActorId::from_u64(9) };
        let (seen, kind) = (read.seen(), SiblingKind::Value(b"merged"));
        let mut arena = BytesMut::new();
        let outcome = EncodedObject::put(Some(met), ConflictPolicy::Siblings, dot, &seen, kind, &mut arena);
        let object = outcome.expect("within limits").object;
        let left: Vec<_> = object.siblings().collect();
        let unseen = met.siblings().filter(|sibling| !read.covers(sibling.dot));
        let expected: Vec<_> = unseen.chain([rondo_protocol::object::Sibling { dot, kind }]).collect();
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn an_object_survives_its_bytes_and_a_context_its_own(object in any_object(), token in any::<u128>()) {
        prop_assert_eq!(&by_the_book(&object), object.bytes());
        let decoded = EncodedObject::decode(object.bytes().clone());
        prop_assert_eq!(decoded.as_ref(), Ok(&object));
        let (mut given, mut again) = (Vec::new(), Vec::new());
        object.append_context(Token(token).low32(), &mut given);
        let context = CausalContext::decode(&given, Token(token)).expect("just given out");
        prop_assert_eq!(&context.seen, &object.seen());
        context.append_to(Token(token).low32(), &mut again);
        prop_assert_eq!(given, again);
    }

    #[test]
    fn mutated_objects_are_refused_or_are_other_canonical_objects(
        object in any_object(), changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4), cut in any::<Index>(),
    ) {
        let mut bytes = object.bytes().to_vec();
        changes.iter().for_each(|(place, byte)| *place.get_mut(&mut bytes) = *byte);
        check_canonical_if_accepted(&bytes);
        check_canonical_if_accepted(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn random_bytes_panic_nowhere(bytes in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..200)) {
        check_canonical_if_accepted(&bytes);
        let _ = CausalContext::decode(&bytes, Token(0));
    }

    #[test]
    fn the_clock_only_goes_forward_and_stays_near_the_wall_and_below_its_bound(
        walls in prop::collection::vec((0..5000u64, 0..6u8, 0..6000u64), 1..200),
    ) {
        let (mut clock, mut bound, mut last) = (HybridClock::new(Hlc::default()), Hlc::default(), Hlc::default());
        for (wall_millis, action, seen_millis) in walls {
            let now = Now { wall_millis, ..Now::default() };
            match action {
                0 => clock = HybridClock::new(bound),
                1 => {
                    let seen = Hlc(Hlc::from_millis(seen_millis).0 + 0xffff);
                    let is_near = seen_millis <= wall_millis + CLOCK_DRIFT_MAX.as_millis() as u64;
                    prop_assert_eq!(clock.observe(now, seen).is_ok(), is_near);
                    last = if is_near { last.max(seen) } else { last };
                }
                2 => {
                    bound = clock.bound_wanted(now).unwrap_or(bound);
                    clock.raise_bound(bound);
                }
                _ => {
                    let Ok(time) = clock.tick(now) else { continue };
                    prop_assert!(last < time && Hlc::from_millis(wall_millis) <= time && time <= bound);
                    prop_assert!(time.millis() <= wall_millis + CLOCK_DRIFT_MAX.as_millis() as u64);
                    last = time;
                }
            }
            // A restart forgets what was only observed; what was given it may not forget.
            last = if action == 0 { last.min(bound) } else { last };
        }
    }

    #[test]
    fn a_bound_that_was_reached_can_always_be_raised(start in 0..3000u64, walls in prop::collection::vec(0..3000u64, 1..50)) {
        let mut clock = HybridClock::new(Hlc::from_millis(start));
        for wall_millis in walls {
            let now = Now { wall_millis, ..Now::default() };
            if clock.tick(now) == Err(rondo_protocol::causality::ClockError::BoundReached) {
                clock.raise_bound(clock.bound_wanted(now).expect("a bound that was reached wants raising"));
                prop_assert!(clock.tick(now).is_ok());
            }
        }
    }
}

fn check_canonical_if_accepted(bytes: &[u8]) {
    let Ok(object) = EncodedObject::decode(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(by_the_book(&object), bytes);
    let dots: Vec<Dot> = object.siblings().map(|sibling| sibling.dot).collect();
    assert!(dots.is_sorted_by(|a, b| a < b) && dots.iter().all(|dot| object.seen().covers(*dot)));
}

/// The bytes of an object, written a second time from its documented layout.
fn by_the_book(object: &EncodedObject) -> Vec<u8> {
    let (seen, siblings) = (object.seen(), object.siblings().collect::<Vec<_>>());
    let mut bytes = vec![1, 0];
    bytes.extend((seen.entries().len() as u16).to_le_bytes());
    bytes.extend((siblings.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    for (actor, hlc) in seen.entries() {
        bytes.extend(actor.to_u64().to_le_bytes());
        bytes.extend(hlc.0.to_le_bytes());
    }
    for sibling in siblings {
        let value = sibling.kind.value();
        bytes.extend(sibling.dot.hlc.0.to_le_bytes());
        bytes.extend(sibling.dot.actor.to_u64().to_le_bytes());
        bytes.extend([if value.is_some() { 1 } else { 2 }, 0, 0, 0]);
        bytes.extend((value.unwrap_or_default().len() as u32).to_le_bytes());
        bytes.extend(value.unwrap_or_default());
    }
    bytes
}
