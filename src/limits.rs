//! Every bound of the node's own settings and of its admin port, with unit and reason.

use std::time::Duration;

use rondo_shards::{NodeConfig, StoreRewrite};

use crate::config::sourced::Bounds;

/// Where clients connect unless told otherwise.
pub(crate) const CLIENT_PORT: u16 = 7600;
/// Where peers connect.
pub(crate) const PEER_PORT: u16 = 7601;
/// Where HTTP is served.
pub(crate) const ADMIN_PORT: u16 = 7602;
/// Nodes in a fixed list: each has a link from every shard of every other.
pub(crate) const NODES_MAX: usize = 256;
/// b of the ring.
pub(crate) const VNODE_BITS: Bounds = Bounds { what: "vnode-bits", min: 1, max: 16, default: 10 };
/// Memtable at which a checkpoint starts, in MiB per shard.
pub(crate) const MEMTABLE_MIB: Bounds =
    Bounds { what: "memtable-mib", min: 1, max: 4096, default: (NodeConfig::MEMTABLE_BYTES_DEFAULT >> 20) as i64 };
/// Object cache, in MiB per shard.
pub(crate) const CACHE_MIB: Bounds =
    Bounds { what: "cache-mib", min: 0, max: 1 << 20, default: (NodeConfig::CACHE_BYTES_DEFAULT >> 20) as i64 };
/// The sorted store's cache, in MiB per shard.
pub(crate) const STORE_CACHE_MIB: Bounds = Bounds {
    what: "store-cache-mib",
    min: 8,
    max: 1 << 20,
    default: (NodeConfig::STORE_CACHE_BYTES_DEFAULT >> 20) as i64,
};
/// Room that is to stay free on each shard's file system, in MiB.
pub(crate) const DISK_FREE_MIN_MIB: Bounds = Bounds {
    what: "disk-free-min-mib",
    min: 0,
    max: 1 << 20,
    default: (NodeConfig::DISK_FREE_MIN_BYTES_DEFAULT >> 20) as i64,
};
/// The filter before the sorted store, in MiB per shard.
pub(crate) const FILTER_MIB: Bounds =
    Bounds { what: "filter-mib", min: 1, max: 1 << 20, default: (NodeConfig::FILTER_BYTES_DEFAULT >> 20) as i64 };
/// How many times what it holds a store may weigh before it is rewritten. Below 3, what sled needs as a rule would do.
pub(crate) const STORE_REWRITE_RATIO: Bounds =
    Bounds { what: "store-rewrite-ratio", min: 0, max: 1000, default: StoreRewrite::DEFAULT.ratio as i64 };
/// What a store weighs at least before it is rewritten, in MiB per shard.
pub(crate) const STORE_REWRITE_MIB: Bounds =
    Bounds { what: "store-rewrite-mib", min: 1, max: 1 << 30, default: (StoreRewrite::DEFAULT.bytes_min >> 20) as i64 };
/// Client connections of one shard.
pub(crate) const CONNECTIONS_MAX: Bounds =
    Bounds { what: "connections-max", min: 1, max: 1_000_000, default: NodeConfig::CONNECTIONS_MAX_DEFAULT as i64 };
/// How long a stopping node waits, in seconds: shorter than the 30 s after which container runtimes kill.
pub(crate) const DRAIN_SECONDS: Bounds = Bounds { what: "drain-seconds", min: 0, max: 600, default: 20 };

/// A shard silent for so long makes the node unready.
pub(crate) const TICK_AGE_UNREADY: Duration = Duration::from_secs(1);
/// A shard silent for so long ends the process: nothing but a restart brings it back.
pub(crate) const TICK_AGE_ABORT: Duration = Duration::from_secs(10);
/// From the failure of a shard to the end of the process: time for the log line to be written.
pub(crate) const FAILURE_GRACE: Duration = Duration::from_millis(500);
/// How often the supervisor looks.
pub(crate) const SUPERVISOR_INTERVAL: Duration = Duration::from_millis(100);

/// A fresh node is not ready before it is linked to its peers, but waits no longer than this for them.
pub(crate) const PEER_GRACE: Duration = Duration::from_secs(5);

/// Connections to the admin port that are open at once; further ones wait to be accepted.
pub(crate) const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Longest time for one admin connection from its first to its last byte; a scrape takes milliseconds.
pub(crate) const ADMIN_CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);

/// Nodes that `rondo dev` starts at most: ports are 10 apart, and one machine carries them all.
pub(crate) const DEV_NODES_MAX: u16 = 16;
/// How long `rondo dev` waits until all nodes are ready.
pub(crate) const DEV_READY_WITHIN: Duration = Duration::from_secs(60);
/// How long `rondo dev` waits for nodes to stop: their drain limit and then some.
pub(crate) const DEV_STOP_WITHIN: Duration = Duration::from_secs(30);
/// Longest answer read from an admin port, in bytes.
pub(crate) const HTTP_ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long the command line waits for an admin port.
pub(crate) const HTTP_WITHIN: Duration = Duration::from_secs(5);

/// Longest order given to the admin port, in bytes: some paths and names.
pub(crate) const ORDER_BYTES_MAX: usize = 16 * 1024;
/// Jobs that a node remembers, those that run counted.
pub(crate) const JOBS_REMEMBERED: usize = 32;
/// How often the command line looks at a job that it follows; also how soon Ctrl-C is noticed.
pub(crate) const JOB_LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long a node that was given a job may not answer before the command line gives up following.
pub(crate) const JOB_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Hours between two scheduled scrubs: damage is to be found while the replicas are still whole. 0: none.
pub(crate) const SCRUB_INTERVAL_HOURS: Bounds =
    Bounds { what: "scrub-interval-hours", min: 0, max: 24 * 365, default: 24 * 7 };
/// How often it is looked whether a scrub is due.
pub(crate) const SCRUB_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How much of the companions' time a scheduled scrub may take, in percent.
pub(crate) const SCRUB_SHARE_PERCENT: Bounds = Bounds { what: "scrub-share-percent", min: 1, max: 100, default: 10 };

/// Keys of a restore that are looked at and put together.
pub(crate) const RESTORE_GROUP_KEYS: usize = 128;
/// Bytes of values at which such a group is closed (one largest object may pass it): with the next bound, what a restore
/// holds in memory.
pub(crate) const RESTORE_GROUP_BYTES: usize = 2 * 1024 * 1024;
/// Groups that are under way at once.
pub(crate) const RESTORE_GROUPS_AT_ONCE: usize = 8;
/// How often a key that got no good answer is tried: with the pauses between, for about half a minute.
pub(crate) const RESTORE_ROUNDS_MAX: u32 = 12;
/// The first pause between two tries; it doubles six times.
pub(crate) const RESTORE_PAUSE: Duration = Duration::from_millis(50);
/// Keys of a restore that are named when they could not be put; all are counted.
pub(crate) const RESTORE_TROUBLES_NAMED: usize = 20;
/// Cache of a store that is being built, in bytes per shard.
pub(crate) const RESTORE_STORE_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Operations of a `rondo batch` input that are sent at once.
pub(crate) const BATCH_LINES_AT_ONCE: usize = 256;
/// Longest line of a `rondo batch` input, in bytes: a key and a value at their largest, in base64, and then some.
pub(crate) const BATCH_LINE_BYTES_MAX: usize = 2 * 1024 * 1024;
