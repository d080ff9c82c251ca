//! What a node must be told before it starts.
//!
//! Plain values, already checked for syntax by whoever read them (flags, a file, a test). What only the machine can
//! say, such as whether a port is free, is the work of [`preflight`](crate::preflight()).

use core::num::NonZeroU16;
use std::net::SocketAddr;
use std::path::PathBuf;

use rondo_protocol::ring::VNodeBits;
use rondo_protocol::view::Keyspace;
use rondo_storage::Engine;

/// A member of the cluster, as the configuration names it. The list is the same on every node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEntry {
    /// 1 to 64 bytes of `[A-Za-z0-9._-]`, unique in the cluster.
    pub name: String,
    /// Where its peers reach it.
    pub peer_addr: SocketAddr,
    /// The availability zone it stands in.
    pub rack: String,
}

/// Everything that a node needs to know to run.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// This node's name; one of `nodes`.
    pub name: String,
    /// This node's rack; the same as in its entry of `nodes`.
    pub rack: String,
    /// The data directory; created if it is absent.
    pub data: PathBuf,
    /// Where clients connect. Port 0 takes any free one (see [`crate::NodeStatus::listen`]).
    pub listen: SocketAddr,
    /// Where peers connect.
    pub peer_listen: SocketAddr,
    /// The address that other nodes tell clients; `None` for the one bound at `listen`.
    pub advertise: Option<SocketAddr>,
    /// The cluster's name; nodes of another one are refused.
    pub cluster: String,
    /// All members, this node among them.
    pub nodes: Vec<NodeEntry>,
    /// b: the ring has 2^b virtual nodes.
    pub vnode_bits: VNodeBits,
    /// The keyspaces; the same list on every node.
    pub keyspaces: Vec<Keyspace>,
    /// Executors, each with its own slice of vnodes, log and store.
    pub shards: NonZeroU16,
    /// The cores to pin them to, the i-th shard to the i-th one, beginning again when there are fewer cores than
    /// shards. Empty: not pinned.
    pub cores: Vec<usize>,
    /// Memtable size at which a checkpoint starts, in bytes per shard.
    pub memtable_bytes: usize,
    /// Object cache, in bytes per shard.
    pub cache_bytes: usize,
    /// The sorted store's own cache, in bytes per shard.
    pub store_cache_bytes: usize,
    /// The filter before the sorted store, in bytes per shard; used by engines that have none of their own.
    pub filter_bytes: usize,
    /// When the sorted store is rewritten.
    pub store_rewrite: StoreRewrite,
    /// What keeps the objects.
    pub engine: Engine,
    /// Bytes that are to stay free on the file system of each shard (never more than an eighth of it): below that only
    /// deletes are taken.
    pub disk_free_min_bytes: u64,
    /// Client connections of one shard; beyond it new ones are refused.
    pub connections_max: usize,
}

/// When a sorted store is rewritten in the background, to give back the space that its engine does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreRewrite {
    /// How many times what it holds its files must weigh; 0: never.
    pub ratio: u32,
    /// And how many bytes at least.
    pub bytes_min: u64,
}

impl StoreRewrite {
    /// Four times, and 256 MiB: sled takes twice what it holds as a rule, and more after deletes.
    pub const DEFAULT: StoreRewrite = StoreRewrite { ratio: 4, bytes_min: 256 << 20 };

    /// Can it ever be, with this engine? One that compacts gives back space by itself.
    pub fn is_possible(&self, engine: Engine) -> bool {
        match engine {
            Engine::Sled => self.ratio > 0,
            Engine::Lsm => false,
        }
    }
}

impl NodeConfig {
    /// Memtable size at which a checkpoint starts, unless configured: 32 MiB per shard.
    pub const MEMTABLE_BYTES_DEFAULT: usize = 32 << 20;
    /// Object cache, unless configured: 64 MiB per shard.
    pub const CACHE_BYTES_DEFAULT: usize = 64 << 20;
    /// The sorted store's own cache, unless configured: 64 MiB per shard.
    pub const STORE_CACHE_BYTES_DEFAULT: usize = 64 << 20;
    /// What is to stay free on each shard's file system, unless configured: 256 MiB.
    pub const DISK_FREE_MIN_BYTES_DEFAULT: u64 = 256 << 20;
    /// The filter before the sorted store, unless configured: 64 MiB per shard, for about 25 million keys.
    pub const FILTER_BYTES_DEFAULT: usize = 64 << 20;
    /// Client connections of one shard, unless configured.
    pub const CONNECTIONS_MAX_DEFAULT: usize = 10_000;
}
