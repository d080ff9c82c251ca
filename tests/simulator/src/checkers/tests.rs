//! Each checker barks at the smallest history that breaks its promise, and is quiet at the same one that keeps it.

use bytes::BytesMut;

use rondo_protocol::causality::{ActorId, Dot, Hlc, Incarnation, VersionVector};
use rondo_protocol::node::{NodeId, PeerShard, ShardIndex};
use rondo_protocol::now::Instant;
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::wire::reply::Receipt;
use rondo_protocol::wire::request::RequestOptions;

use super::dots::Dots;
use super::{Copy, Evidence, Violation, check};
use crate::fault::Seat;
use crate::history::{History, Key, Kind, OpId, Operation, Outcome};

const LWW: Key = Key { lww: true, number: 0 };
const SIBLINGS: Key = Key { lww: false, number: 0 };
const PLACE: PeerShard = PeerShard { node: NodeId(1), shard: ShardIndex(0) };
const ACTOR: ActorId = ActorId { node: NodeId(1), incarnation: Incarnation(1) };
const ALL: u8 = 3;
const QUORUM: u8 = 2;

/// A history in the making: one replica's object for each key, and what clients were told of it.
#[derive(Default)]
struct Told {
    history: History,
    dots: Dots,
    copies: Vec<Copy>,
    time: u64,
}

impl Told {
    fn begin(&mut self, key: Key, kind: Kind, required: u8, context: VersionVector) -> OpId {
        self.time += 1;
        let options = RequestOptions::default();
        let started = Instant(self.time);
        let outcome = Outcome::Pending;
        let (client, replicas, ended) = (0, ALL, None);
        self.history.begin(Operation {
            client,
            key,
            kind,
            options,
            required,
            replicas,
            context,
            started,
            ended,
            outcome,
        })
    }

    fn end(&mut self, id: OpId, outcome: Outcome) {
        self.time += 1;
        self.history.end(id, Instant(self.time), outcome);
    }

    /// A put that its coordinator logs at `millis` over `before`, acknowledged by `required`.
    fn put(
        &mut self,
        key: Key,
        required: u8,
        millis: u64,
        before: Option<&EncodedObject>,
        seen: VersionVector,
    ) -> EncodedObject {
        let id = self.begin(key, Kind::Put { value_bytes: 16 }, required, seen.clone());
        let dot = Dot { hlc: Hlc::from_millis(millis), actor: ACTOR };
        let value = History::value_of(id, 16);
        let kind = SiblingKind::Value(&value);
        let object = EncodedObject::put(before, key.policy(), dot, &seen, kind, &mut BytesMut::new());
        let object = object.expect("a small object").object;
        self.dots.observe(&self.history, PLACE, ACTOR, key, &object).expect("an honest dot");
        self.end(id, Outcome::Written { seen: object.seen(), receipt: receipt(required) });
        object
    }

    fn read(&mut self, key: Key, required: u8, writers: &[usize], seen: VersionVector) {
        let id = self.begin(key, Kind::Get, required, VersionVector::default());
        let writers = writers.iter().copied().map(OpId).collect();
        self.end(id, Outcome::Read { writers, seen, receipt: receipt(required) });
    }

    fn copies(&mut self, key: Key, objects: [Option<&EncodedObject>; 3]) {
        let copies = objects.into_iter().enumerate();
        self.copies.extend(copies.map(|(seat, object)| Copy { node: Seat(seat), key, object: object.cloned() }));
    }

    fn verdict(&self) -> Result<(), Violation> {
        check(&Evidence { history: &self.history, dots: &self.dots, copies: &self.copies })
    }

    fn is_caught_by(&self, checker: &str) {
        let verdict = self.verdict();
        assert!(verdict.as_ref().is_err_and(|violation| violation.checker == checker), "{verdict:?}");
    }
}

fn receipt(required: u8) -> Receipt {
    Receipt { epoch: 1, coordinator: NodeId(1), replicas: ALL, required, answered: required, strict: true }
}

fn nothing() -> VersionVector {
    VersionVector::default()
}

#[test]
fn a_quorum_read_that_misses_a_quorum_write_is_a_loss() {
    for key in [LWW, SIBLINGS] {
        let mut told = Told::default();
        let object = told.put(key, QUORUM, 5, None, nothing());
        told.copies(key, [Some(&object), Some(&object), None]);
        told.read(key, QUORUM, &[0], object.seen());
        assert_eq!(told.verdict(), Ok(()));
        told.read(key, 1, &[], nothing());
        assert_eq!(told.verdict(), Ok(()), "one replica may have missed it");
        told.read(key, QUORUM, &[], nothing());
        told.is_caught_by("acknowledged");
    }
}

#[test]
fn a_reply_with_fewer_answers_than_were_required_is_a_lie() {
    let mut told = Told::default();
    let object = told.put(LWW, 1, 5, None, nothing());
    told.copies(LWW, [Some(&object), None, None]);
    let id = told.begin(LWW, Kind::Get, QUORUM, nothing());
    told.end(id, Outcome::Read { writers: vec![OpId(0)], seen: object.seen(), receipt: receipt(1) });
    told.is_caught_by("acknowledged");
}

