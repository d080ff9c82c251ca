//! What never changes during a run: who there is, and where keys live.

use core::num::NonZeroU16;
use std::sync::Arc;

use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::ring::{ObjectKey, Ring, RingNode, VNodeBits, shard_of};
use rondo_protocol::view::{ClusterView, ConflictPolicy, Keyspace};
use rondo_protocol::wire::request::Level;

use crate::fault::Seat;
use crate::history::Key;
use crate::profile::Profile;

/// N of both keyspaces.
pub const REPLICAS: u8 = 3;

/// The members and their ring.
#[derive(Clone, Debug)]
pub struct Cluster {
    shards: Vec<NonZeroU16>,
    ids: Vec<NodeId>,
    views: Vec<Arc<ClusterView>>,
}

impl Cluster {
    /// The cluster of a profile: nodes `n1`, `n2`, …, dealt to the racks in turn.
    pub fn new(profile: &Profile) -> Cluster {
        let seats: Vec<Seat> = (0..profile.shards.len()).map(Seat).collect();
        let members =
            seats.iter().map(|seat| RingNode::new(&seat.to_string(), &format!("r{}", seat.0 % profile.racks)));
        let bits = VNodeBits::new(profile.vnode_bits).expect("profiles have 1 to 16 bits");
        let ring = Ring::lay_out(bits, members.collect()).expect("the names n1, n2, … make a ring");
        let view = |seat: &Seat| {
            Arc::new(ClusterView {
                epoch: 1,
                cluster_id: 1,
                me: NodeId::of_name(&seat.to_string()),
                ring: ring.clone(),
                keyspaces: vec![keyspace("lww", ConflictPolicy::Lww), keyspace("siblings", ConflictPolicy::Siblings)],
            })
        };
        Cluster {
            shards: profile.shards.iter().map(|count| NonZeroU16::new(*count).expect("nodes have shards")).collect(),
            ids: seats.iter().map(|seat| NodeId::of_name(&seat.to_string())).collect(),
            views: seats.iter().map(view).collect(),
        }
    }

    /// How many nodes.
    pub fn nodes(&self) -> usize {
        self.ids.len()
    }

    /// All of them.
    pub fn seats(&self) -> impl Iterator<Item = Seat> + use<> {
        (0..self.nodes()).map(Seat)
    }

    /// How many shards a node has.
    pub fn shards(&self, seat: Seat) -> NonZeroU16 {
        self.shards[seat.0]
    }

    /// A node's number.
    pub fn id(&self, seat: Seat) -> NodeId {
        self.ids[seat.0]
    }

    /// The place of the node with that number.
    pub fn seat(&self, id: NodeId) -> Seat {
        Seat(self.ids.iter().position(|known| *known == id).expect("cores only name members"))
    }

    /// A node's view.
    pub fn view(&self, seat: Seat) -> &Arc<ClusterView> {
        &self.views[seat.0]
    }

    /// The primaries of a key.
    pub fn replicas(&self, key: Key) -> Vec<Seat> {
        let ring = &self.views[0].ring;
        let list = ring.preference_list(ring.vnode(key.object_key().token()));
        list.iter().take(usize::from(REPLICAS)).map(|id| self.seat(*id)).collect()
    }

    /// The shard of a node that owns a key.
    pub fn owning_shard(&self, seat: Seat, key: &ObjectKey) -> ShardIndex {
        shard_of(self.views[0].ring.vnode(key.token()), self.shards(seat))
    }

    /// A level as a number.
    pub fn required(&self, level: Level) -> u8 {
        match level {
            Level::One => 1,
            Level::Default | Level::Quorum => REPLICAS / 2 + 1,
            Level::All => REPLICAS,
            Level::Count(count) => count,
        }
    }
}

fn keyspace(name: &str, policy: ConflictPolicy) -> Keyspace {
    Keyspace { name: name.into(), replicas: REPLICAS, read: Level::Quorum, write: Level::Quorum, policy }
}
