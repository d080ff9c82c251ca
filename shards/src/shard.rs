//! One core at work: events in, effects done, and nothing of its own to say.
//!
//! A *turn* is what happens between two waits: bytes (or an inbox, or the disk's word) come in, each event goes to the
//! core, each effect is done at once, which may bring further events; when all is quiet, everything gathered leaves: one
//! send a connection, one message a core, one request to the companion. Tasks call in here and wait out there; no borrow
//! is held while anybody waits.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rondo_protocol::effect::Record;
use rondo_protocol::event::Found;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::now::{Instant, Now};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::ring::{ObjectKey, shard_of};
use rondo_protocol::ticket::{Lsn, Origin, Ticket};
use rondo_protocol::wire::peer::PeerMessage;
use rondo_protocol::wire::reply::{DataReply, Refusal};
use rondo_protocol::wire::request::DataRequest;
use rondo_protocol::{Effect, Effects, Event, ShardCore};
use rondo_storage::{DiskHealth, LogRecord, Lookup, ShardStore};

use crate::cold::ColdReads;
use crate::commit_loop::Checkpoint;
use crate::deadline_loop::Beats;
use crate::facts::NodeFacts;
use crate::free_space::FreeSpace;
use crate::jobs::Jobs;
use crate::limits::{LONG_TURN, READ_BYTES_MAX};
use crate::mesh::{Mesh, MeshRequest};
use crate::metrics::{Counters, RequestKind};
use crate::net::{Arrivals, Calls, Clients, Destination, Peers, Socket};
use crate::runtime::{Notify, thread_time};
use crate::upkeep::Upkeep;
use crate::watch::ShardWatch;
use crate::wounded::Wounded;

/// Everything that one core has.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) index: ShardIndex,
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) watch: Arc<ShardWatch>,
    pub(crate) core: ShardCore,
    pub(crate) store: ShardStore,
    pub(crate) cold: ColdReads,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) mesh: Mesh,
    pub(crate) jobs: Jobs,
    pub(crate) upkeep: Upkeep,
    pub(crate) arrivals: Arrivals,
    pub(crate) clients: Clients,
    pub(crate) calls: Calls,
    pub(crate) peers: Peers,
    pub(crate) counters: Counters,
    /// The time of the present turn.
    pub(crate) now: Now,
    /// What the thread had worked when it began.
    worked_before: Duration,
    /// How much of it the store has taken so far.
    in_store: Duration,
    /// What the last read brought, and where it is cut into frames.
    pub(crate) scratch: Vec<u8>,
    pub(crate) arena: BytesMut,
    pub(crate) phase: ShardPhase,
    pub(crate) beats: Beats,
    /// What the disk takes, and its room.
    pub(crate) disk: DiskHealth,
    pub(crate) space: Arc<FreeSpace>,
    pub(crate) wounded: Wounded,
    /// Rung when there is something for the log, or to end.
    pub(crate) commit_bell: Rc<Notify>,
    /// True while the core or the store is at work: a panic then is no connection's affair.
    pub(crate) is_inside_core: bool,
    effects: Effects,
    follow_ups: VecDeque<Event>,
    listed: Vec<Rc<Socket>>,
    settled: Vec<(RequestKind, Instant)>,
    refused: Vec<MeshRequest>,
    has_appended: bool,
}

/// Where a shard is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ShardPhase {
    /// Takes requests.
    Serving,
    /// Refuses new ones.
    Draining,
    /// Makes the rest durable and ends.
    Stopping,
}

/// What a shard is made of, as recovered.
#[derive(Debug)]
pub(crate) struct ShardParts {
    pub(crate) index: ShardIndex,
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) watch: Arc<ShardWatch>,
    pub(crate) core: ShardCore,
    pub(crate) store: ShardStore,
    pub(crate) cold: ColdReads,
    pub(crate) mesh: Mesh,
    pub(crate) jobs: Jobs,
    pub(crate) upkeep: Upkeep,
    pub(crate) space: Arc<FreeSpace>,
}

/// The shard, as its tasks share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedShard(Rc<RefCell<Shard>>);

impl SharedShard {
    /// Calls in. The closure must not start tasks that call in themselves: they would run inside it.
    pub(crate) fn with<R>(&self, call: impl FnOnce(&mut Shard) -> R) -> R {
        call(&mut self.0.borrow_mut())
    }

