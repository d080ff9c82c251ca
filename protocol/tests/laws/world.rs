//! A few replicas of one key, their clients, and a model that knows the truth.
//!
//! The model keeps what the real objects compress away: for each write the full set of writes that its client had seen.
//! From that follows, without any vector, what each replica must hold: a version is there if the replica has heard of
//! it and of no write that replaced it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use proptest::prelude::*;
use rondo_protocol::causality::{ActorId, Dot, Hlc, HybridClock, Incarnation, VersionVector};
use rondo_protocol::node::NodeId;
use rondo_protocol::now::Now;
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::view::ConflictPolicy;

pub const REPLICAS: usize = 3;
const CLIENTS: usize = 3;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A client reads at a replica and keeps the context.
    Get { client: usize, replica: usize },
    /// A client writes with the context it has.
    Put { client: usize, replica: usize, is_delete: bool },
    /// A client writes without a context.
    BlindPut { replica: usize },
    /// One replica hears all that another knows.
    Hear { from: usize, to: usize },
    /// A replica's wall clock is set, that far from the true time.
    SetWall { replica: usize, skew_millis: i64 },
    /// Time passes.
    Pass { millis: u64 },
    /// A replica stops cleanly and starts again.
    Restart { replica: usize },
    /// A replica takes a blind put, sends it to another, and loses power before its own copy is durable.
    CrashAfterSending { replica: usize, to: usize },
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (client, replica) = (0..CLIENTS, 0..REPLICAS);
    let step = prop_oneof![
        4 => (client.clone(), replica.clone()).prop_map(|(client, replica)| Step::Get { client, replica }),
        6 => (client, replica.clone(), prop::bool::weighted(0.2))
            .prop_map(|(client, replica, is_delete)| Step::Put { client, replica, is_delete }),
        2 => replica.clone().prop_map(|replica| Step::BlindPut { replica }),
        6 => (replica.clone(), replica.clone()).prop_map(|(from, to)| Step::Hear { from, to }),
        2 => (replica.clone(), -700..700i64).prop_map(|(replica, skew_millis)| Step::SetWall { replica, skew_millis }),
        3 => (0..600u64).prop_map(|millis| Step::Pass { millis }),
        1 => replica.clone().prop_map(|replica| Step::Restart { replica }),
        2 => (replica.clone(), replica).prop_map(|(replica, to)| Step::CrashAfterSending { replica, to }),
    ];
    prop::collection::vec(step, 1..60)
}

pub struct Replica {
    actor: ActorId,
    clock: HybridClock,
    durable_bound: Hlc,
    skew_millis: i64,
    pub object: Option<EncodedObject>,
    /// The writes that reached this replica.
    pub heard: BTreeSet<Dot>,
}

#[derive(Clone, Default)]
struct Client {
    context: VersionVector,
    seen: BTreeSet<Dot>,
}

/// What the model knows of a write.
pub struct Write {
    pub value: Option<Vec<u8>>,
    /// All that its client had seen.
    pub replaces: BTreeSet<Dot>,
    /// All that its coordinating replica knew of.
    pub known_before: BTreeSet<Dot>,
}

pub struct World {
    policy: ConflictPolicy,
    true_millis: u64,
    pub replicas: Vec<Replica>,
    clients: Vec<Client>,
    pub writes: BTreeMap<Dot, Write>,
    /// Every object that ever was.
    pub objects: Vec<EncodedObject>,
    arena: BytesMut,
}

impl World {
    pub fn new(policy: ConflictPolicy) -> World {
        let replica = |node| Replica {
            actor: ActorId { node: NodeId(node), incarnation: Incarnation(1) },
            clock: HybridClock::new(Hlc::default()),
            durable_bound: Hlc::default(),
            skew_millis: 0,
            object: None,
            heard: BTreeSet::new(),
        };
        World {
            policy,
            true_millis: 1_000_000,
            replicas: (1..).map(replica).take(REPLICAS).collect(),
            clients: vec![Client::default(); CLIENTS],
            writes: BTreeMap::new(),
            objects: Vec::new(),
            arena: BytesMut::new(),
        }
    }

    /// A world after `steps`.
    pub fn after(policy: ConflictPolicy, steps: &[Step]) -> World {
        let mut world = World::new(policy);
        steps.iter().for_each(|step| world.take(*step));
        world
    }

    pub fn take(&mut self, step: Step) {
        match step {
            Step::Get { client, replica } => self.get(client, replica),
            Step::Put { client, replica, is_delete } => {
                let client = self.clients[client].clone();
                self.put(replica, &client, is_delete);
            }
            Step::BlindPut { replica } => self.put(replica, &Client::default(), false),
            Step::Hear { from, to } => self.hear(from, to),
            Step::SetWall { replica, skew_millis } => self.replicas[replica].skew_millis = skew_millis,
            Step::Pass { millis } => self.true_millis += millis,
            Step::Restart { replica } => self.restart(replica),
            Step::CrashAfterSending { replica, to } => self.crash_after_sending(replica, to),
        }
    }

