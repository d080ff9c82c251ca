//! What all shards of a node know and none of them changes.

use core::num::NonZeroU16;
use std::net::SocketAddr;
use std::sync::Arc;

use rondo_protocol::node::NodeId;
use rondo_protocol::ring::{Ring, RingNode, VNode};
use rondo_protocol::view::{ClusterView, ConflictPolicy, Keyspace};
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Clock;
use crate::config::{NodeConfig, NodeEntry};
use crate::start_error::StartError;

/// The node, its cluster, and the clock they are measured with.
#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub(crate) name: String,
    pub(crate) rack: String,
    pub(crate) node: NodeId,
    pub(crate) view: Arc<ClusterView>,
    /// For each vnode the place of its owner among the ring's nodes, as clients are told.
    pub(crate) owners: Vec<u16>,
    pub(crate) ring_fingerprint: u64,
    pub(crate) keyspace_fingerprint: u64,
    pub(crate) shards: NonZeroU16,
    pub(crate) advertised: SocketAddr,
    /// The other members, in the ring's order.
    pub(crate) peers: Vec<NodeEntry>,
    pub(crate) connections_max: usize,
    pub(crate) clock: Clock,
}

/// The number of a cluster: XXH3-64 (seed 0) of its name.
pub(crate) fn cluster_id(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// The cluster as the configuration describes it.
pub(crate) fn view_of(config: &NodeConfig) -> Result<ClusterView, StartError> {
    let nodes = config.nodes.iter().map(|entry| RingNode::new(&entry.name, &entry.rack)).collect();
    let ring = Ring::lay_out(config.vnode_bits, nodes).map_err(|error| contradiction(error.to_string()))?;
    let me = NodeId::of_name(&config.name);
    let Some(own) = config.nodes.iter().find(|entry| entry.name == config.name) else {
        return Err(contradiction(format!("the node {:?} is not in the list of nodes; add it there", config.name)));
    };
    if own.rack != config.rack {
        let (name, rack, listed) = (&config.name, &config.rack, &own.rack);
        return Err(contradiction(format!("the rack of {name:?} is {rack:?}, but {listed:?} in the list of nodes")));
    }
    let mut keyspaces = config.keyspaces.clone();
    keyspaces.sort_by(|one, other| one.name.cmp(&other.name));
    check_keyspaces(&keyspaces, config.nodes.len())?;
    Ok(ClusterView { epoch: 1, cluster_id: cluster_id(&config.cluster), me, ring, keyspaces })
}

fn check_keyspaces(keyspaces: &[Keyspace], nodes: usize) -> Result<(), StartError> {
    if let Some(twice) = keyspaces.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(contradiction(format!("the keyspace {:?} occurs twice", twice[0].name)));
    }
    let unfit = keyspaces.iter().find(|keyspace| !(1..=nodes).contains(&usize::from(keyspace.replicas)));
    unfit.map_or(Ok(()), |keyspace| {
        let Keyspace { name, replicas, .. } = keyspace;
        Err(contradiction(format!("the keyspace {name:?} wants {replicas} replicas, but there are {nodes} nodes")))
    })
}

fn contradiction(reason: String) -> StartError {
    StartError::Config { reason }
}

impl NodeFacts {
    /// Gathers the facts of a node that is about to serve.
    pub(crate) fn new(
        config: &NodeConfig,
        view: ClusterView,
        advertised: SocketAddr,
        connections_max: usize,
    ) -> NodeFacts {
        let place_of = |id| view.ring.nodes().iter().position(|node| node.id == id).unwrap_or_default();
        let vnodes = (0..view.ring.bits().count()).map(|vnode| VNode(vnode as u16));
        let owners = vnodes.map(|vnode| place_of(view.ring.owner(vnode)) as u16).collect();
        let others = view.ring.nodes().iter().filter(|node| node.id != view.me);
        let peers =
            others.filter_map(|node| config.nodes.iter().find(|entry| entry.name == node.name)).cloned().collect();
        NodeFacts {
            name: config.name.clone(),
            rack: config.rack.clone(),
            node: view.me,
            owners,
            ring_fingerprint: view.ring.fingerprint(),
            keyspace_fingerprint: fingerprint(&view.keyspaces),
            shards: config.shards,
            advertised,
            peers,
            connections_max,
            clock: Clock::start(),
            view: Arc::new(view),
        }
    }
}

/// A number that differs when keyspaces, sorted by name, do.
fn fingerprint(keyspaces: &[Keyspace]) -> u64 {
    let mut bytes = Vec::new();
    for keyspace in keyspaces {
        let policy = match keyspace.policy {
            ConflictPolicy::Lww => 1,
            ConflictPolicy::Siblings => 2,
        };
        bytes.extend_from_slice(&(keyspace.name.len() as u64).to_le_bytes());
        bytes.extend_from_slice(keyspace.name.as_bytes());
        bytes.extend_from_slice(&[keyspace.replicas, keyspace.read.code(), keyspace.write.code(), policy]);
    }
    xxh3_64(&bytes)
}
