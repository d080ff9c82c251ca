//! No dot is given twice, and an actor's clock never runs backwards.
//!
//! Watches every object that a core appends to its log. The first time a dot is seen is its birth: it must come from the
//! life of the node that gives it, be later than every dot that shard ever gave (in whatever life), and from then on it
//! names that one write for ever.

use std::collections::BTreeMap;

use rondo_protocol::causality::{ActorId, Dot, Hlc, VersionVector};
use rondo_protocol::node::PeerShard;
use rondo_protocol::object::{EncodedObject, SiblingKind};

use super::Violation;
use crate::history::{History, Key, Kind, OpId};

const CHECKER: &str = "dots";

/// The first time that a dot was seen.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The write that got it.
    pub writer: OpId,
    /// Is it a tombstone's?
    pub tombstone: bool,
    /// What the object had seen, the new dot counted.
    pub seen: VersionVector,
}

/// All births.
#[derive(Debug, Default)]
pub struct Dots {
    births: BTreeMap<(Key, Dot), Birth>,
    latest: BTreeMap<(u32, u16), Hlc>,
}

impl Dots {
    /// `shard`, which gives dots as `actor`, appended `object`.
    pub fn observe(
        &mut self,
        history: &History,
        shard: PeerShard,
        actor: ActorId,
        key: Key,
        object: &EncodedObject,
    ) -> Result<(), Violation> {
        for sibling in object.siblings() {
            match sibling.kind {
                SiblingKind::Value(value) => {
                    let writer = history.writer_of(key, value);
                    let writer = writer.ok_or_else(|| broken(format!("{key} holds a value that nobody put there")))?;
                    self.observe_version(shard, actor, key, sibling.dot, (writer, false), object)?;
                }
                SiblingKind::Tombstone => {
                    let known = self.births.get(&(key, sibling.dot)).map(|birth| birth.writer);
                    let writer = known.or_else(|| self.open_delete(history, key));
                    let writer = writer.ok_or_else(|| broken(format!("{key} was deleted and nobody asked for it")))?;
                    self.observe_version(shard, actor, key, sibling.dot, (writer, true), object)?;
                }
            }
        }
        self.check_vector(key, &object.seen())
    }

    /// The dots that the write `id` got: none if it never took effect, one as a rule.
    pub fn of_write(&self, key: Key, id: OpId) -> impl Iterator<Item = (Dot, &Birth)> {
        self.of_key(key).filter(move |(_, birth)| birth.writer == id)
    }

    /// All dots of a key, in their order.
    pub fn of_key(&self, key: Key) -> impl Iterator<Item = (Dot, &Birth)> {
        let all = (key, Dot::default())..=(key, latest_dot());
        self.births.range(all).map(|((_, dot), birth)| (*dot, birth))
    }

    /// The birth of a dot.
    pub fn birth(&self, key: Key, dot: Dot) -> Option<&Birth> {
        self.births.get(&(key, dot))
    }

    /// How many dots were given.
    pub fn count(&self) -> usize {
        self.births.len()
    }

    fn observe_version(
        &mut self,
        shard: PeerShard,
        actor: ActorId,
        key: Key,
        dot: Dot,
        (writer, tombstone): (OpId, bool),
        object: &EncodedObject,
    ) -> Result<(), Violation> {
        if let Some(birth) = self.births.get(&(key, dot)) {
            let same = birth.writer == writer && birth.tombstone == tombstone;
            return same.then_some(()).ok_or_else(|| {
                broken(format!("the dot {dot:?} of {key} was given to {} and again to {writer}", birth.writer))
            });
        }
        if dot.actor.node != shard.node {
            return Err(broken(format!("{key} names the dot {dot:?}, which its actor never gave")));
        }
        let latest = self.latest.entry((shard.node.0, shard.shard.0)).or_default();
        if dot.hlc <= *latest {
            return Err(broken(format!("{writer} got {dot:?} on {shard:?}, which had given {:?} before", *latest)));
        }
        if dot.actor != actor {
            return Err(broken(format!("{writer} got {dot:?} on {shard:?}, which is {actor:?} in this life")));
        }
        *latest = dot.hlc;
        self.births.insert((key, dot), Birth { writer, tombstone, seen: object.seen() });
        Ok(())
    }

    // The workload has at most one delete of a key under way, so a new tombstone is that one's.
    fn open_delete(&self, history: &History, key: Key) -> Option<OpId> {
        history
            .of_key(key)
            .find(|(_, operation)| operation.kind == Kind::Delete && operation.is_unsettled())
            .map(|(id, _)| id)
    }

    fn check_vector(&self, key: Key, seen: &VersionVector) -> Result<(), Violation> {
        let stranger = seen
            .entries()
            .iter()
            .map(|(actor, hlc)| Dot { hlc: *hlc, actor: *actor })
            .find(|dot| !self.births.contains_key(&(key, *dot)));
        match stranger {
            Some(dot) => Err(broken(format!("{key} claims to have seen {dot:?}, which nobody gave"))),
            None => Ok(()),
        }
    }
}

fn latest_dot() -> Dot {
    Dot { hlc: Hlc(u64::MAX), actor: ActorId::from_u64(u64::MAX) }
}

fn broken(what: String) -> Violation {
    Violation::new(CHECKER, what)
}