    /// Everybody hears everybody.
    pub fn settle(&mut self) {
        for to in 0..REPLICAS {
            (0..REPLICAS).for_each(|from| self.hear(from, to));
        }
        (0..REPLICAS).for_each(|to| self.hear(REPLICAS - 1, to));
    }

    /// All writes that `heard` tells of: themselves, and what their writers had seen.
    pub fn told_of(&self, heard: &BTreeSet<Dot>) -> BTreeSet<Dot> {
        heard.iter().flat_map(|dot| self.writes[dot].replaces.iter().chain([dot])).copied().collect()
    }

    /// What a replica that has heard of `heard` must hold.
    pub fn expected(&self, heard: &BTreeSet<Dot>) -> Vec<(Dot, Option<Vec<u8>>)> {
        let is_replaced = |dot: &Dot| heard.iter().any(|other| self.writes[other].replaces.contains(dot));
        let alive: Vec<Dot> = match self.policy {
            ConflictPolicy::Lww => heard.last().copied().into_iter().collect(),
            ConflictPolicy::Siblings => heard.iter().filter(|dot| !is_replaced(dot)).copied().collect(),
        };
        alive.into_iter().map(|dot| (dot, self.writes[&dot].value.clone())).collect()
    }

    fn now(&self, replica: usize) -> Now {
        let wall_millis = self.true_millis.saturating_add_signed(self.replicas[replica].skew_millis);
        Now { wall_millis, ..Now::default() }
    }

    fn get(&mut self, client: usize, replica: usize) {
        let replica = &self.replicas[replica];
        let context = replica.object.as_ref().map(EncodedObject::seen).unwrap_or_default();
        // Where the last write wins a context speaks of the winner only.
        let seen = match self.policy {
            ConflictPolicy::Lww => replica.heard.last().copied().into_iter().collect(),
            ConflictPolicy::Siblings => self.told_of(&replica.heard),
        };
        self.clients[client] = Client { context, seen };
    }

    /// As the coordinator does it: observe what the write builds on, raise the bound if need be, then take a dot.
    fn put(&mut self, replica: usize, client: &Client, is_delete: bool) {
        let now = self.now(replica);
        let place = &mut self.replicas[replica];
        let held = place.object.as_ref().map(EncodedObject::latest).unwrap_or_default();
        let observed = place.clock.observe(now, held).and_then(|()| place.clock.observe(now, client.context.latest()));
        if let Some(bound) = place.clock.bound_wanted(now) {
            place.durable_bound = bound;
            place.clock.raise_bound(bound);
        }
        let Ok(hlc) = observed.and_then(|()| place.clock.tick(now)) else { return }; // Refused: nothing happened.

        let dot = Dot { hlc, actor: place.actor };
        let value = (!is_delete).then(|| format!("{dot:?}").into_bytes());
        let kind = value.as_deref().map_or(SiblingKind::Tombstone, SiblingKind::Value);
        let put = EncodedObject::put(place.object.as_ref(), self.policy, dot, &client.context, kind, &mut self.arena);
        let object = put.expect("sixty steps stay within limits").object;
        let write = Write { value, replaces: client.seen.clone(), known_before: place.heard.clone() };
        assert!(self.writes.insert(dot, write).is_none(), "{dot:?} was given twice");
        place.heard.insert(dot);
        place.object = Some(object.clone());
        self.objects.push(object);
    }

    fn hear(&mut self, from: usize, to: usize) {
        let Some(theirs) = self.replicas[from].object.clone() else { return };
        let heard = self.replicas[from].heard.clone();
        let place = &mut self.replicas[to];
        let merged = match &place.object {
            Some(own) => own.merge(&theirs, self.policy, &mut self.arena),
            None => theirs,
        };
        place.object = Some(merged.clone());
        place.heard.extend(heard);
        self.objects.push(merged);
    }

    fn restart(&mut self, replica: usize) {
        let place = &mut self.replicas[replica];
        place.clock = HybridClock::new(place.durable_bound);
    }

    fn crash_after_sending(&mut self, replica: usize, to: usize) {
        let durable = (self.replicas[replica].object.clone(), self.replicas[replica].heard.clone());
        self.put(replica, &Client::default(), false);
        if to != replica {
            self.hear(replica, to);
        }
        let place = &mut self.replicas[replica];
        (place.object, place.heard) = durable;
        place.actor.incarnation.0 += 1;
        self.restart(replica);
    }
}
