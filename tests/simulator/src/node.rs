//! A machine and the lives of the process on it.
//!
//! What outlives a power cut is here in plain sight: the disks, the sorted stores, and the identity with its incarnation
//! and clean mark. Everything else is [`NodeState`] and gone when the power is.

use core::num::NonZeroU16;
use std::collections::{BTreeMap, VecDeque};

use rondo_protocol::causality::{ActorId, Incarnation};
use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::now::{Instant, Now};
use rondo_protocol::planted::{self, Planted};

use crate::companion::SharedStore;
use crate::disk::SimDisk;
use crate::fault::Seat;
use crate::network::Life;
use crate::server::ServerEnd;
use crate::shard::Shard;
use crate::shard_log::Recovery;
use crate::world::Occurrence;

/// The Unix time at which every simulation begins, in milliseconds.
const EPOCH_MILLIS: u64 = 1_790_000_000_000;

/// One machine.
pub struct Node {
    /// Its place.
    pub seat: Seat,
    /// Its name's number.
    pub id: NodeId,
    /// How many shards it has.
    pub shards: NonZeroU16,
    /// Counts its starts.
    pub life: u64,
    /// What runs on it.
    pub state: NodeState,
    /// Each shard's disk.
    pub disks: Vec<SimDisk>,
    /// Each shard's sorted store.
    pub sorted: Vec<SharedStore>,
    /// How far its wall clock is off, in milliseconds.
    pub clock_off_millis: i64,
    /// Until when each core stands still.
    pub stalled: Vec<Instant>,
    /// What each core that stands still has to do then, in order.
    pub(crate) waiting: Vec<VecDeque<Occurrence>>,
    /// When each core's next look at its disk is planned.
    pub disk_looks: Vec<Option<Instant>>,
    /// When each core's deadline is planned.
    pub deadlines: Vec<Option<Instant>>,
    /// Connections of clients, by number.
    pub connections: BTreeMap<u64, ServerEnd>,
    identity: Identity,
    dealt: u16,
}

/// What runs on a machine.
pub enum NodeState {
    /// Nothing.
    Down,
    /// The shards are finding out what they hold.
    Recovering {
        /// One for each shard.
        recoveries: Vec<Recovery>,
        /// The shards that know already.
        ready: Vec<Option<Shard>>,
    },
    /// It serves.
    Serving {
        /// Its cores.
        shards: Vec<Shard>,
        /// Is it on its way down, in good order?
        stopping: bool,
    },
}

/// The durable identity, as the data directory keeps it.
#[derive(Clone, Copy, Debug, Default)]
struct Identity {
    incarnation: u32,
    is_clean: bool,
}

impl Node {
    /// A machine that never ran.
    pub fn new(seat: Seat, shards: NonZeroU16, disks: Vec<SimDisk>) -> Node {
        let count = usize::from(shards.get());
        Node {
            seat,
            id: NodeId::of_name(&seat.to_string()),
            shards,
            life: 0,
            state: NodeState::Down,
            disks,
            sorted: vec![(); count].into_iter().map(|()| SharedStore::default()).collect(),
            clock_off_millis: 0,
            stalled: vec![Instant(0); count],
            waiting: vec![VecDeque::new(); count],
            disk_looks: vec![None; count],
            deadlines: vec![None; count],
            connections: BTreeMap::new(),
            identity: Identity::default(),
            dealt: 0,
        }
    }

    /// What time it is here.
    pub fn now(&self, instant: Instant) -> Now {
        let millis = EPOCH_MILLIS + instant.0 / 1_000_000;
        Now { instant, wall_millis: millis.saturating_add_signed(self.clock_off_millis) }
    }

    /// Its life, if it serves.
    pub fn serving(&self) -> Life {
        match &self.state {
            NodeState::Serving { .. } => Some(self.life),
            NodeState::Down | NodeState::Recovering { .. } => None,
        }
    }

    /// Is nothing running?
    pub fn is_down(&self) -> bool {
        matches!(self.state, NodeState::Down)
    }

    /// Its shards, if it serves.
    pub fn shards_mut(&mut self) -> &mut [Shard] {
        match &mut self.state {
            NodeState::Serving { shards, .. } => shards,
            NodeState::Down | NodeState::Recovering { .. } => &mut [],
        }
    }

    /// Its shards, if it serves.
    pub fn shards(&self) -> &[Shard] {
        match &self.state {
            NodeState::Serving { shards, .. } => shards,
            NodeState::Down | NodeState::Recovering { .. } => &[],
        }
    }

    /// A new life begins: who gives its dots? The incarnation is renewed unless the last life ended in good order, and
    /// the clean mark is gone, before anything else happens.
    pub fn begin_life(&mut self, instant: Instant) -> ActorId {
        self.life += 1;
        let is_first = self.identity.incarnation == 0;
        let forgets_to_renew = planted::is_planted(Planted::DotReuseAfterRestart) && !is_first;
        if !self.identity.is_clean && !forgets_to_renew {
            let seconds = u32::try_from(self.now(instant).wall_millis / 1000).unwrap_or(u32::MAX);
            self.identity.incarnation = (self.identity.incarnation + 1).max(seconds);
        }
        self.identity.is_clean = false;
        self.disk_looks.fill(None);
        self.deadlines.fill(None);
        self.waiting.iter_mut().for_each(VecDeque::clear);
        self.actor()
    }

    /// The last life ended in good order.
    pub fn mark_clean(&mut self) {
        self.identity.is_clean = true;
    }

    /// Who gives its dots in this life.
    pub fn actor(&self) -> ActorId {
        ActorId { node: self.id, incarnation: Incarnation(self.identity.incarnation) }
    }

    /// The next shard in turn, for a connection that wants any.
    pub fn deal(&mut self) -> ShardIndex {
        self.dealt = self.dealt.wrapping_add(1);
        ShardIndex(self.dealt % self.shards.get())
    }
}
