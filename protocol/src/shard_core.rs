//! One core's brain: routes each event to the flow it belongs to, and holds no opinions of its own.
//!
//! A get, a put, a forward, a peer's fetch and a peer's version are flights, each in its own file; they share the
//! `Turn`. What is here only finds the flight that an event is about, and ends it when its step settled it.

use std::sync::Arc;

use bytes::BytesMut;

use crate::causality::{ActorId, Hlc};
use crate::coordinator;
use crate::coordinator::awaken;
use crate::coordinator::drift::ClockDrift;
use crate::coordinator::durability::Durability;
use crate::coordinator::in_flight::{Flight, InFlight};
use crate::coordinator::links::Links;
use crate::coordinator::shard_clock::ShardClock;
use crate::coordinator::turn::{Shard, Turn};
use crate::effect::{Effect, Effects};
use crate::event::{Event, Found};
use crate::node::{PeerShard, ShardIndex};
use crate::now::{Instant, Now};
use crate::replica;
use crate::stats::Stats;
use crate::ticket::{Lsn, Ticket};
use crate::update::{self, Updates};
use crate::view::ClusterView;
use crate::wire::peer::PeerMessage;

/// What a core must be told before its first event.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Its place in its node.
    pub shard: ShardIndex,
    /// How many shards this node has (fixed while it runs).
    pub shards: core::num::NonZeroU16,
    /// Who gives its dots: the incarnation is durable already.
    pub actor: ActorId,
    /// The durable bound of the clock, as recovered.
    pub hlc_bound: Hlc,
    /// Any number that differs from start to start (a clock, a random number). Tickets begin with it, so that a late
    /// answer to a question of the life before is not taken for one to a question of this life.
    pub salt: u64,
    /// The last record in the log; the first append gets the number after it. All up to it is durable.
    pub recovered: Lsn,
    /// The cluster.
    pub view: Arc<ClusterView>,
}

/// The pure core of one shard.
#[derive(Debug)]
pub struct ShardCore {
    flights: InFlight,
    shard: Shard,
}

impl ShardCore {
    /// A core with nothing in flight.
    pub fn new(boot: Boot) -> ShardCore {
        let shard = Shard {
            index: boot.shard,
            shards: boot.shards,
            view: boot.view,
            links: Links::default(),
            clock: ShardClock::new(boot.actor, boot.hlc_bound),
            drift: ClockDrift::default(),
            durability: Durability::new(boot.recovered),
            arena: BytesMut::new(),
            updates: Updates::default(),
            stats: Stats::default(),
            is_stopping: false,
        };
        ShardCore { flights: InFlight::new(boot.salt), shard }
    }

    /// Takes in one event and appends what follows from it to `effects`. Never blocks, never panics on foreign input.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Effects) {
        let turn = &mut Turn { now, shard: &mut self.shard, effects };
        let flights = &mut self.flights;
        match event {
            Event::Request { origin, arrived, request } => {
                coordinator::request(origin, arrived, request, flights, turn);
            }
            Event::Message { from, epoch, clock_millis, message } => {
                turn.shard.drift.hear(from.node, clock_millis, now);
                if admit(from, epoch, &message, turn) {
                    deliver(from, message, flights, turn);
                }
            }
            Event::Loaded { ticket, found } => loaded(ticket, found, flights, turn),
            Event::Durable { upto } => {
                turn.shard.durability.advance(upto);
                awaken::release(flights, turn);
            }
            Event::DiskChanged { state } => awaken::disk_changed(state, flights, turn),
            Event::LinkChanged { node, shards } => {
                turn.shard.links.change(node, shards);
                if shards.is_none() {
                    awaken::link_down(node, flights, turn);
                }
            }
            Event::ViewChanged { view } => {
                turn.shard.drift.keep(|node| view.ring.node(node).is_some());
                turn.shard.view = view;
            }
        }
    }

    /// When [`ShardCore::handle_deadline`] wants to be called next: at most a millisecond late, and early only where
    /// what would have been due has settled since.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.flights.earliest_wake()
    }

    /// Time has passed.
    pub fn handle_deadline(&mut self, now: Now, effects: &mut Effects) {
        let turn = &mut Turn { now, shard: &mut self.shard, effects };
        for index in 0..self.flights.places() {
            if let Some(ticket) = self.flights.take_due(index, now.instant) {
                awaken::woken(ticket, &mut self.flights, turn);
            }
        }
        self.flights.refresh_earliest();
    }

    /// Counts since the start.
    pub fn stats(&self) -> &Stats {
        &self.shard.stats
    }

    /// The epoch of the view in force: what the envelope of each message sent carries.
    pub fn epoch(&self) -> u64 {
        self.shard.view.epoch
    }

    /// Client requests not yet replied to.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.shard.stats.in_flight).expect("as many as there are places")
    }

    /// From now on new client requests are refused with `Stopping`; those in flight go on.
    pub fn stop(&mut self) {
        self.shard.is_stopping = true;
    }
}

