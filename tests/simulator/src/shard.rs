//! One core at work: the real `ShardCore` and `ShardStore`, with a simulated disk, companion and network around them.
//!
//! The same turns as the real glue: events in, effects performed, until all is quiet. What leaves the shard is collected
//! in an [`Output`] for the world to carry out, so nothing here knows where it goes or how long it takes.

use bytes::Bytes;
use core::num::NonZeroU16;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rondo_protocol::causality::{ActorId, Hlc};
use rondo_protocol::effect::Record;
use rondo_protocol::event::Found;
use rondo_protocol::node::PeerShard;
use rondo_protocol::now::{Instant, Now};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::shard_core::Boot;
use rondo_protocol::ticket::{Lsn, Origin, Ticket};
use rondo_protocol::view::ClusterView;
use rondo_protocol::wire::peer::PeerMessage;
use rondo_protocol::wire::reply::{DataReply, Refusal};
use rondo_protocol::wire::request::DataRequest;
use rondo_protocol::{Effect, Effects, Event, ShardCore};
use rondo_storage::{
    ColdRead, CompanionAnswer, CompanionRequest, Delivery, FrozenTable, LogRecord, Lookup, Recovered, ShardStore,
    WalLimits,
};

use crate::companion::{Companion, SharedStore};
use crate::disk::SimDisk;
use crate::shard_log::{Done, ShardLog};

/// A shard that serves.
pub struct Shard {
    place: PeerShard,
    actor: ActorId,
    core: ShardCore,
    store: ShardStore,
    log: ShardLog,
    companion: Companion,
    /// A checkpoint whose first half is done and whose second half waits for the log.
    applied: Option<Arc<FrozenTable>>,
    /// Loads that wait for the sorted store, in the order in which they were asked.
    cold: BTreeMap<u64, (Ticket, ObjectKey)>,
    cold_next: u64,
    effects: Effects,
}

/// What leaves a shard in one turn.
#[derive(Debug, Default)]
pub struct Output {
    /// For shards of other nodes.
    pub sends: Vec<(PeerShard, PeerMessage)>,
    /// For clients.
    pub replies: Vec<(Origin, DataReply)>,
    /// What was put into the log and the memtable.
    pub appended: Vec<(ObjectKey, EncodedObject)>,
    /// Peers whose links are to be closed.
    pub disconnects: Vec<PeerShard>,
    /// The companion has work now and had none before.
    pub companion_woke: bool,
    /// What must never happen in a simulation, because no fault explains it.
    pub broken: Option<String>,
}

impl Shard {
    /// A shard that goes on with what recovery found.
    pub fn new(
        place: PeerShard,
        shards: NonZeroU16,
        actor: ActorId,
        view: Arc<ClusterView>,
        (disk, sorted): (SimDisk, SharedStore),
        (recovered, limits): (Recovered, WalLimits),
    ) -> Shard {
        let boot = Boot {
            shard: place.shard,
            shards,
            actor,
            hlc_bound: Hlc(recovered.hlc_bound),
            recovered: Lsn(recovered.last_lsn.0),
            salt: recovered.position.salt,
            view,
        };
        Shard {
            place,
            actor,
            core: ShardCore::new(boot),
            log: ShardLog::resume(disk, &recovered, limits),
            store: recovered.store,
            companion: Companion::new(sorted),
            applied: None,
            cold: BTreeMap::new(),
            cold_next: 0,
            effects: Effects::new(),
        }
    }

    /// Its place in the cluster.
    pub fn place(&self) -> PeerShard {
        self.place
    }

    /// Who gives its dots.
    pub fn actor(&self) -> ActorId {
        self.actor
    }

    /// The core, to look at.
    pub fn core(&self) -> &ShardCore {
        &self.core
    }

    /// The store, to look at.
    pub fn store(&self) -> &ShardStore {
        &self.store
    }

    /// Requests that wait for the companion.
    pub fn companion_waiting(&self) -> usize {
        self.companion.waiting()
    }

    /// No new requests from now on.
    pub fn stop(&mut self) {
        self.core.stop();
    }

    /// Is everything said and done, and on disk?
    pub fn is_drained(&self) -> bool {
        self.core.in_flight() == 0 && self.log.is_idle() && self.store.committed_lsn() == self.store.last_lsn()
    }

    /// What the shard holds of a key, wherever it is: for the end of a run, when nothing is under way.
    pub fn copy_of(&mut self, key: &ObjectKey, sorted: &SharedStore) -> Option<EncodedObject> {
        use rondo_storage::SortedStore;
        let bytes = match self.store.lookup(key.token().0, key.routed()) {
            Lookup::Hit { object, .. } => Some(object),
            Lookup::Absent | Lookup::Unreadable => None,
            Lookup::Cold => sorted.get(key.token().0, key.routed()).ok().flatten().map(|stored| stored.object),
        };
        bytes.and_then(|bytes| EncodedObject::decode(bytes).ok())
    }

    /// A client's request. Writes are turned away here while the log or the checkpoint cannot keep up.
    pub fn request(&mut self, now: Now, origin: Origin, arrived: Instant, request: DataRequest, output: &mut Output) {
        let writes = !matches!(request, DataRequest::Get { .. });
        if writes && self.store.is_overloaded() {
            let retry_after = Some(Duration::from_millis(20));
            output.replies.push((origin, DataReply::Refused { refusal: Refusal::Busy, retry_after }));
            return;
        }
        self.turn(now, Event::Request { origin, arrived, request }, output);
    }

