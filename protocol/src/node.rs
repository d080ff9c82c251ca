//! Who is who: nodes, and the shards inside them.

use core::fmt;

/// A node's number: the low 32 bits of XXH3-64 (seed 0) of its name, so that every node computes the same one from the
/// same list without asking anybody. A topology with two names of one number is refused when it is built.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u32);

/// A shard's place inside its node, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardIndex(pub u16);

/// One core of one node: the unit that peer links connect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerShard {
    /// The node.
    pub node: NodeId,
    /// The shard inside it.
    pub shard: ShardIndex,
}

impl NodeId {
    /// The number of the node called `name`.
    pub fn of_name(name: &str) -> NodeId {
        NodeId(xxhash_rust::xxh3::xxh3_64(name.as_bytes()) as u32)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