/// May the message be worked on? Questions of an older topology are answered with ours; questions about keys of
/// another shard make no sense, and neither does whoever asks them.
fn admit(from: PeerShard, epoch: u64, message: &PeerMessage, turn: &mut Turn<'_>) -> bool {
    let key = match message {
        PeerMessage::Replicate { key, .. } | PeerMessage::Fetch { key, .. } => key,
        PeerMessage::Forward { request, .. } => request.key(),
        PeerMessage::Replicated { .. }
        | PeerMessage::Fetched { .. }
        | PeerMessage::Forwarded { .. }
        | PeerMessage::EpochTooOld { .. } => return true,
    };
    let epoch_here = turn.shard.view.epoch;
    if epoch < epoch_here {
        turn.shard.stats.epoch_refused += 1;
        turn.send_back(from, PeerMessage::EpochTooOld { epoch: epoch_here });
        return false;
    }
    let is_ours = turn.shard.owns(key);
    if !is_ours {
        turn.effects.push(Effect::Disconnect { peer: from });
    }
    is_ours
}

fn deliver(from: PeerShard, message: PeerMessage, flights: &mut InFlight, turn: &mut Turn<'_>) {
    match message {
        PeerMessage::Replicate { ticket, key, object } => {
            replica::replicate(from, ticket, key, object, flights, turn);
        }
        PeerMessage::Fetch { ticket, key, digest_only } => {
            replica::fetch(from, ticket, &key, digest_only, flights, turn);
        }
        PeerMessage::Forward { ticket, request, timeout } => {
            coordinator::forwarded_request(from, ticket, request, timeout, flights, turn);
        }
        PeerMessage::Replicated { ticket, outcome } => match flights.get_mut(ticket) {
            Some(Flight::Put(put)) => {
                let progress = put.replicated(from.node, outcome, turn);
                flights.settle(ticket, progress);
            }
            Some(_) | None => turn.shard.stats.late_answers += 1,
        },
        PeerMessage::Fetched { ticket, answer } => match flights.get_mut(ticket) {
            Some(Flight::Get(get)) => {
                let progress = get.fetched(ticket, from.node, answer, turn);
                flights.settle(ticket, progress);
            }
            Some(_) | None => turn.shard.stats.late_answers += 1,
        },
        PeerMessage::Forwarded { ticket, reply } => match flights.get_mut(ticket) {
            Some(Flight::Forward(forward)) => {
                let progress = forward.forwarded(ticket, from.node, reply, turn);
                flights.settle(ticket, progress);
            }
            Some(_) | None => turn.shard.stats.late_answers += 1,
        },
        // The view comes from the control plane; what was refused ends at its deadline.
        PeerMessage::EpochTooOld { epoch: _ } => turn.shard.stats.epoch_refused += 1,
    }
}

fn loaded(ticket: Ticket, found: Found, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let progress = match flights.get_mut(ticket) {
        Some(Flight::Get(get)) => get.loaded(ticket, found, turn),
        Some(Flight::ServeFetch(serve)) => serve.loaded(ticket, found, turn),
        Some(Flight::KeyLoad(_)) => return update::loaded(ticket, found, flights, turn),
        Some(Flight::Put(_) | Flight::Forward(_) | Flight::Merge(_)) | None => {
            turn.shard.stats.late_answers += 1;
            return;
        }
    };
    flights.settle(ticket, progress);
}