    /// Calls in for a whole turn: the clock is read before, and what was gathered leaves after.
    pub(crate) fn turn<R>(&self, call: impl FnOnce(&mut Shard) -> R) -> R {
        self.with(|shard| {
            shard.begin_turn();
            let outcome = call(shard);
            shard.end_turn();
            outcome
        })
    }
}

impl Shard {
    /// Puts the parts together. Must be called inside the shard's executor.
    pub(crate) fn assemble(parts: ShardParts) -> SharedShard {
        let now = parts.facts.clock.now();
        SharedShard(Rc::new(RefCell::new(Shard {
            index: parts.index,
            peers: Peers::new(&parts.facts),
            facts: parts.facts,
            watch: parts.watch,
            core: parts.core,
            store: parts.store,
            cold: parts.cold,
            checkpoint: Checkpoint { finished_at: now.instant, ..Checkpoint::default() },
            mesh: parts.mesh,
            jobs: parts.jobs,
            upkeep: parts.upkeep,
            arrivals: Arrivals::default(),
            clients: Clients::default(),
            calls: Calls::default(),
            counters: Counters::default(),
            now,
            worked_before: Duration::ZERO,
            in_store: Duration::ZERO,
            scratch: vec![0; READ_BYTES_MAX],
            arena: BytesMut::with_capacity(READ_BYTES_MAX),
            phase: ShardPhase::Serving,
            beats: Beats::default(),
            disk: DiskHealth::default(),
            space: parts.space,
            wounded: Wounded::default(),
            commit_bell: Rc::default(),
            is_inside_core: false,
            effects: Effects::new(),
            follow_ups: VecDeque::new(),
            listed: Vec::new(),
            settled: Vec::new(),
            refused: Vec::new(),
            has_appended: false,
        })))
    }

    /// Reads the clocks.
    pub(crate) fn begin_turn(&mut self) {
        self.now = self.facts.clock.now();
        self.worked_before = thread_time();
        self.in_store = Duration::ZERO;
    }

    /// Calls into the store, and counts the time.
    pub(crate) fn with_store<R>(&mut self, call: impl FnOnce(&mut ShardStore) -> R) -> R {
        let began = self.facts.clock.instant();
        let outcome = call(&mut self.store);
        self.in_store += self.facts.clock.instant() - began;
        outcome
    }

    /// Sends everything that the turn has gathered.
    pub(crate) fn end_turn(&mut self) {
        self.flush_mesh();
        self.cold.flush();
        if core::mem::take(&mut self.has_appended) {
            self.commit_bell.ring();
        }
        let mut listed = core::mem::take(&mut self.listed);
        listed.drain(..).for_each(|socket| socket.flush());
        self.listed = listed;
        self.clients.forget_ended();
        self.record_latencies();
    }

    /// The shard of this node that owns a key.
    pub(crate) fn owner_of(&self, key: &ObjectKey) -> ShardIndex {
        shard_of(self.facts.view.ring.vnode(key.token()), self.facts.shards)
    }

    /// Tells the core, and does what follows from it.
    pub(crate) fn deliver(&mut self, event: Event) {
        self.step(event);
        while let Some(event) = self.follow_ups.pop_front() {
            self.step(event);
        }
    }

    /// Lets the core look at its deadlines, if one has come.
    pub(crate) fn deliver_deadline(&mut self) {
        if self.core.next_deadline().is_none_or(|deadline| deadline > self.now.instant) {
            return;
        }
        self.is_inside_core = true;
        self.core.handle_deadline(self.now, &mut self.effects);
        self.perform_all();
        while let Some(event) = self.follow_ups.pop_front() {
            self.step(event);
        }
    }

    /// A request for a key of this shard, from wherever it came.
    pub(crate) fn admit(&mut self, origin: Origin, arrived: Instant, request: DataRequest) {
        let is_write = !matches!(request, DataRequest::Get { .. });
        if is_write && self.store.is_overloaded() {
            self.counters.store_busy += 1;
            return self.reply(origin, busy());
        }
        self.deliver(Event::Request { origin, arrived, request });
    }

    /// A peer's message.
    pub(crate) fn admit_message(&mut self, event: Event) {
        if let Event::Message { from, message: PeerMessage::Replicate { ticket, .. }, .. } = &event
            && self.store.is_overloaded()
        {
            let message = PeerMessage::Replicated { ticket: *ticket, outcome: Err(Refusal::Busy) };
            return self.perform(Effect::Send { to: *from, message });
        }
        self.deliver(event);
    }

