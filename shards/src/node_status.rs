//! How a node is, gathered from what its shards last reported.

use std::sync::Arc;

use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::now::Instant;
use rondo_storage::DiskCondition;

use crate::config::NodeEntry;
use crate::node::Node;
use crate::status::{NodeStatus, PeerStatus, ShardStatus, StoreStatus};
use crate::watch::ShardReport;

impl Node {
    /// How it is.
    pub fn status(&self) -> NodeStatus {
        let now = self.facts.clock.instant();
        let reports: Vec<_> = self.watches.iter().map(|watch| watch.report()).collect();
        NodeStatus {
            name: self.facts.name.clone(),
            node: self.facts.node,
            rack: self.facts.rack.clone(),
            incarnation: self.incarnation,
            uptime: now - Instant::default(),
            listen: self.listen,
            peer_listen: self.peer_listen,
            advertised: self.facts.advertised,
            view: Arc::clone(&self.facts.view),
            phase: self.phase(),
            shards: (0..).zip(&reports).map(|(shard, report)| self.shard_status(shard, report, now)).collect(),
            peers: (0..).zip(&self.facts.peers).map(|(peer, entry)| peer_status(peer, entry, &reports)).collect(),
        }
    }

    fn shard_status(&self, shard: u16, report: &ShardReport, now: Instant) -> ShardStatus {
        let place = usize::from(shard);
        ShardStatus {
            shard: ShardIndex(shard),
            core: self.cores[place],
            tick_age: now - self.watches[place].ticked_at(),
            stats: report.stats,
            store: StoreStatus {
                memtable_bytes: report.store.memtable_active_bytes + report.store.memtable_frozen_bytes,
                cache_bytes: report.store.cache_bytes,
                lookup_hits: report.store.memtable_hits_total + report.store.cache_hits_total,
                lookup_misses: report.store.cold_total,
                wal_bytes: report.counters.wal_bytes,
                wal_syncs: report.counters.wal_syncs,
                checkpoints: report.store.checkpoints_total,
                checkpoint_age: now - report.checkpoint_at,
                filter_bytes: report.store.filter_bytes + report.upkeep.sizes.store.filter_bytes,
                log_disk_bytes: report.upkeep.sizes.log_disk_bytes,
                store_disk_bytes: report.upkeep.sizes.store.disk_bytes,
                live_bytes: report.upkeep.sizes.store.live_bytes,
                set_aside_bytes: report.upkeep.sizes.set_aside_bytes,
                is_rewriting: report.upkeep.is_rewriting,
                rewrites: report.upkeep.rewrites_total,
            },
            connections: report.connections,
            takes_writes: report.disk.condition == DiskCondition::Writable,
            store_trouble: report.store_trouble.clone(),
            wounds: report.wounds,
            disk: report.disk.condition,
            disk_reason: report.disk.reason.clone(),
            disk_stalled_for: report.disk.stalled_since.map(|since| now - (Instant::default() + since)),
            links: report.links.clone(),
        }
    }
}

fn peer_status(place: usize, entry: &NodeEntry, reports: &[Arc<ShardReport>]) -> PeerStatus {
    let said = || reports.iter().filter_map(|report| report.peers.get(place));
    let shards_linked = said().filter(|peer| peer.is_up).count();
    PeerStatus {
        node: NodeId::of_name(&entry.name),
        name: entry.name.clone(),
        rack: entry.rack.clone(),
        peer_addr: entry.peer_addr,
        client_addr: said().find_map(|peer| peer.client_addr.as_ref()?.parse().ok()),
        shards: said().find_map(|peer| peer.shards),
        is_up: shards_linked > 0,
        shards_linked,
    }
}
