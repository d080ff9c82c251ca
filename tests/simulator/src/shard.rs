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
use rondo_protocol::event::{DiskState, Found};
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
    Attempt, Batch, ColdRead, CompanionAnswer, CompanionRequest, Delivery, DiskHealth, FrozenTable, LogRecord, Lookup,
    Recovered, ShardStore, Takes, WalLimits, WriteFailure,
};

use crate::companion::{Companion, SharedStore};
use crate::disk::SimDisk;
use crate::history::Key;
use crate::shard_log::{Done, ShardLog};

/// A shard that serves.
pub struct Shard {
    place: PeerShard,
    actor: ActorId,
    core: ShardCore,
    store: ShardStore,
    log: ShardLog,
    companion: Companion,
    /// The disk, as whoever looks at its room sees it.
    sim_disk: SimDisk,
    disk: DiskHealth,
    takes: Takes,
    /// A batch that the disk has refused, until it takes it.
    held: Option<Batch>,
    /// The reserve of the log is still to be set aside for the first time.
    owes_first_fill: bool,
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
    /// Deletes that were taken though the disk was full.
    pub deletes_on_full: u64,
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
            log: ShardLog::resume(disk.clone(), &recovered, limits),
            sim_disk: disk,
            disk: DiskHealth::default(),
            takes: Takes::default(),
            held: None,
            owes_first_fill: true,
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
        self.go_on(now, output);
    }

    /// The core's deadline has come.
    pub fn deadline(&mut self, now: Now, output: &mut Output) {
        let mut effects = core::mem::take(&mut self.effects);
        self.core.handle_deadline(now, &mut effects);
        let mut events = VecDeque::new();
        self.perform_all(&mut effects, &mut events, output);
        self.effects = effects;
        match events.pop_front() {
            None => self.go_on(now, output),
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
        let Some(done) = self.log.poll() else { return self.go_on(now, output) };
        let time = since_start(now);
        match done {
            Done::Durable(upto, attempt) => {
                self.disk.written(attempt);
                self.look_at_disk(now, output);
                self.store.committed(upto);
                self.turn(now, Event::Durable { upto: Lsn(upto.0) }, output);
            }
            Done::Refused(WriteFailure { batch, error, trouble }, attempt) => {
                self.held = Some(batch);
                self.disk.refused(attempt, trouble, error.to_string(), time);
                self.go_on(now, output);
            }
            Done::Checkpointed(upto) => {
                self.disk.written(Attempt::Checkpoint);
                self.store.checkpointed(upto);
                self.go_on(now, output);
            }
            Done::CheckpointRefused(table, error) => {
                self.applied = Some(table);
                self.disk.refused(Attempt::Checkpoint, error.trouble(), error.to_string(), time);
                self.go_on(now, output);
            }
            Done::Refilled(is_there) => {
                self.disk.refilled(is_there, time);
                self.go_on(now, output);
            }
        }
    }

    /// Time has passed, or the room on the disk has changed.
    pub fn disk_look(&mut self, now: Now, output: &mut Output) {
        self.go_on(now, output);
    }

    /// When to look at the disk again though nothing has happened.
    pub fn next_disk_look(&self, now: Now) -> Option<Instant> {
        self.disk.next_look(since_start(now)).map(|at| Instant::default() + at)
    }

    /// Judges the disk anew, and tells the core if that changes what it may take.
    fn look_at_disk(&mut self, now: Now, output: &mut Output) {
        let Some(takes) = self.disk.look(since_start(now), self.sim_disk.room()) else { return };
        self.takes = takes;
        let state = match takes {
            Takes::All => DiskState::Writable,
            Takes::Deletes => DiskState::Full,
            Takes::Nothing => DiskState::Failing,
        };
        self.turn(now, Event::DiskChanged { state }, output);
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
                self.go_on(now, output);
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
                if self.takes == Takes::Deletes {
                    output.deletes_on_full += u64::from(object.is_deleted());
                    // Siblings may stay beside a tombstone; where the last write wins there is nothing but it.
                    let is_lww = Key::of(&key).is_some_and(|key| key.lww);
                    if is_lww && !object.is_deleted() {
                        output.broken = Some(format!("{:?} took a value though its disk was full", self.place));
                    }
                }
                output.appended.push((key, object));
            }
            Record::HlcBound(bound) => self.store.append(lsn, LogRecord::HlcBound(bound.0)),
        }
    }

    /// Gives the log and the companion what waits for them, and begins what was given.
    fn go_on(&mut self, now: Now, output: &mut Output) {
        self.look_at_disk(now, output);
        let stats = self.store.stats();
        if self.store.checkpoint_due()
            && self.disk.may_checkpoint(stats.memtable_active_bytes + stats.memtable_frozen_bytes)
            && let Some(table) = self.store.freeze()
        {
            output.companion_woke |= self.companion.ask(CompanionRequest::Checkpoint(table));
        }
        if self.log.is_idle() {
            self.give_log(since_start(now));
            // The first poll begins the first disk operation; no operation of this disk ends before its time.
            match self.log.poll() {
                None => {}
                // The reserve was there: nobody asked the disk.
                Some(Done::Refilled(is_there)) => self.disk.refilled(is_there, since_start(now)),
                Some(_) => panic!("the simulated disk never answers at once"),
            }
        }
    }

    fn give_log(&mut self, time: Duration) {
        let may_try = self.disk.may_try(time);
        if let Some(table) = self.applied.take_if(|_| may_try) {
            self.log.finish_checkpoint(table);
        } else if self.held.is_some() && !may_try {
            return;
        } else if let Some(batch) = self.held.take().or_else(|| self.store.take_batch()) {
            let attempt = if self.disk.uses_reserve() { Attempt::CommitFromReserve } else { Attempt::Commit };
            self.log.write(batch, attempt);
        } else if self.disk.may_refill(time) || core::mem::take(&mut self.owes_first_fill) {
            self.log.refill_reserve();
        } else {
            return;
        }
        self.disk.began(time);
    }
}

/// The time as the disk's health counts it.
fn since_start(now: Now) -> Duration {
    now.instant - Instant::default()
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
