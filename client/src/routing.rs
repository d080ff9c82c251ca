//! From a key to the core that owns it.
//!
//! The token of the key names a vnode, the vnode its preference list of nodes, and inside each node the vnode names
//! the core. All of it comes from one topology reply, so a client sends each request straight to a core that keeps the key.
//!
//! Pure: when to ask for the topology again is the fronts' work.

use core::num::NonZeroU16;
use std::sync::Arc;

use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::ring::{Ring, RingError, Token, VNodeBits, shard_of};
use rondo_protocol::view::Keyspace;
use rondo_protocol::wire::{TopologyNode, TopologyReply};

/// The topology as clients use it: immutable, replaced as a whole when there is a newer one.
#[derive(Clone, Debug)]
pub struct Routing {
    cluster_id: u64,
    epoch: u64,
    ring: Ring,
    nodes: Vec<NodeRoute>,
    keyspaces: Vec<Keyspace>,
}

/// A node as clients see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRoute {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub name: Arc<str>,
    /// Its availability zone.
    pub rack: Arc<str>,
    /// Where clients reach it, as far as the node that told us knows it.
    pub address: Option<Arc<str>>,
    /// How many shards it has, as far as known.
    pub shards: Option<NonZeroU16>,
    /// Whether the node that told us had a link to it.
    pub is_up: bool,
}

/// Where to send a request.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Target {
    /// The node's address for clients.
    pub address: Arc<str>,
    /// The shard to ask for in the handshake; `None` for any.
    pub shard: Option<ShardIndex>,
}

impl Routing {
    /// Takes a topology reply of the cluster `cluster_id`.
    ///
    /// # Errors
    /// The reply makes no ring; the node that sent it is at fault.
    pub fn new(cluster_id: u64, topology: TopologyReply) -> Result<Routing, RingError> {
        let ring = topology.ring()?;
        let nodes = topology.nodes.into_iter().map(NodeRoute::new).collect();
        Ok(Routing { cluster_id, epoch: topology.epoch, ring, nodes, keyspaces: topology.keyspaces })
    }

    /// Names the cluster.
    pub fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// Counts changes of the topology.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// All members, sorted by name.
    pub fn nodes(&self) -> &[NodeRoute] {
        &self.nodes
    }

    /// The member of that number.
    pub fn node(&self, id: NodeId) -> Option<&NodeRoute> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// All keyspaces, sorted by name.
    pub fn keyspaces(&self) -> &[Keyspace] {
        &self.keyspaces
    }

    /// b of the ring: it has 2^b virtual nodes.
    pub fn bits(&self) -> VNodeBits {
        self.ring.bits()
    }

    /// Who owns what.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The nodes that keep `token`, in preference order: the first N are its replicas.
    pub fn preference_list(&self, token: Token) -> &[NodeId] {
        self.ring.preference_list(self.ring.vnode(token))
    }

    /// The targets for `token`, best first: the owning shards along the preference list. Nodes without a known address
    /// are skipped.
    pub fn targets(&self, token: Token) -> impl Iterator<Item = Target> {
        let vnode = self.ring.vnode(token);
        self.ring.preference_list(vnode).iter().filter_map(move |id| {
            let node = self.node(*id)?;
            let address = node.address.clone()?;
            Some(Target { address, shard: node.shards.map(|shards| shard_of(vnode, shards)) })
        })
    }

    /// The known addresses of all members: whom to ask when no owner of a key can be reached.
    pub fn addresses(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.iter().filter_map(|node| node.address.as_ref())
    }

    /// True if this topology should replace `current`: it is newer, or as new and knows more nodes' addresses and shards.
    pub fn is_better_than(&self, current: &Routing) -> bool {
        let known = |routing: &Routing| routing.nodes.iter().filter(|node| node.is_known()).count();
        if self.epoch != current.epoch {
            return self.epoch > current.epoch;
        }
        // An address or shard count that changed with a restart is news too, as long as nothing is forgotten for it.
        known(self) >= known(current) && self.nodes != current.nodes
    }
}

impl NodeRoute {
    fn new(node: TopologyNode) -> NodeRoute {
        NodeRoute {
            id: node.id,
            name: node.name.into(),
            rack: node.rack.into(),
            address: node.client_addr.map(Arc::from),
            shards: NonZeroU16::new(node.shards),
            is_up: node.up,
        }
    }

    /// True if a request can be sent straight to its cores.
    pub fn is_known(&self) -> bool {
        self.address.is_some() && self.shards.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_protocol::ring::{RingNode, VNode};

    /// Nodes a, b, c, each with its own rack; those named in `known` have an address and `shards` shards.
    fn routing(epoch: u64, known: &str, shards: u16) -> Routing {
        let ring_nodes = ["a", "b", "c"].map(|name| RingNode::new(name, name)).to_vec();
        let bits = VNodeBits::new(4).expect("4 is a number of bits");
        let ring = Ring::lay_out(bits, ring_nodes).expect("three nodes make a ring");
        let node = |node: &RingNode| {
            let is_known = known.contains(&node.name);
            TopologyNode {
                id: node.id,
                name: node.name.clone(),
                rack: node.rack.clone(),
                client_addr: is_known.then(|| format!("{}:7600", node.name)),
                shards: if is_known { shards } else { 0 },
                up: is_known,
            }
        };
        let nodes = ring.nodes().iter().map(node).collect();
        let owners = ring.owner_places();
        Routing::new(9, TopologyReply { epoch, vnode_bits: bits, nodes, owners, keyspaces: Vec::new() })
            .expect("a ring")
    }

    #[test]
    fn a_key_goes_to_the_owning_shard_of_its_owner_and_then_along_the_preference_list() {
        let routing = routing(1, "abc", 4);
        for number in 0..16u128 {
            let token = Token(number << 124 | 5);
            let targets: Vec<Target> = routing.targets(token).collect();
            let wanted: Vec<Target> = routing
                .preference_list(token)
                .iter()
                .map(|id| Target {
                    address: format!("{}:7600", routing.node(*id).expect("a member").name).into(),
                    shard: Some(ShardIndex(number as u16 % 4)),
                })
                .collect();
            assert_eq!(targets, wanted);
            assert_eq!(routing.ring().owner(VNode(number as u16)), routing.preference_list(token)[0]);
        }
    }

    #[test]
    fn nodes_without_an_address_are_skipped() {
        let routing = routing(1, "b", 1);
        for number in 0..16u128 {
            let addresses: Vec<_> = routing.targets(Token(number << 124)).map(|target| target.address).collect();
            assert_eq!(addresses, [Arc::from("b:7600")]);
        }
    }

    #[test]
    fn a_topology_is_replaced_by_a_newer_one_or_one_that_knows_more() {
        assert!(routing(2, "a", 1).is_better_than(&routing(1, "abc", 1)));
        assert!(!routing(1, "abc", 1).is_better_than(&routing(2, "a", 1)));
        assert!(routing(1, "ab", 1).is_better_than(&routing(1, "a", 1)));
        assert!(!routing(1, "a", 1).is_better_than(&routing(1, "ab", 1)));
        assert!(routing(1, "ab", 2).is_better_than(&routing(1, "ab", 1)));
        assert!(!routing(1, "ab", 1).is_better_than(&routing(1, "ab", 1)));
    }
}
