//! `/ring`: who owns what, in one JSON object.

use rondo_protocol::ring::{RingNode, VNode};
use rondo_protocol::view::Keyspace;
use rondo_shards::NodeStatus;
use serde_json::{Value, json};

use crate::config::keyspaces::{level_word, policy_word};

/// The whole answer. `owners` has one entry for each vnode, an index into `nodes`.
pub(super) fn ring_json(status: &NodeStatus) -> Value {
    let ring = &status.view.ring;
    let vnodes = ring.bits().count();
    let place = |vnode: usize| {
        let owner = ring.owner(VNode(vnode as u16));
        ring.nodes().iter().position(|node| node.id == owner)
    };
    let owners: Vec<Option<usize>> = (0..vnodes).map(place).collect();
    let owned = |index: usize| owners.iter().filter(|&&owner| owner == Some(index)).count();
    let most = (0..ring.nodes().len()).map(owned).max().unwrap_or(0);
    let mean = vnodes as f64 / ring.nodes().len().max(1) as f64;
    let nodes: Vec<Value> =
        ring.nodes().iter().enumerate().map(|(index, node)| node_json(status, node, owned(index))).collect();
    json!({
        "epoch": status.view.epoch,
        "cluster_id": format!("{:016x}", status.view.cluster_id),
        "fingerprint": format!("{:016x}", ring.fingerprint()),
        "vnode_bits": ring.bits().get(),
        "vnodes": vnodes,
        "imbalance": most as f64 / mean - 1.0,
        "nodes": nodes,
        "keyspaces": status.view.keyspaces.iter().map(keyspace_json).collect::<Vec<_>>(),
        "owners": owners,
    })
}

fn node_json(status: &NodeStatus, node: &RingNode, owned_vnodes: usize) -> Value {
    let peer = status.peers.iter().find(|peer| peer.node == node.id);
    let own = (node.id == status.node).then_some(status.advertised);
    let client_address = own.or_else(|| peer.and_then(|peer| peer.client_addr));
    json!({
        "name": node.name,
        "id": node.id.to_string(),
        "rack": node.rack,
        "client_address": client_address.map(|address| address.to_string()),
        "is_up": peer.is_none_or(|peer| peer.is_up),
        "owned_vnodes": owned_vnodes,
    })
}

fn keyspace_json(keyspace: &Keyspace) -> Value {
    json!({
        "name": keyspace.name,
        "policy": policy_word(keyspace.policy),
        "replicas": keyspace.replicas,
        "read": level_word(keyspace.read),
        "write": level_word(keyspace.write),
    })
}
