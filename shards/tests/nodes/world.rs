//! Nodes to test with.

use core::num::NonZeroU16;
use core::time::Duration;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

use rondo_protocol::ring::VNodeBits;
use rondo_protocol::view::{ConflictPolicy, Keyspace};
use rondo_protocol::wire::request::Level;
use rondo_shards::{Node, NodeConfig, NodeEntry, StoreRewrite};

/// Far above what anything here takes, so that it bites only when something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < LONG, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let probe = TcpListener::bind(any_port()).expect("loopback has free ports");
    probe.local_addr().expect("a bound socket has an address")
}

/// The configuration of node `name` among `nodes`, in `data`.
pub(crate) fn config(name: &str, nodes: &[NodeEntry], data: &Path, shards: u16) -> NodeConfig {
    let own = nodes.iter().find(|entry| entry.name == name).expect("the node is in the list");
    NodeConfig {
        name: name.to_owned(),
        rack: own.rack.clone(),
        data: data.join(name),
        listen: any_port(),
        peer_listen: own.peer_addr,
        advertise: None,
        cluster: "test".to_owned(),
        nodes: nodes.to_vec(),
        vnode_bits: VNodeBits::DEFAULT,
        keyspaces: vec![keyspace("default", nodes.len(), ConflictPolicy::Lww)],
        shards: NonZeroU16::new(shards).expect("at least one shard"),
        cores: Vec::new(),
        memtable_bytes: 8 << 20,
        cache_bytes: 8 << 20,
        store_cache_bytes: 8 << 20,
        filter_bytes: 8 << 20,
        store_rewrite: StoreRewrite::DEFAULT,
        engine: rondo_shards::Engine::default(),
        disk_free_min_bytes: NodeConfig::DISK_FREE_MIN_BYTES_DEFAULT,
        connections_max: 100,
    }
}

fn keyspace(name: &str, replicas: usize, policy: ConflictPolicy) -> Keyspace {
    let replicas = u8::try_from(replicas).expect("few nodes");
    Keyspace { name: name.to_owned(), replicas, read: Level::Quorum, write: Level::Quorum, policy }
}

/// Members of a cluster, each in a rack of its own, with peer ports that are free.
pub(crate) fn members(names: &[&str]) -> Vec<NodeEntry> {
    let entry =
        |name: &&str| NodeEntry { name: (*name).to_owned(), peer_addr: free_address(), rack: format!("rack-{name}") };
    names.iter().map(entry).collect()
}

/// Starts a node that is a cluster of its own.
pub(crate) fn start_alone(data: &Path, shards: u16) -> Node {
    Node::start(config("a", &members(&["a"]), data, shards)).expect("it starts")
}