    /// Answers a request, wherever its connection is.
    pub(crate) fn reply(&mut self, origin: Origin, reply: DataReply) {
        let destination = Destination::from_origin(origin);
        if destination.home == self.index {
            self.settle(destination, reply);
        } else {
            self.mesh.reply(destination.home, (origin, reply));
        }
    }

    /// Has `socket` flushed at the end of the turn.
    pub(crate) fn list(&mut self, socket: &Rc<Socket>) {
        self.listed.push(Rc::clone(socket));
    }

    /// Counts a request's latency at the end of the turn, when its reply has left.
    pub(crate) fn count_latency(&mut self, kind: RequestKind, arrived: Instant) {
        self.settled.push((kind, arrived));
    }

    fn step(&mut self, event: Event) {
        self.is_inside_core = true;
        self.core.handle(self.now, event, &mut self.effects);
        self.perform_all();
    }

    fn perform_all(&mut self) {
        let mut effects = core::mem::take(&mut self.effects);
        effects.drain(..).for_each(|effect| self.perform(effect));
        self.effects = effects;
        self.is_inside_core = false;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { origin, reply } => self.reply(origin, reply),
            Effect::Send { to, message } => self.send(to, &message),
            Effect::Load { ticket, key } => self.load(ticket, &key),
            Effect::Append { lsn, record } => self.append(lsn, record),
            Effect::Disconnect { peer } => self.disconnect(peer.node),
        }
    }

    fn load(&mut self, ticket: Ticket, key: &ObjectKey) {
        let found = match self.with_store(|store| store.lookup(key.token().0, key.routed())) {
            Lookup::Hit { object, lsn } => found_object(object, lsn),
            Lookup::Absent => Found::Nothing,
            Lookup::Unreadable => {
                self.counters.lookup_failures += 1;
                Found::Unreadable
            }
            Lookup::Cold if self.cold.is_broken() => Found::Unreadable,
            Lookup::Cold => return self.cold.ask(ticket, key),
        };
        self.follow_ups.push_back(Event::Loaded { ticket, found });
    }

    fn append(&mut self, lsn: Lsn, record: Record) {
        let lsn = rondo_storage::Lsn(lsn.0);
        match &record {
            Record::Object { key, object } => {
                let (token, routed, object) = (key.token().0, key.routed(), object.bytes().clone());
                self.with_store(|store| store.append(lsn, LogRecord::Object { token, routed, object }));
            }
            Record::HlcBound(bound) => self.with_store(|store| store.append(lsn, LogRecord::HlcBound(bound.0))),
        }
        self.has_appended = true;
    }

    fn flush_mesh(&mut self) {
        let mut refused = core::mem::take(&mut self.refused);
        self.mesh.flush(&mut refused);
        self.counters.mesh_full += refused.len() as u64;
        refused.drain(..).for_each(|request| self.reply(request.origin, busy()));
        self.refused = refused;
    }

    /// A turn took long by the clock: was the thread at work all the time, and was that the store?
    fn count_long_turn(&mut self) {
        let is_busy = thread_time().saturating_sub(self.worked_before) > LONG_TURN;
        self.counters.long_turns += 1;
        self.counters.busy_turns += u64::from(is_busy);
        self.counters.storage_stalls += u64::from(is_busy && self.in_store > LONG_TURN);
    }

    fn record_latencies(&mut self) {
        let now = self.facts.clock.instant();
        if now - self.now.instant > LONG_TURN {
            self.count_long_turn();
        }
        for (kind, arrived) in self.settled.drain(..) {
            self.counters.latency[kind as usize].record(now - arrived);
        }
    }
}

/// What the store holds, as the core is told.
pub(crate) fn found_object(object: Bytes, lsn: rondo_storage::Lsn) -> Found {
    match EncodedObject::decode(object) {
        Ok(object) => Found::Object { object, lsn: Lsn(lsn.0) },
        Err(error) => {
            tracing::error!(%error, "the store holds bytes that are no object");
            Found::Unreadable
        }
    }
}

fn busy() -> DataReply {
    DataReply::Refused { refusal: Refusal::Busy, retry_after: Some(crate::limits::BUSY_RETRY_AFTER) }
}
