//! The ring itself: nodes, racks, the owner of each vnode, and every preference list worked out in advance.

use super::{Token, VNode, VNodeBits};
use crate::node::NodeId;

/// A member of the ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RingNode {
    /// Number made from the name.
    pub id: NodeId,
    /// 1 to 64 bytes of `[A-Za-z0-9._-]`.
    pub name: String,
    /// The availability zone; replicas avoid sharing one.
    pub rack: String,
}

/// Why a list of nodes makes no ring.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RingError {
    /// There is nobody.
    #[error("a ring needs at least one node")]
    Empty,
    /// Two nodes have one name.
    #[error("the node name {name:?} occurs twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Two names have one number.
    #[error("the node names {first:?} and {second:?} have the same number; rename one")]
    NumberCollision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

/// Who owns which slice, and who comes next.
#[derive(Clone, Debug)]
pub struct Ring {
    bits: VNodeBits,
    nodes: Vec<RingNode>,
}

impl Ring {
    /// Lays out a new ring: vnodes dealt to the nodes so that each owns the same number (give or take one) and
    /// neighbours on the ring are of different racks as far as possible. The same set gives the same ring on every
    /// node, in whatever order it is listed.
    pub fn lay_out(bits: VNodeBits, nodes: Vec<RingNode>) -> Result<Ring, RingError> {
        todo!("{bits:?}{nodes:?}")
    }

    /// b.
    pub fn bits(&self) -> VNodeBits {
        self.bits
    }

    /// Members, sorted by name.
    pub fn nodes(&self) -> &[RingNode] {
        &self.nodes
    }

    /// The member of that number.
    pub fn node(&self, id: NodeId) -> Option<&RingNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The slice of a token.
    pub fn vnode(&self, token: Token) -> VNode {
        self.bits.vnode(token)
    }

    /// The owner of a slice.
    pub fn owner(&self, vnode: VNode) -> NodeId {
        self.preference_list(vnode)[0]
    }

    /// Distinct nodes in the order in which they keep copies of the slice: the first N are the primaries, the rest the
    /// fallbacks. As long as min(nodes, [`crate::limits::REPLICAS_MAX`]).
    pub fn preference_list(&self, vnode: VNode) -> &[NodeId] {
        todo!("{vnode:?}")
    }

    /// A number that is equal exactly if bits, names, racks and owners are (XXH3-64 of their canonical bytes).
    pub fn fingerprint(&self) -> u64 {
        todo!()
    }
}
