//! Who gives dots: a node in one of its lives.

use crate::node::NodeId;

/// A node's life: renewed (and durable before it serves) whenever the node cannot be sure to remember every dot it gave.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Incarnation(pub u32);

/// A node in one of its lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ActorId {
    /// The node.
    pub node: NodeId,
    /// Which life.
    pub incarnation: Incarnation,
}

impl ActorId {
    /// Node in the high half.
    pub fn to_u64(self) -> u64 {
        (u64::from(self.node.0) << 32) | u64::from(self.incarnation.0)
    }

    /// The inverse of [`ActorId::to_u64`].
    pub fn from_u64(number: u64) -> ActorId {
        ActorId { node: NodeId((number >> 32) as u32), incarnation: Incarnation(number as u32) }
    }
}
