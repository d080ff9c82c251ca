//! A write, coordinated by a replica: it gets its dot here, and the same bytes go to the log and to the peers at once.
//!
//! ```text
//! waiting (for its turn, a load, a higher clock bound) ──► storing ──W copies durable──► stored
//!    ╰──deadline, too few reachable, disk, ...──► refused      ╰──deadline, too few left──► unknown
//! ```
//! Before the append nothing has happened and a refusal is the truth; after it the outcome is W acknowledgements or
//! unknown. A delete is a put of a tombstone.

use bytes::Bytes;

use super::Asker;
use super::forward;
use super::in_flight::{Flight, InFlight, Progress};
use super::plan::Plan;
use super::turn::Turn;
use crate::causality::{CausalContext, ClockError, Dot, VersionVector};
use crate::limits::{SIBLINGS_WARN, WRITES_IN_FLIGHT_MAX};
use crate::node::NodeId;
use crate::object::{EncodedObject, SiblingKind};
use crate::ring::ObjectKey;
use crate::ticket::Ticket;
use crate::update::{self, Applied, Current};
use crate::view::ConflictPolicy;
use crate::wire::peer::PeerMessage;
use crate::wire::reply::{DataReply, Refusal};
use crate::wire::request::DataRequest;

/// A put or delete under way.
#[derive(Debug)]
pub(crate) struct Put {
    asker: Asker,
    key: ObjectKey,
    plan: Plan,
    /// `None` for a delete.
    value: Option<Bytes>,
    /// What the client had seen.
    seen: VersionVector,
    /// What the key holds with this write in it; `None` as long as nothing has happened.
    stored: Option<EncodedObject>,
}

/// Takes in a put or delete whose plan stands; hands it on if this node keeps no copy of the key.
pub(crate) fn start(asker: Asker, request: DataRequest, plan: Plan, flights: &mut InFlight, turn: &mut Turn<'_>) {
    if plan.me.is_none() {
        return match asker {
            Asker::Client(origin) => forward::start(origin, request, plan, flights, turn),
            // Sent here by a node that sees another ring: no third node is asked.
            Asker::Peer { .. } => turn.refuse(asker, Refusal::NotEnoughReplicas),
        };
    }
    match Put::admit(asker, request, plan, flights, turn) {
        Err(refusal) => turn.refuse(asker, refusal),
        Ok(put) => {
            let deadline = put.plan.deadline;
            let ticket = flights.insert(Flight::Put(put), Some(deadline));
            update::begin(ticket, flights, turn);
        }
    }
}

impl Put {
    fn admit(
        asker: Asker,
        request: DataRequest,
        mut plan: Plan,
        flights: &InFlight,
        turn: &mut Turn<'_>,
    ) -> Result<Put, Refusal> {
        let (key, context, value) = match request {
            DataRequest::Put { key, context, value, .. } => (key, context, Some(value)),
            DataRequest::Delete { key, context, .. } => (key, context, None),
            DataRequest::Get { .. } => return Err(Refusal::BadRequest),
        };
        let seen = CausalContext::decode(&context, key.token()).map_err(|_| Refusal::BadContext)?.seen;
        let has_time = turn.shard.clock.observe(turn.now, seen.latest()).is_ok();
        if !has_time {
            return Err(Refusal::ContextFromFuture);
        }
        plan.expect_write();
        let put = Put { asker, key, plan, value, seen, stored: None };
        put.check_possible(turn)?;
        if WRITES_IN_FLIGHT_MAX <= flights.count() {
            return Err(Refusal::Busy);
        }
        Ok(put)
    }

    /// May the write be begun now?
    fn check_possible(&self, turn: &Turn<'_>) -> Result<(), Refusal> {
        turn.shard.durability.check_append(self.value.is_none())?;
        if turn.shard.drift.is_ours_off(turn.now) {
            return Err(Refusal::ClockSkew);
        }
        if !self.plan.quorum.can_still_be_reached() {
            return Err(Refusal::NotEnoughReplicas);
        }
        if self.plan.deadline <= turn.now.instant {
            return Err(Refusal::DeadlinePassed);
        }
        Ok(())
    }

    /// The key it writes.
    pub(crate) fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// A blind last-write-wins write replaces whatever is there: its dot is later than all that this shard stored.
    pub(crate) fn needs_load(&self) -> bool {
        let is_blind = self.seen.entries().is_empty();
        !(is_blind && self.plan.policy == ConflictPolicy::Lww)
    }

