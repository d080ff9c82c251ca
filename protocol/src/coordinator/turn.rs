//! What one step of any flow has at hand: the time, what the shard knows, and where its wishes go.
//!
//! Flows are values of their own; all that they share is here, so that a flow can be read without the others.

use std::sync::Arc;

use bytes::BytesMut;
use core::num::NonZeroU16;

use super::Asker;
use super::drift::ClockDrift;
use super::durability::{Durability, Waiter};
use super::links::Links;
use super::shard_clock::ShardClock;
use crate::effect::{Effect, Effects, Record};
use crate::limits::BUSY_RETRY_AFTER;
use crate::node::{NodeId, PeerShard, ShardIndex};
use crate::now::Now;
use crate::object::EncodedObject;
use crate::ring::{ObjectKey, VNode, shard_of};
use crate::stats::Stats;
use crate::ticket::{Lsn, Ticket};
use crate::update::Updates;
use crate::view::{ClusterView, ConflictPolicy};
use crate::wire::peer::PeerMessage;
use crate::wire::reply::{DataReply, Refusal};

/// What a shard knows and keeps beside its flights.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) index: ShardIndex,
    pub(crate) shards: NonZeroU16,
    pub(crate) view: Arc<ClusterView>,
    pub(crate) links: Links,
    pub(crate) clock: ShardClock,
    pub(crate) drift: ClockDrift,
    pub(crate) durability: Durability,
    /// New objects are encoded into pieces of it.
    pub(crate) arena: BytesMut,
    pub(crate) updates: Updates,
    pub(crate) stats: Stats,
    pub(crate) is_stopping: bool,
}

impl Shard {
    /// Is the slice of this key dealt to this shard inside its node?
    pub(crate) fn owns(&self, key: &ObjectKey) -> bool {
        shard_of(self.view.ring.vnode(key.token()), self.shards) == self.index
    }

    /// The conflict policy of the key's keyspace, if it exists.
    pub(crate) fn policy(&self, key: &ObjectKey) -> Option<ConflictPolicy> {
        Some(self.view.keyspace(key.keyspace())?.policy)
    }

    /// Can messages reach `node` now?
    pub(crate) fn is_reachable(&self, node: NodeId) -> bool {
        node == self.view.me || self.links.shards(node).is_some()
    }
}

/// One step.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) shard: &'a mut Shard,
    pub(crate) effects: &'a mut Effects,
}

impl Turn<'_> {
    /// Sends to the shard of `node` that owns `vnode` there. False, and nothing sent, while the link is down.
    pub(crate) fn send(&mut self, node: NodeId, vnode: VNode, message: PeerMessage) -> bool {
        let Some(shards) = self.shard.links.shards(node) else { return false };
        let to = PeerShard { node, shard: shard_of(vnode, shards) };
        self.effects.push(Effect::Send { to, message });
        true
    }

    /// Answers the shard of a peer.
    pub(crate) fn send_back(&mut self, to: PeerShard, message: PeerMessage) {
        self.effects.push(Effect::Send { to, message });
    }

    /// Looks `key` up for the flight of `ticket`.
    pub(crate) fn load(&mut self, ticket: Ticket, key: &ObjectKey) {
        self.effects.push(Effect::Load { ticket, key: key.clone() });
    }

    /// Appends the new object of `key`. A bound of the clock that it needs goes before it, so that no crash can leave
    /// an object that is later than the clock starts again.
    pub(crate) fn append(&mut self, key: &ObjectKey, object: &EncodedObject) -> Lsn {
        self.raise_bound();
        let lsn = self.shard.durability.count_append();
        let record = Record::Object { key: key.clone(), object: object.clone() };
        self.effects.push(Effect::Append { lsn, record });
        lsn
    }

    /// Appends the next bound of the clock, if one is wanted.
    pub(crate) fn raise_bound(&mut self) {
        if let Some(bound) = self.shard.clock.take_bound_to_append(self.now) {
            let lsn = self.shard.durability.count_append();
            self.effects.push(Effect::Append { lsn, record: Record::HlcBound(bound) });
            self.shard.durability.park(lsn, Waiter::Bound(bound));
        }
    }

    /// The flight of `ticket` may speak at once (true), or is woken when `lsn` is durable.
    pub(crate) fn await_durable(&mut self, lsn: Lsn, ticket: Ticket) -> bool {
        let is_durable = self.shard.durability.is_durable(lsn);
        if !is_durable {
            self.shard.durability.park(lsn, Waiter::Flight(ticket));
        }
        is_durable
    }

    /// Gives whoever asked the answer, and counts it.
    pub(crate) fn answer(&mut self, asker: Asker, reply: DataReply) {
        match asker {
            Asker::Client(origin) => {
                self.count(&reply);
                self.effects.push(Effect::Reply { origin, reply });
            }
            Asker::Peer { peer, ticket } => self.send_back(peer, PeerMessage::Forwarded { ticket, reply }),
        }
    }

    /// Tells whoever asked that nothing happened, and why.
    pub(crate) fn refuse(&mut self, asker: Asker, refusal: Refusal) {
        let retry_after = (refusal == Refusal::Busy).then_some(BUSY_RETRY_AFTER);
        self.answer(asker, DataReply::Refused { refusal, retry_after });
    }

    fn count(&mut self, reply: &DataReply) {
        let stats = &mut self.shard.stats;
        stats.in_flight -= 1;
        match reply {
            DataReply::Found { .. } | DataReply::NotFound { .. } | DataReply::Stored { .. } => stats.replies_done += 1,
            DataReply::Refused { refusal, .. } => {
                stats.replies_refused += 1;
                stats.quorum_failures += u64::from(*refusal == Refusal::NotEnoughReplicas);
                stats.busy += u64::from(*refusal == Refusal::Busy);
                let is_clock = matches!(refusal, Refusal::ClockSkew | Refusal::ContextFromFuture);
                stats.clock_refused += u64::from(is_clock);
            }
            DataReply::Unknown { .. } => {
                stats.replies_unknown += 1;
                stats.quorum_failures += 1;
            }
        }
    }
}
