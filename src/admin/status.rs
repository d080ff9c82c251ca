//! `/status`: the node in one JSON object. docs/operations.md lists the fields; adding some is no break, removing is.

use rondo_shards::{LinkStatus, NodeStatus, PeerStatus, Phase, ShardStatus};
use serde_json::{Value, json};

use crate::jobs::{JobKind, Jobs};

/// The whole answer.
pub(super) fn status_json(status: &NodeStatus, jobs: &Jobs) -> Value {
    json!({
        "name": status.name,
        "id": status.node.to_string(),
        "rack": status.rack,
        "version": env!("CARGO_PKG_VERSION"),
        "phase": phase_word(status.phase),
        "incarnation": status.incarnation,
        "uptime_seconds": status.uptime.as_secs(),
        "listen": status.listen.to_string(),
        "peer_listen": status.peer_listen.to_string(),
        "advertised": status.advertised.to_string(),
        "cluster_id": format!("{:016x}", status.view.cluster_id),
        "epoch": status.view.epoch,
        "shards": status.shards.iter().map(shard_json).collect::<Vec<_>>(),
        "last_backup": jobs.last_ended(JobKind::Backup),
        "last_scrub": jobs.last_ended(JobKind::Scrub),
        "peers": status.peers.iter().map(peer_json).collect::<Vec<_>>(),
    })
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Serving => "serving",
        Phase::Draining => "draining",
        Phase::Failed => "failed",
    }
}

fn shard_json(shard: &ShardStatus) -> Value {
    let stats = &shard.stats;
    let store = &shard.store;
    json!({
        "shard": shard.shard.0,
        "core": shard.core,
        "tick_age_ms": shard.tick_age.as_millis() as u64,
        "connections": shard.connections,
        "takes_writes": shard.takes_writes,
        "disk": shard.disk.word(),
        "store_trouble": shard.store_trouble,
        "wounds": { "wounds": shard.wounds.wounds, "vnodes": shard.wounds.vnodes },
        "disk_reason": shard.disk_reason,
        "disk_stalled_ms": shard.disk_stalled_for.map(|time| time.as_millis() as u64),
        "requests": {
            "gets": stats.gets,
            "puts": stats.puts,
            "deletes": stats.deletes,
            "replies_done": stats.replies_done,
            "replies_refused": stats.replies_refused,
            "replies_unknown": stats.replies_unknown,
            "quorum_failures": stats.quorum_failures,
            "in_flight": stats.in_flight,
        },
        "store": {
            "memtable_bytes": store.memtable_bytes,
            "cache_bytes": store.cache_bytes,
            "lookup_hits": store.lookup_hits,
            "lookup_misses": store.lookup_misses,
            "wal_bytes": store.wal_bytes,
            "wal_syncs": store.wal_syncs,
            "checkpoints": store.checkpoints,
            "checkpoint_age_seconds": store.checkpoint_age.as_secs(),
            "filter_bytes": store.filter_bytes,
            "log_disk_bytes": store.log_disk_bytes,
            "store_disk_bytes": store.store_disk_bytes,
            "live_bytes": store.live_bytes,
            "set_aside_bytes": store.set_aside_bytes,
            "is_rewriting": store.is_rewriting,
            "rewrites": store.rewrites,
        },
        "links": shard.links.iter().map(link_json).collect::<Vec<_>>(),
    })
}

fn link_json(link: &LinkStatus) -> Value {
    json!({
        "node": link.node.to_string(),
        "shard": link.shard.0,
        "is_up": link.is_up,
        "reconnects": link.reconnects,
        "outbox_bytes": link.outbox_bytes,
        "outbox_drops": link.outbox_drops,
        "trouble": link.trouble,
    })
}

fn peer_json(peer: &PeerStatus) -> Value {
    json!({
        "name": peer.name,
        "id": peer.node.to_string(),
        "rack": peer.rack,
        "peer_address": peer.peer_addr.to_string(),
        "client_address": peer.client_addr.map(|address| address.to_string()),
        "shards": peer.shards,
        "is_up": peer.is_up,
        "shards_linked": peer.shards_linked,
    })
}