    /// One event and all that follows from it.
    pub fn turn(&mut self, now: Now, event: Event, output: &mut Output) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = core::mem::take(&mut self.effects);
            self.core.handle(now, event, &mut effects);
            self.perform_all(&mut effects, &mut events, output);
            self.effects = effects;
        }
        self.go_on(output);
    }

    /// The core's deadline has come.
    pub fn deadline(&mut self, now: Now, output: &mut Output) {
        let mut effects = core::mem::take(&mut self.effects);
        self.core.handle_deadline(now, &mut effects);
        let mut events = VecDeque::new();
        self.perform_all(&mut effects, &mut events, output);
        self.effects = effects;
        match events.pop_front() {
            None => self.go_on(output),
            Some(first) => {
                self.turn(now, first, output);
                for event in events {
                    self.turn(now, event, output);
                }
            }
        }
    }

    /// A disk operation of this shard has ended.
    pub fn disk_ended(&mut self, now: Now, output: &mut Output) {
        match self.log.poll() {
            None => self.go_on(output),
            Some(Done::Durable(upto)) => {
                self.store.committed(upto);
                self.turn(now, Event::Durable { upto: Lsn(upto.0) }, output);
            }
            Some(Done::Checkpointed(upto)) => {
                self.store.checkpointed(upto);
                self.go_on(output);
            }
            Some(Done::Failed(error)) => {
                output.broken = Some(format!("the log of {:?} failed: {error}", self.place));
            }
        }
    }

    /// The companion does one piece of its work; true if there is more.
    pub fn companion_step(&mut self, now: Now, output: &mut Output) -> bool {
        match self.companion.step() {
            Ok(Some(CompanionAnswer::Got(answers))) => {
                for answer in answers {
                    let delivery = self.store.loaded(answer.read.token, &answer.read.routed, answer.found);
                    let Some((ticket, _)) = self.cold.remove(&answer.read.tag) else { continue };
                    match found(delivery) {
                        Ok(found) => self.turn(now, Event::Loaded { ticket, found }, output),
                        Err(what) => output.broken = Some(what),
                    }
                }
            }
            Ok(Some(CompanionAnswer::Applied { table, .. })) => {
                self.applied = Some(table);
                self.go_on(output);
            }
            Ok(Some(
                CompanionAnswer::Failed(_)
                | CompanionAnswer::Stopped
                | CompanionAnswer::Down { .. }
                | CompanionAnswer::Reopened { .. },
            ))
            | Ok(None) => {}
            Err(error) => output.broken = Some(format!("the sorted store of {:?} failed: {error}", self.place)),
        }
        !self.companion.is_idle()
    }

    fn perform_all(&mut self, effects: &mut Effects, events: &mut VecDeque<Event>, output: &mut Output) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Reply { origin, reply } => output.replies.push((origin, reply)),
                Effect::Send { to, message } => output.sends.push((to, message)),
                Effect::Load { ticket, key } => self.load(ticket, key, events, output),
                Effect::Append { lsn, record } => self.append(lsn, record, output),
                Effect::Disconnect { peer } => output.disconnects.push(peer),
            }
        }
    }

    fn load(&mut self, ticket: Ticket, key: ObjectKey, events: &mut VecDeque<Event>, output: &mut Output) {
        let delivery = match self.store.lookup(key.token().0, key.routed()) {
            Lookup::Hit { object, lsn } => Delivery::Object { object, lsn },
            Lookup::Absent => Delivery::Absent,
            Lookup::Unreadable => Delivery::Unreadable,
            Lookup::Cold => {
                let read = ColdRead { tag: self.cold_next, token: key.token().0, routed: key.routed().clone() };
                self.cold.insert(self.cold_next, (ticket, key));
                self.cold_next += 1;
                output.companion_woke |= self.companion.ask(CompanionRequest::Get(vec![read]));
                return;
            }
        };
        match found(delivery) {
            Ok(found) => events.push_back(Event::Loaded { ticket, found }),
            Err(what) => output.broken = Some(what),
        }
    }

    fn append(&mut self, lsn: Lsn, record: Record, output: &mut Output) {
        let lsn = rondo_storage::Lsn(lsn.0);
        match record {
            Record::Object { key, object } => {
                let bytes: Bytes = object.bytes().clone();
                self.store.append(lsn, LogRecord::Object { token: key.token().0, routed: key.routed(), object: bytes });
                output.appended.push((key, object));
            }
            Record::HlcBound(bound) => self.store.append(lsn, LogRecord::HlcBound(bound.0)),
        }
    }

    /// Gives the log and the companion what waits for them, and begins what was given.
    fn go_on(&mut self, output: &mut Output) {
        if self.store.checkpoint_due()
            && let Some(table) = self.store.freeze()
        {
            output.companion_woke |= self.companion.ask(CompanionRequest::Checkpoint(table));
        }
        if self.log.is_idle() {
            if let Some(table) = self.applied.take() {
                self.log.finish_checkpoint(table);
            } else if let Some(batch) = self.store.take_batch() {
                self.log.write(batch);
            }
            // The first poll begins the first disk operation; no operation of this disk ends before its time.
            let ended = self.log.poll();
            assert!(ended.is_none(), "the simulated disk never answers at once");
        }
    }
}

fn found(delivery: Delivery) -> Result<Found, String> {
    match delivery {
        Delivery::Absent => Ok(Found::Nothing),
        Delivery::Unreadable => Ok(Found::Unreadable),
        Delivery::Object { object, lsn } => match EncodedObject::decode(object) {
            Ok(object) => Ok(Found::Object { object, lsn: Lsn(lsn.0) }),
            Err(error) => Err(format!("the store gave back bytes that are no object: {error}")),
        },
    }
}
