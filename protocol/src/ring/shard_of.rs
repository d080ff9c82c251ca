//! Which core of a node owns a vnode: local knowledge, never stored or sent.

use core::num::NonZeroU16;

use super::VNode;
use crate::node::ShardIndex;

/// Vnodes are dealt to a node's shards in turn.
pub fn shard_of(vnode: VNode, shards: NonZeroU16) -> ShardIndex {
    ShardIndex(vnode.0 % shards.get())
}
