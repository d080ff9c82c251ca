//! How a node is, as plain data for whoever wants to show it.

use core::num::NonZeroU16;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::stats::Stats;
use rondo_protocol::view::ClusterView;
use rondo_storage::DiskCondition;

use crate::wounded::WoundStatus;

/// A whole node, as of its shards' last reports (at most a quarter of a second old while they tick).
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its number.
    pub node: NodeId,
    /// Its rack.
    pub rack: String,
    /// Which life of the node this is.
    pub incarnation: u32,
    /// Time since it began to serve.
    pub uptime: Duration,
    /// Where clients connect, as bound.
    pub listen: SocketAddr,
    /// Where peers connect, as bound.
    pub peer_listen: SocketAddr,
    /// The address it tells clients.
    pub advertised: SocketAddr,
    /// The cluster as it sees it.
    pub view: Arc<ClusterView>,
    /// What it is doing.
    pub phase: Phase,
    /// Its shards, in order.
    pub shards: Vec<ShardStatus>,
    /// The other members, in the ring's order.
    pub peers: Vec<PeerStatus>,
}

/// Where a node is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// All shards answer.
    Serving,
    /// No new work; what is in flight is finished.
    Draining,
    /// A shard has ended unexpectedly; the process should end too.
    Failed,
}

/// One shard.
#[derive(Clone, Debug)]
pub struct ShardStatus {
    /// Which.
    pub shard: ShardIndex,
    /// The core it is pinned to, if any.
    pub core: Option<usize>,
    /// Time since its executor last ran its tick; beyond a second it is stalled.
    pub tick_age: Duration,
    /// What its core counted.
    pub stats: Stats,
    /// What its store holds and did.
    pub store: StoreStatus,
    /// Open client connections.
    pub connections: usize,
    /// Does it take all writes? The same as a disk that is [`DiskCondition::Writable`].
    pub takes_writes: bool,
    /// What its disk takes.
    pub disk: DiskCondition,
    /// Why not more.
    pub disk_reason: Option<String>,
    /// For how long the disk has not answered, if it is [`DiskCondition::Stalled`].
    pub disk_stalled_for: Option<Duration>,
    /// Why the sorted store is down, while it is: then keys outside memory may be unreadable.
    pub store_trouble: Option<String>,
    /// What it has lost and not been given back.
    pub wounds: WoundStatus,
    /// Its outgoing links.
    pub links: Vec<LinkStatus>,
}

/// The store of one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreStatus {
    /// Bytes not yet in the sorted store.
    pub memtable_bytes: u64,
    /// Bytes in the object cache.
    pub cache_bytes: u64,
    /// Lookups answered by the memtable or the cache.
    pub lookup_hits: u64,
    /// Lookups that had to ask the sorted store.
    pub lookup_misses: u64,
    /// Bytes appended to the log.
    pub wal_bytes: u64,
    /// Times the log was made durable.
    pub wal_syncs: u64,
    /// Checkpoints finished.
    pub checkpoints: u64,
    /// Time since the last one (or since the start).
    pub checkpoint_age: Duration,
    /// Bytes of the filter before the sorted store.
    pub filter_bytes: u64,
    /// Bytes of the log's files on the disk.
    pub log_disk_bytes: u64,
    /// Bytes of the sorted store's files on the disk.
    pub store_disk_bytes: u64,
    /// Bytes of keys and newest objects in the sorted store, as far as its engine knows.
    pub live_bytes: u64,
    /// Bytes of damaged files that were set aside.
    pub set_aside_bytes: u64,
    /// Is the sorted store being rewritten?
    pub is_rewriting: bool,
    /// Times it was.
    pub rewrites: u64,
}

/// An outgoing link of one shard to one shard of a peer.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The peer.
    pub node: NodeId,
    /// The shard there.
    pub shard: ShardIndex,
    /// Connected, and heard from within the last seconds.
    pub is_up: bool,
    /// Times it had to be connected anew.
    pub reconnects: u64,
    /// Bytes waiting to be sent.
    pub outbox_bytes: usize,
    /// Messages dropped because the outbox was full or the link down.
    pub outbox_drops: u64,
    /// Why it is not up, if that is known.
    pub trouble: Option<String>,
}

/// Another member, as this node sees it.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Its rack.
    pub rack: String,
    /// Where its peers reach it.
    pub peer_addr: SocketAddr,
    /// Where clients reach it, once it has said so.
    pub client_addr: Option<SocketAddr>,
    /// How many shards it has, once it has said so.
    pub shards: Option<NonZeroU16>,
    /// True if at least one shard here has a link to it.
    pub is_up: bool,
    /// Shards here that have a link to it.
    pub shards_linked: usize,
}