    /// Its turn: writes, or says why not. `current` is left as what the key holds afterwards.
    pub(crate) fn apply(&mut self, ticket: Ticket, current: &mut Current, turn: &mut Turn<'_>) -> Applied {
        if let Err(refusal) = self.check_possible(turn) {
            return self.refuse(refusal, turn);
        }
        let before = match current {
            Current::Unreadable if self.needs_load() => return self.refuse(Refusal::Unreadable, turn),
            Current::Object { object, .. } => Some(&*object),
            Current::Unreadable | Current::Nothing | Current::NotLoaded => None,
        };
        if let Some(before) = before
            && turn.shard.clock.observe(turn.now, before.latest()).is_err()
        {
            return self.refuse(Refusal::ClockSkew, turn);
        }
        let dot = match turn.shard.clock.next_dot(turn.now) {
            Ok(dot) => dot,
            Err(ClockError::TooFarAhead { .. }) => return self.refuse(Refusal::ClockSkew, turn),
            Err(ClockError::BoundReached) => {
                turn.raise_bound();
                return Applied::AwaitsBound;
            }
        };
        let Some(object) = self.write(before, dot, turn) else {
            return self.refuse(Refusal::TooManySiblings, turn);
        };
        let lsn = turn.append(&self.key, &object);
        *current = Current::Object { object: object.clone(), lsn };
        self.stored = Some(object);
        self.replicate(ticket, turn);
        if turn.await_durable(lsn, ticket) {
            return Applied::from(self.durable(turn));
        }
        Applied::Waits
    }

    /// The object with this write in it, or `None` if it would grow beyond the limits.
    fn write(&self, before: Option<&EncodedObject>, dot: Dot, turn: &mut Turn<'_>) -> Option<EncodedObject> {
        let policy = self.plan.policy;
        let kind = self.value.as_deref().map_or(SiblingKind::Tombstone, SiblingKind::Value);
        // A delete without a context deletes what this replica sees.
        let deletes_all = self.value.is_none() && self.seen.entries().is_empty() && policy == ConflictPolicy::Siblings;
        let seen_here = deletes_all.then(|| before.map(EncodedObject::seen)).flatten();
        let seen = seen_here.as_ref().unwrap_or(&self.seen);
        let outcome = EncodedObject::put(before, policy, dot, seen, kind, &mut turn.shard.arena).ok()?;
        turn.shard.stats.lww_discarded += outcome.discarded as u64;
        if policy == ConflictPolicy::Siblings {
            let is_crowded = SIBLINGS_WARN < outcome.object.siblings().count();
            turn.shard.stats.siblings_warned += u64::from(is_crowded);
        }
        Some(outcome.object)
    }

    /// Sends the bytes to all other replicas that can be reached; the rest has failed for this write.
    fn replicate(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        let Some(object) = &self.stored else { return };
        let me = self.plan.me.map(usize::from);
        for (place, node) in self.plan.nodes.iter().enumerate().filter(|(place, _)| Some(*place) != me) {
            let message = PeerMessage::Replicate { ticket, key: self.key.clone(), object: object.clone() };
            if !turn.send(*node, self.plan.vnode, message) {
                self.plan.quorum.record_failure(place);
            }
        }
    }

    /// The own copy is durable.
    pub(crate) fn durable(&mut self, turn: &mut Turn<'_>) -> Progress {
        if let Some(me) = self.plan.me {
            self.plan.quorum.record_answer(usize::from(me));
        }
        self.conclude(turn)
    }

    /// A peer's copy is durable, or was refused.
    pub(crate) fn replicated(&mut self, from: NodeId, outcome: Result<(), Refusal>, turn: &mut Turn<'_>) -> Progress {
        let Some(place) = self.plan.place(from) else { return Progress::Waits };
        match outcome {
            Ok(()) => self.plan.quorum.record_answer(place),
            Err(_) => self.plan.quorum.record_failure(place),
        }
        self.conclude(turn)
    }

    /// The link to a node went down: it may never answer.
    pub(crate) fn link_down(&mut self, node: NodeId, turn: &mut Turn<'_>) -> Progress {
        let Some(place) = self.plan.place(node) else { return Progress::Waits };
        self.plan.quorum.record_failure(place);
        self.conclude(turn)
    }

    /// Its deadline is here.
    pub(crate) fn woken(&mut self, turn: &mut Turn<'_>) -> Progress {
        match self.stored {
            Some(_) => turn.answer(self.asker, DataReply::Unknown { receipt: self.plan.receipt() }),
            None => turn.refuse(self.asker, Refusal::DeadlinePassed),
        }
        Progress::Settled
    }

    /// Nothing happened, and will not.
    pub(crate) fn refuse(&mut self, refusal: Refusal, turn: &mut Turn<'_>) -> Applied {
        turn.refuse(self.asker, refusal);
        Applied::Settled
    }

    fn conclude(&mut self, turn: &mut Turn<'_>) -> Progress {
        let Some(object) = &self.stored else { return Progress::Waits };
        let receipt = self.plan.receipt();
        let reply = if self.plan.quorum.is_reached() {
            DataReply::Stored { receipt, token_low: self.key.token().low32(), object: object.clone() }
        } else if !self.plan.quorum.can_still_be_reached() {
            DataReply::Unknown { receipt }
        } else {
            return Progress::Waits;
        };
        turn.answer(self.asker, reply);
        Progress::Settled
    }
}