#[test]
fn a_sibling_that_nobody_replaced_must_be_shown() {
    let mut told = Told::default();
    let apple = told.put(SIBLINGS, ALL, 5, None, nothing());
    let both = told.put(SIBLINGS, ALL, 6, Some(&apple), nothing());
    told.copies(SIBLINGS, [Some(&both), Some(&both), Some(&both)]);
    told.read(SIBLINGS, ALL, &[0, 1], both.seen());
    assert_eq!(told.verdict(), Ok(()));
    told.read(SIBLINGS, ALL, &[1], both.seen());
    told.is_caught_by("siblings");
}

#[test]
fn a_sibling_that_was_replaced_must_not_be_shown() {
    let mut told = Told::default();
    let apple = told.put(SIBLINGS, ALL, 5, None, nothing());
    let pear = told.put(SIBLINGS, ALL, 6, Some(&apple), apple.seen());
    told.copies(SIBLINGS, [Some(&pear), Some(&pear), Some(&pear)]);
    told.read(SIBLINGS, ALL, &[1], pear.seen());
    assert_eq!(told.verdict(), Ok(()));
    told.read(SIBLINGS, ALL, &[0, 1], pear.seen());
    told.is_caught_by("siblings");
}

#[test]
fn a_last_write_that_shows_another_value_than_its_dots_is_caught() {
    let mut told = Told::default();
    let first = told.put(LWW, ALL, 5, None, nothing());
    let second = told.put(LWW, ALL, 6, Some(&first), nothing());
    told.copies(LWW, [Some(&second), Some(&second), Some(&second)]);
    told.read(LWW, ALL, &[1], second.seen());
    assert_eq!(told.verdict(), Ok(()));
    told.read(LWW, ALL, &[0], second.seen());
    told.is_caught_by("lww");
}

#[test]
fn replicas_that_end_below_an_acknowledged_write_are_caught() {
    let mut told = Told::default();
    let first = told.put(LWW, 1, 5, None, nothing());
    let _second = told.put(LWW, 1, 6, Some(&first), nothing());
    told.copies(LWW, [Some(&first), Some(&first), Some(&first)]);
    told.is_caught_by("lww");
}

#[test]
fn a_replica_that_forgot_what_all_had_acknowledged_is_caught() {
    for key in [LWW, SIBLINGS] {
        let mut told = Told::default();
        let object = told.put(key, ALL, 5, None, nothing());
        told.copies(key, [Some(&object), Some(&object), None]);
        told.is_caught_by("convergence");
    }
}

#[test]
fn copies_that_differ_after_a_last_write_to_all_are_caught() {
    let mut told = Told::default();
    let apple = told.put(SIBLINGS, ALL, 5, None, nothing());
    let pear = told.put(SIBLINGS, ALL, 6, Some(&apple), apple.seen());
    let kept = EncodedObject::put(
        Some(&apple),
        SIBLINGS.policy(),
        Dot { hlc: Hlc::from_millis(6), actor: ACTOR },
        &nothing(),
        SiblingKind::Value(&History::value_of(OpId(1), 16)),
        &mut BytesMut::new(),
    );
    let kept = kept.expect("a small object").object;
    told.copies(SIBLINGS, [Some(&pear), Some(&pear), Some(&kept)]);
    told.is_caught_by("convergence");
}

#[test]
fn a_dot_given_again_is_caught_at_once() {
    let mut told = Told::default();
    told.put(LWW, ALL, 5, None, nothing());
    let other = told.begin(LWW, Kind::Put { value_bytes: 16 }, ALL, nothing());
    for (millis, lesson) in [(5, "again"), (4, "backwards")] {
        let value = History::value_of(other, 16);
        let dot = Dot { hlc: Hlc::from_millis(millis), actor: ACTOR };
        let kind = SiblingKind::Value(&value);
        let object = EncodedObject::put(None, LWW.policy(), dot, &nothing(), kind, &mut BytesMut::new());
        let object = object.expect("a small object").object;
        let verdict = told.dots.observe(&told.history, PLACE, ACTOR, LWW, &object);
        assert!(verdict.is_err_and(|violation| violation.checker == "dots"), "{lesson}");
    }
}

#[test]
fn a_value_that_nobody_put_is_caught_at_once() {
    let mut told = Told::default();
    let dot = Dot { hlc: Hlc::from_millis(5), actor: ACTOR };
    let kind = SiblingKind::Value(b"from nowhere at all");
    let object = EncodedObject::put(None, LWW.policy(), dot, &nothing(), kind, &mut BytesMut::new());
    let object = object.expect("a small object").object;
    let verdict = told.dots.observe(&told.history, PLACE, ACTOR, LWW, &object);
    assert!(verdict.is_err_and(|violation| violation.checker == "dots"));
}
