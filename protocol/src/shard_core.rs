//! One core's brain: routes each event to the flow it belongs to, and holds no opinions of its own.

use std::sync::Arc;

use crate::causality::{ActorId, Hlc};
use crate::effect::Effects;
use crate::event::Event;
use crate::node::ShardIndex;
use crate::now::{Instant, Now};
use crate::stats::Stats;
use crate::ticket::Lsn;
use crate::view::ClusterView;

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
    /// The last record in the log; the first append gets the number after it. All up to it is durable.
    pub recovered: Lsn,
    /// The cluster.
    pub view: Arc<ClusterView>,
}

/// The pure core of one shard.
#[derive(Debug)]
pub struct ShardCore {
    stats: Stats,
}

impl ShardCore {
    /// A core with nothing in flight.
    pub fn new(boot: Boot) -> ShardCore {
        todo!("{boot:?}")
    }

    /// Takes in one event and appends what follows from it to `effects`. Never blocks, never panics on foreign input.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Effects) {
        todo!("{now:?}{event:?}{effects:?}")
    }

    /// When [`ShardCore::handle_deadline`] wants to be called next; never earlier than needed by more than a
    /// millisecond's rounding.
    pub fn next_deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// Time has passed.
    pub fn handle_deadline(&mut self, now: Now, effects: &mut Effects) {
        todo!("{now:?}{effects:?}")
    }

    /// Counts since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The epoch of the view in force: what the envelope of each message sent carries.
    pub fn epoch(&self) -> u64 {
        todo!()
    }

    /// Client requests not yet replied to.
    pub fn in_flight(&self) -> usize {
        todo!()
    }

    /// From now on new client requests are refused with `Stopping`; those in flight go on.
    pub fn stop(&mut self) {
        todo!()
    }
}
