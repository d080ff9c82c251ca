//! From a key to this thread's connections, worked out once for each vnode so that a request only looks it up.

use core::num::NonZeroU16;
use std::sync::Arc;

use ahash::AHashMap;
use rondo_client::Routing;
use rondo_client::routing::Target;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::ring::{Token, VNode, VNodeBits, shard_of};

/// A set of connections to one target, by its number.
pub(crate) type Group = usize;

/// Which groups to ask for a key, best first.
#[derive(Debug)]
pub(crate) struct Routes {
    bits: VNodeBits,
    /// For each vnode; one list for all where requests are not routed.
    groups: Vec<Vec<Group>>,
}

impl Routes {
    /// Where `routing` sends each vnode. Targets that were not known yet get the next numbers, in `targets`.
    pub(crate) fn new(routing: &Routing, is_routed: bool, targets: &mut Vec<Target>) -> Routes {
        let bits = routing.bits();
        let mut numbers: AHashMap<Target, Group> = targets.iter().cloned().zip(0..).collect();
        let mut number_of = |target: Target| {
            *numbers.entry(target.clone()).or_insert_with(|| {
                targets.push(target);
                targets.len() - 1
            })
        };
        let groups = if is_routed {
            (0..bits.count()).map(|vnode| routed(routing, VNode(vnode as u16)).map(&mut number_of).collect()).collect()
        } else {
            let anywhere = routing.addresses().map(|address| Target { address: address.clone(), shard: None });
            vec![anywhere.map(&mut number_of).collect()]
        };
        Routes { bits, groups }
    }

    /// The groups for a key, best first.
    pub(crate) fn groups(&self, token: Token) -> &[Group] {
        match self.groups.len() {
            1 => &self.groups[0],
            _ => &self.groups[usize::from(self.bits.vnode(token).0)],
        }
    }
}

/// The owning shards along the preference list, then those of the nodes that are not on it.
fn routed(routing: &Routing, vnode: VNode) -> impl Iterator<Item = Target> {
    let on_list = routing.ring().preference_list(vnode);
    let others = routing.nodes().iter().filter(|node| !on_list.contains(&node.id));
    let nodes = on_list.iter().filter_map(|id| routing.node(*id)).chain(others);
    nodes.filter_map(move |node| Some(target(node.address.clone()?, node.shards, vnode)))
}

fn target(address: Arc<str>, shards: Option<NonZeroU16>, vnode: VNode) -> Target {
    let shard: Option<ShardIndex> = shards.map(|shards| shard_of(vnode, shards));
    Target { address, shard }
}
