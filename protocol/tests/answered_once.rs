//! Whatever happens in whatever order, each request is answered exactly once, and the log is counted without a gap.
//!
//! One core among three nodes; what it sends, loads and appends is answered late, twice, in any order or never. The
//! seed decides, so that a failure can be repeated.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use core::num::NonZeroU16;
use core::time::Duration;
use rondo_protocol::causality::{ActorId, Hlc, Incarnation};
use rondo_protocol::effect::{Effect, Effects, Record};
use rondo_protocol::event::{DiskState, Event, Found};
use rondo_protocol::node::{NodeId, PeerShard, ShardIndex};
use rondo_protocol::now::{Instant, Now};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::ring::{ObjectKey, Ring, RingNode, VNodeBits};
use rondo_protocol::shard_core::{Boot, ShardCore};
use rondo_protocol::ticket::{Lsn, Origin};
use rondo_protocol::view::{ClusterView, ConflictPolicy, Keyspace};
use rondo_protocol::wire::peer::{FetchAnswer, PeerMessage};
use rondo_protocol::wire::reply::Refusal;
use rondo_protocol::wire::request::{DataRequest, Level, RequestOptions};

/// A small random source of the test's own (xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

struct World {
    core: ShardCore,
    now: Now,
    dice: Dice,
    keys: Vec<ObjectKey>,
    stored: HashMap<Bytes, (EncodedObject, Lsn)>,
    appended: Lsn,
    disk: DiskState,
    /// What may happen next.
    pending: Vec<Event>,
    effects: Effects,
    asked: u64,
    answers: HashMap<u64, u32>,
}

fn world(seed: u64, names: &[&str]) -> World {
    let ring_nodes = names.iter().map(|name| RingNode::new(name, name)).collect();
    let keyspace = |name: &str, policy| Keyspace {
        name: name.to_owned(),
        replicas: 3,
        read: Level::Quorum,
        write: Level::Quorum,
        policy,
    };
    let keyspaces = vec![keyspace("lww", ConflictPolicy::Lww), keyspace("sib", ConflictPolicy::Siblings)];
    let ring = Ring::lay_out(VNodeBits::DEFAULT, ring_nodes).expect("a good list");
    let me = NodeId::of_name(names[0]);
    let view = Arc::new(ClusterView { epoch: 1, cluster_id: 1, me, ring, keyspaces });
    let key = |number: usize| ObjectKey::new([b"lww", b"sib"][number % 2], &[number as u8 + 1]).expect("a good key");
    World {
        core: ShardCore::new(Boot {
            shard: ShardIndex(0),
            shards: NonZeroU16::MIN,
            actor: ActorId { node: me, incarnation: Incarnation(1) },
            hlc_bound: Hlc::default(),
            recovered: Lsn(0),
            salt: 0,
            view,
        }),
        now: Now { instant: Instant(1), wall_millis: 1_700_000_000_000 },
        dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        keys: (0..4).map(key).collect(),
        stored: HashMap::new(),
        appended: Lsn(0),
        disk: DiskState::Writable,
        pending: Vec::new(),
        effects: Vec::new(),
        asked: 0,
        answers: HashMap::new(),
    }
}

impl World {
    fn deliver(&mut self, event: Event) {
        let mut effects = core::mem::take(&mut self.effects);
        self.core.handle(self.now, event, &mut effects);
        self.perform(effects);
    }

