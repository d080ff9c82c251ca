//! Whether settings fit with each other and with the machine: one rule a function.
//!
//! Each adds to the problems and gives back something harmless to go on with.

use std::net::SocketAddr;

use rondo_protocol::node::NodeId;
use rondo_protocol::ring::{Ring, RingNode, VNodeBits};
use rondo_shards::{MemoryBound, NodeConfig};

use super::nodes::NodeEntry;
use super::problem::{Place, Problems};
use super::sourced::Sourced;

/// Adds a node to the list unless its name or address is there already.
pub(super) fn add_entry(nodes: &mut Vec<NodeEntry>, entry: NodeEntry, place: &Place, problems: &mut Problems) {
    if nodes.iter().any(|known| known.name == entry.name) {
        let what = format!("the node name {:?} occurs twice", entry.name);
        return problems.add(place, what, "give every node a name of its own");
    }
    if let Some(known) = nodes.iter().find(|known| known.peer_address == entry.peer_address) {
        let what = format!("{:?} and {:?} have the same address {}", known.name, entry.name, entry.peer_address);
        return problems.add(place, what, "give every node an address of its own");
    }
    nodes.push(entry);
}

/// The cores that were named, without those that may not be used; all usable ones if none is left.
pub(super) fn check_cores(said: &Sourced<Vec<i64>>, usable: &[usize], problems: &mut Problems) -> Vec<usize> {
    let mut cores = Vec::new();
    for &core in &said.value {
        match usize::try_from(core).ok().filter(|core| usable.contains(core)) {
            Some(core) if !cores.contains(&core) => cores.push(core),
            Some(core) => problems.add(&said.place, format!("core {core} is named twice"), "name each core once"),
            None => {
                let what = format!("this process may not use core {core}");
                problems.add(&said.place, what, format!("choose from {usable:?}"));
            }
        }
    }
    if cores.is_empty() { usable.to_vec() } else { cores }
}

/// Addresses beyond loopback have to be allowed.
pub(super) fn check_exposure(listeners: &[&Sourced<SocketAddr>], insecure_no_auth: bool, problems: &mut Problems) {
    for said in listeners.iter().filter(|said| !said.value.ip().is_loopback() && !insecure_no_auth) {
        let what = format!(
            "{} can be reached from beyond this machine, and nothing authenticates or encrypts yet",
            said.value
        );
        problems.add(&said.place, what, "listen on 127.0.0.1, or say --insecure-no-auth (insecure-no-auth = true) on a network where everybody may read and write everything");
    }
}

/// Each listener needs an address of its own.
pub(super) fn check_ports(listeners: &[&Sourced<SocketAddr>], problems: &mut Problems) {
    for (index, later) in listeners.iter().enumerate() {
        let clashes = |earlier: &&&Sourced<SocketAddr>| earlier.value == later.value && later.value.port() != 0;
        if listeners[..index].iter().any(|earlier| clashes(&earlier)) {
            problems.add(
                &later.place,
                format!("{} is used for two purposes", later.value),
                "give clients, peers and admin a port each",
            );
        }
    }
}

/// Clients must be told an address that they can connect to.
pub(super) fn check_advertised(
    listen: &Sourced<SocketAddr>,
    advertise: Option<&Sourced<SocketAddr>>,
    problems: &mut Problems,
) {
    let (told, place) = advertise.map_or((listen.value, &listen.place), |said| (said.value, &said.place));
    if told.ip().is_unspecified() {
        let what = format!("clients would be told to connect to {told}, which is no address that they can reach");
        problems.add(place, what, "say --advertise ADDR:PORT with an address of this machine that clients reach");
    }
}

/// All that the node may hold at once has to fit into the machine.
pub(super) fn check_memory(
    node: &NodeConfig,
    memory: Option<u64>,
    said: [&Option<Sourced<i64>>; 4],
    problems: &mut Problems,
) {
    let bound = MemoryBound::of(node);
    let Some(memory) = memory.filter(|memory| *memory < bound.total()) else { return };
    let (has, shards) = (memory >> 20, node.shards);
    let what =
        format!("the node may take {bound} (for {shards} shards), and this machine or control group has {has} MiB");
    // The largest of what was said is the first to look at.
    let largest = said.into_iter().flatten().max_by_key(|said| said.value);
    problems.add(
        largest.map_or(&Place::Absent("cache-mib"), |said| &said.place),
        what,
        "lower cache-mib, store-cache-mib, memtable-mib or filter-mib (each is per shard), or shards, or give it more memory",
    );
}

/// The members must make a ring.
pub(super) fn check_ring(bits: VNodeBits, entries: &[rondo_shards::NodeEntry], place: &Place, problems: &mut Problems) {
    if entries.len() > bits.count() {
        let what = format!("{} nodes share {} virtual nodes", entries.len(), bits.count());
        return problems.add(place, what, "raise vnode-bits (the same on every node of a new cluster)");
    }
    let member = |entry: &rondo_shards::NodeEntry| RingNode {
        id: NodeId::of_name(&entry.name),
        name: entry.name.clone(),
        rack: entry.rack.clone(),
    };
    // An empty list has been complained of already.
    if !entries.is_empty()
        && let Err(error) = Ring::lay_out(bits, entries.iter().map(member).collect())
    {
        problems.add(place, error.to_string(), "rename one of the nodes");
    }
}