    fn perform(&mut self, mut effects: Effects) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Reply { origin, .. } => *self.answers.entry(origin.0).or_default() += 1,
                Effect::Load { ticket, key } => {
                    let found = match (self.stored.get(key.routed()), self.dice.throw(20)) {
                        (_, 0) => Found::Unreadable,
                        (Some((object, lsn)), _) => Found::Object { object: object.clone(), lsn: *lsn },
                        (None, _) => Found::Nothing,
                    };
                    self.pending.push(Event::Loaded { ticket, found });
                }
                Effect::Append { lsn, record } => {
                    assert_ne!(self.disk, DiskState::Failing, "an append while the disk fails");
                    assert_eq!(lsn, self.appended.next(), "the log is counted without a gap");
                    self.appended = lsn;
                    if let Record::Object { key, object } = record {
                        self.stored.insert(key.routed().clone(), (object, lsn));
                    }
                }
                Effect::Send { to, message } => self.answer(to, message),
                Effect::Disconnect { .. } => {}
            }
        }
        self.effects = effects;
    }

    /// A peer answers in one of many ways, sometimes twice, sometimes not at all.
    fn answer(&mut self, from: PeerShard, message: PeerMessage) {
        let refusal = Refusal::Busy;
        let held = |key: &ObjectKey| self.stored.get(key.routed()).map(|(object, _)| object.clone());
        let kind = self.dice.throw(4);
        let message = match message {
            PeerMessage::Replicate { ticket, .. } => {
                PeerMessage::Replicated { ticket, outcome: if kind == 0 { Err(refusal) } else { Ok(()) } }
            }
            PeerMessage::Fetch { ticket, key, digest_only } => {
                let answer = match (kind, held(&key)) {
                    (0, _) => FetchAnswer::Refused(refusal),
                    (1, _) | (_, None) => FetchAnswer::Nothing,
                    (_, Some(object)) if digest_only => FetchAnswer::Digest(object.digest()),
                    (_, Some(object)) => FetchAnswer::Object(object),
                };
                PeerMessage::Fetched { ticket, answer }
            }
            PeerMessage::Forward { ticket, request, .. } => {
                self.pending.push(
                    self.message(from, PeerMessage::Fetch { ticket, key: request.key().clone(), digest_only: true }),
                );
                return;
            }
            _ => return,
        };
        for _ in 0..self.dice.throw(3) {
            let event = self.message(from, message.clone());
            self.pending.push(event);
        }
        if let PeerMessage::Replicated { ticket, .. } = message
            && let Some(key) = self.keys.first().cloned()
            && let Some(object) = held_now(&self.stored, &key)
        {
            let event = self.message(from, PeerMessage::Replicate { ticket, key, object });
            self.pending.push(event);
        }
    }

    fn message(&self, from: PeerShard, message: PeerMessage) -> Event {
        Event::Message { from, epoch: 1, clock_millis: self.now.wall_millis, message }
    }

    fn ask(&mut self) {
        let key = self.keys[self.dice.throw(self.keys.len())].clone();
        let level = Level::Count(self.dice.throw(3) as u8 + 1);
        let timeout = Duration::from_millis(self.dice.throw(200) as u64 + 1);
        let options = RequestOptions { replicas: 0, level, timeout };
        let context = Bytes::new();
        let request = match self.dice.throw(4) {
            0 | 1 => DataRequest::Get { key, options },
            2 => DataRequest::Put { key, options, context, value: Bytes::from_static(b"value") },
            _ => DataRequest::Delete { key, options, context },
        };
        self.asked += 1;
        self.deliver(Event::Request { origin: Origin(self.asked, 0), arrived: self.now.instant, request });
    }

    fn pass(&mut self, millis: u64) {
        self.now.instant = self.now.instant + Duration::from_millis(millis);
        self.now.wall_millis += millis;
        if self.core.next_deadline().is_some_and(|due| due <= self.now.instant) {
            let mut effects = core::mem::take(&mut self.effects);
            self.core.handle_deadline(self.now, &mut effects);
            self.perform(effects);
        }
    }

    fn step(&mut self, names: &[&str]) {
        let node = NodeId::of_name(names[1 + self.dice.throw(names.len() - 1)]);
        match self.dice.throw(40) {
            0..12 => self.ask(),
            12..28 if !self.pending.is_empty() => {
                let at = self.dice.throw(self.pending.len());
                let event = self.pending.swap_remove(at);
                self.deliver(event);
            }
            // Also while the disk fails: what was tried again may have got through.
            28..33 => self.deliver(Event::Durable { upto: self.appended }),
            33 => self.deliver(Event::LinkChanged { node, shards: None }),
            34..36 => self.deliver(Event::LinkChanged { node, shards: Some(NonZeroU16::MIN) }),
            36 if self.dice.throw(20) == 0 => {
                let states = [DiskState::Writable, DiskState::Writable, DiskState::Full, DiskState::Failing];
                let state = states[self.dice.throw(states.len())];
                self.disk = state;
                self.deliver(Event::DiskChanged { state });
            }
            _ => {
                let millis = self.dice.throw(15) as u64;
                self.pass(millis);
            }
        }
    }

    /// All that was asked of the store is answered, and every deadline passes.
    fn end(&mut self) {
        while let Some(event) = self.pending.pop() {
            if matches!(event, Event::Loaded { .. }) {
                self.deliver(event);
            }
        }
        self.pass(60_000);
        self.deliver(Event::Durable { upto: self.appended });
    }
}

fn held_now(stored: &HashMap<Bytes, (EncodedObject, Lsn)>, key: &ObjectKey) -> Option<EncodedObject> {
    stored.get(key.routed()).map(|(object, _)| object.clone())
}

fn check(seed: u64, names: &[&str]) {
    let mut world = world(seed, names);
    for name in &names[1..] {
        world.deliver(Event::LinkChanged { node: NodeId::of_name(name), shards: Some(NonZeroU16::MIN) });
    }
    for _ in 0..2_000 {
        world.step(names);
    }
    world.end();
    for request in 1..=world.asked {
        let answers = world.answers.get(&request).copied().unwrap_or_default();
        assert_eq!(answers, 1, "seed {seed}: answers to request {request}");
    }
    assert_eq!(world.core.in_flight(), 0, "seed {seed}");
}

#[test]
fn each_request_is_answered_once_by_a_core_that_keeps_copies() {
    (1..60).for_each(|seed| check(seed, &["n1", "n2", "n3"]));
}

#[test]
fn each_request_is_answered_once_by_a_core_that_keeps_copies_of_some_keys_only() {
    (1..60).for_each(|seed| check(seed, &["n1", "n2", "n3", "n4", "n5"]));
}
