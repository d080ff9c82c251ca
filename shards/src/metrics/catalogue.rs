//! The one catalogue of metric names: what is measured, how it is called, where the number comes from.
//!
//! `rondo_<area>_<what>_<unit>[_total]`, base units, every series labelled with the core it comes from. Labels beside
//! that come from closed lists here; nothing a client sends ever becomes a label.

use rondo_protocol::now::Instant;
use rondo_storage::DiskCondition;

use super::{Counters, Histogram, RequestKind};
use crate::watch::ShardReport;

/// A number that only grows.
pub(super) struct CounterMetric {
    pub(super) name: &'static str,
    pub(super) label: Option<(&'static str, &'static str)>,
    pub(super) help: &'static str,
    pub(super) read: fn(&ShardReport) -> u64,
}

/// A number that goes up and down.
pub(super) struct GaugeMetric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) read: fn(&ShardReport, Instant) -> f64,
}

/// Times in buckets.
pub(super) struct HistogramMetric {
    pub(super) name: &'static str,
    pub(super) label: Option<(&'static str, &'static str)>,
    pub(super) help: &'static str,
    pub(super) read: fn(&Counters) -> &Histogram,
}

/// Up (1) or down (0), by core and peer.
pub(super) const PEER_LINK_UP: (&str, &str) =
    ("rondo_peer_link_up", "1 if all links of the core to the peer are up, else 0");
/// Seconds since the executor of a core last ran.
pub(super) const TICK_AGE: (&str, &str) =
    ("rondo_core_tick_age_seconds", "Time since the core's executor last ran its tick; beyond 1 it is stalled");

/// Bytes that the node may hold in memory.
pub(super) const MEMORY_BOUND: (&str, &str) =
    ("rondo_memory_bound_bytes", "What the parts of the node may hold in memory together, by its settings");
/// Bytes that the process has in memory.
pub(super) const RESIDENT: (&str, &str) = ("rondo_process_resident_bytes", "Memory of the process");
/// Bytes that the process had written to disks.
pub(super) const DISK_WRITTEN: (&str, &str) = (
    "rondo_process_disk_written_bytes_total",
    "Bytes that the process had the kernel write to disks; over rondo_wal_record_bytes_total, the write amplification",
);

const fn counter(name: &'static str, help: &'static str, read: fn(&ShardReport) -> u64) -> CounterMetric {
    CounterMetric { name, label: None, help, read }
}

const fn labelled(
    name: &'static str,
    label: (&'static str, &'static str),
    help: &'static str,
    read: fn(&ShardReport) -> u64,
) -> CounterMetric {
    CounterMetric { name, label: Some(label), help, read }
}

const REQUESTS: (&str, &str) =
    ("rondo_requests_total", "Requests for single keys that reached the owning core, by kind");
const REPLIES: (&str, &str) = ("rondo_replies_total", "Requests for single keys answered, by result");
const BYTES: (&str, &str) = ("rondo_network_bytes_total", "Bytes moved, by direction and other side");

/// All counters.
pub(super) const COUNTERS: &[CounterMetric] = &[
    labelled(REQUESTS.0, ("kind", "get"), REQUESTS.1, |report| report.stats.gets),
    labelled(REQUESTS.0, ("kind", "put"), REQUESTS.1, |report| report.stats.puts),
    labelled(REQUESTS.0, ("kind", "delete"), REQUESTS.1, |report| report.stats.deletes),
    labelled(REPLIES.0, ("result", "done"), REPLIES.1, |report| report.stats.replies_done),
    labelled(REPLIES.0, ("result", "refused"), REPLIES.1, |report| report.stats.replies_refused),
    labelled(REPLIES.0, ("result", "unknown"), REPLIES.1, |report| report.stats.replies_unknown),
    labelled(BYTES.0, ("flow", "client_in"), BYTES.1, |report| report.counters.client_bytes_in),
    labelled(BYTES.0, ("flow", "client_out"), BYTES.1, |report| report.counters.client_bytes_out),
    labelled(BYTES.0, ("flow", "peer_in"), BYTES.1, |report| report.counters.peer_bytes_in),
    labelled(BYTES.0, ("flow", "peer_out"), BYTES.1, |report| report.counters.peer_bytes_out),
    counter("rondo_quorum_failures_total", "Requests that did not get the replicas they needed", |report| {
        report.stats.quorum_failures
    }),
    counter("rondo_requests_busy_total", "Requests refused because a queue was full", |report| {
        report.stats.busy + report.counters.store_busy + report.counters.mesh_full
    }),
    counter("rondo_replica_late_answers_total", "Answers of replicas for requests already settled", |report| {
        report.stats.late_answers
    }),
    counter("rondo_read_hedges_total", "Reads that asked further replicas because the first were slow", |report| {
        report.stats.read_hedges
    }),
    counter("rondo_read_mismatches_total", "Reads whose replicas disagreed", |report| report.stats.read_mismatches),
    counter("rondo_lww_discarded_total", "Concurrent versions dropped by last-write-wins", |report| {
        report.stats.lww_discarded
    }),
    counter("rondo_siblings_warned_total", "Writes that left a key with many siblings", |report| {
        report.stats.siblings_warned
    }),
    counter("rondo_key_writers_queued_total", "Writers that waited for another writer of their key", |report| {
        report.stats.writers_queued
    }),
    counter("rondo_replica_merges_total", "Objects merged in on behalf of peers", |report| report.stats.replicated_in),
    counter("rondo_epoch_refused_total", "Peer messages of an older epoch", |report| report.stats.epoch_refused),
    counter("rondo_clock_refused_total", "Requests and versions refused because clocks disagree", |report| {
        report.stats.clock_refused
    }),
    counter("rondo_connections_opened_total", "Client connections taken", |report| report.counters.connections_opened),
    counter("rondo_connections_refused_total", "Connections refused for want of room", |report| {
        report.counters.connections_refused
    }),
    counter("rondo_connections_handed_over_total", "Connections that went on to the core they asked for", |report| {
        report.counters.connections_handed_over
    }),
    counter("rondo_connections_malformed_total", "Connections closed for bytes that make no sense", |report| {
        report.counters.connections_malformed
    }),
    counter("rondo_connections_slow_total", "Connections closed because the client took no replies", |report| {
        report.counters.connections_slow
    }),
    counter("rondo_handshakes_late_total", "Connections closed because they did not say HELLO in time", |report| {
        report.counters.handshakes_late
    }),
    counter("rondo_accept_failures_total", "Connections that could not be accepted", |report| {
        report.counters.accept_failures
    }),
    counter("rondo_wal_bytes_total", "Bytes written to the log", |report| report.counters.wal_bytes),
    counter("rondo_wal_syncs_total", "Times the log was made durable", |report| report.counters.wal_syncs),
    counter("rondo_wal_refusals_total", "Batches that the disk refused; each is kept and tried again", |report| {
        report.counters.wal_refusals
    }),
    counter("rondo_disk_changes_total", "Times the disk came to take other writes than before", |report| {
        report.counters.disk_changes
    }),
    counter("rondo_store_failures_total", "Times the sorted store failed and was to be opened again", |report| {
        report.counters.store_failures
    }),
    counter("rondo_wal_records_total", "Records appended to the log", |report| report.store.appended_total),
    counter("rondo_wal_record_bytes_total", "Bytes of records appended to the log: what was put", |report| {
        report.store.appended_bytes_total
    }),
    counter(
        "rondo_store_written_bytes_total",
        "Bytes that the sorted store says it wrote; sled: that it was given",
        |report| report.upkeep.store_written_total,
    ),
    counter("rondo_store_rewrites_total", "Times the sorted store was rewritten to give back space", |report| {
        report.upkeep.rewrites_total
    }),
    counter("rondo_store_rewrites_given_up_total", "Rewrites of the sorted store that were given up", |report| {
        report.upkeep.rewrites_given_up_total
    }),
    counter("rondo_memtable_hits_total", "Lookups answered by the memtable", |report| report.store.memtable_hits_total),
    counter("rondo_cache_hits_total", "Lookups answered by the object cache", |report| report.store.cache_hits_total),
    counter("rondo_cache_misses_total", "Lookups that had to ask the sorted store", |report| report.store.cold_total),
    counter("rondo_cache_evictions_total", "Objects that left the cache for want of room", |report| {
        report.store.cache_evictions_total
    }),
    counter(
        "rondo_filter_denied_total",
        "Lookups of absent keys that the filter answered without the disk",
        |report| report.store.filter_denied_total,
    ),
    counter("rondo_filter_false_positives_total", "Lookups of absent keys that the filter let through", |report| {
        report.store.filter_false_positives_total
    }),
    counter("rondo_store_unreadable_total", "Lookups that the sorted store could not answer", |report| {
        report.counters.lookup_failures
    }),
    counter("rondo_checkpoints_total", "Checkpoints finished", |report| report.store.checkpoints_total),
    counter("rondo_checkpoint_failures_total", "Checkpoints that failed", |report| {
        report.store.checkpoints_failed_total
    }),
    counter("rondo_peer_reconnects_total", "Times a link to a peer was connected anew", |report| {
        report.counters.link_reconnects
    }),
    counter("rondo_peer_outbox_drops_total", "Messages to peers dropped: outbox full or no link", |report| {
        report.counters.outbox_drops
    }),
    counter("rondo_mesh_forwards_total", "Requests passed on to the core that owns their key", |report| {
        report.counters.mesh_forwards
    }),
    counter("rondo_mesh_full_total", "Requests refused because the owning core's inbox was full", |report| {
        report.counters.mesh_full
    }),
    counter("rondo_core_stalls_total", "Times the executor did not run for over 100 ms", |report| {
        report.counters.stalls
    }),
    counter(
        "rondo_core_long_turns_total",
        "Turns of the executor that took over 1 ms, preemption included",
        |report| report.counters.long_turns,
    ),
    counter("rondo_core_busy_turns_total", "Turns in which the executor itself was at work for over 1 ms", |report| {
        report.counters.busy_turns
    }),
    counter("rondo_core_storage_stalls_total", "Times the storage kept the executor at work for over 1 ms", |report| {
        report.counters.storage_stalls
    }),
    counter("rondo_core_panics_total", "Panics around a connection, caught", |report| report.counters.panics),
];

fn is(report: &ShardReport, condition: DiskCondition) -> f64 {
    f64::from(u8::from(report.disk.condition == condition))
}

/// All gauges but those that need more than a shard's report.
pub(super) const GAUGES: &[GaugeMetric] = &[
    GaugeMetric {
        name: "rondo_requests_in_flight",
        help: "Requests not yet answered",
        read: |report, _| report.stats.in_flight as f64,
    },
    GaugeMetric {
        name: "rondo_connections_open",
        help: "Open client connections",
        read: |report, _| report.connections as f64,
    },
    GaugeMetric {
        name: "rondo_memtable_bytes",
        help: "Bytes not yet in the sorted store",
        read: |report, _| (report.store.memtable_active_bytes + report.store.memtable_frozen_bytes) as f64,
    },
    GaugeMetric {
        name: "rondo_cache_bytes",
        help: "Bytes in the object cache",
        read: |report, _| report.store.cache_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_filter_bytes",
        help: "Bytes of the filter before the sorted store; 0 where the engine has its own",
        read: |report, _| report.store.filter_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_filter_keys",
        help: "Keys that the filter knows",
        read: |report, _| report.store.filter_keys as f64,
    },
    GaugeMetric {
        name: "rondo_filter_vnodes_open",
        help: "Virtual nodes whose filter lets every key through: no room, or their keys are not known",
        read: |report, _| report.store.filter_vnodes_open as f64,
    },
    GaugeMetric {
        name: "rondo_wounds",
        help: "Ranges of keys of which something acknowledged is missing; see rondo damage list",
        read: |report, _| report.wounds.wounds as f64,
    },
    GaugeMetric {
        name: "rondo_wounded_vnodes",
        help: "Virtual nodes of the shard that such ranges touch",
        read: |report, _| report.wounds.vnodes as f64,
    },
    GaugeMetric {
        name: "rondo_wal_pending_bytes",
        help: "Bytes that wait for the next commit",
        read: |report, _| report.store.pending_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_wal_disk_failed",
        help: "1 if the log takes no writes (the disk fails or does not answer), else 0",
        read: |report, _| is(report, DiskCondition::Failing) + is(report, DiskCondition::Stalled),
    },
    GaugeMetric {
        name: "rondo_disk_full",
        help: "1 if only deletes are taken because the disk has no room, else 0",
        read: |report, _| is(report, DiskCondition::Full),
    },
    GaugeMetric {
        name: "rondo_disk_failing",
        help: "1 if no writes are taken because writes or syncs fail, else 0",
        read: |report, _| is(report, DiskCondition::Failing),
    },
    GaugeMetric {
        name: "rondo_disk_stalled",
        help: "1 if no writes are taken because a write or sync has not come back, else 0",
        read: |report, _| is(report, DiskCondition::Stalled),
    },
    GaugeMetric {
        name: "rondo_store_down",
        help: "1 while the sorted store has failed and is not open again, else 0",
        read: |report, _| f64::from(u8::from(report.store_trouble.is_some())),
    },
    GaugeMetric {
        name: "rondo_disk_free_bytes",
        help: "Room left on the file system of the shard",
        read: |report, _| report.disk.free_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_wal_disk_bytes",
        help: "Bytes of the log's files on the disk",
        read: |report, _| report.upkeep.sizes.log_disk_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_store_disk_bytes",
        help: "Bytes of the sorted store's files on the disk",
        read: |report, _| report.upkeep.sizes.store.disk_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_store_live_bytes",
        help: "Bytes of keys and newest objects in the sorted store, as far as its engine knows",
        read: |report, _| report.upkeep.sizes.store.live_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_store_memory_bytes",
        help: "Bytes that the engine says it holds in memory; 0 where it does not say",
        read: |report, _| report.upkeep.sizes.store.memory_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_store_filter_bytes",
        help: "Bytes of the engine's own filters",
        read: |report, _| report.upkeep.sizes.store.filter_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_store_merge_backlog",
        help: "Runs of tables that wait to be merged (LSM)",
        read: |report, _| report.upkeep.sizes.store.merge_backlog as f64,
    },
    GaugeMetric {
        name: "rondo_store_merging",
        help: "1 while tables are merged (LSM), else 0; measured every few seconds",
        read: |report, _| f64::from(u8::from(report.upkeep.sizes.store.is_merging)),
    },
    GaugeMetric {
        name: "rondo_store_rewriting",
        help: "1 while the sorted store is rewritten, else 0",
        read: |report, _| f64::from(u8::from(report.upkeep.is_rewriting)),
    },
    GaugeMetric {
        name: "rondo_set_aside_bytes",
        help: "Bytes of damaged files that were set aside",
        read: |report, _| report.upkeep.sizes.set_aside_bytes as f64,
    },
    GaugeMetric {
        name: "rondo_checkpoint_age_seconds",
        help: "Time since the last checkpoint",
        read: |report, now| (now - report.checkpoint_at).as_secs_f64(),
    },
    GaugeMetric {
        name: "rondo_peer_outbox_bytes",
        help: "Bytes that wait to be sent to peers",
        read: |report, _| report.links.iter().map(|link| link.outbox_bytes).sum::<usize>() as f64,
    },
];

const LATENCY: (&str, &str) =
    ("rondo_request_latency_seconds", "Time from a request's frame to its reply, by kind, as the node sees it");

const fn latency(kind: &'static str, read: fn(&Counters) -> &Histogram) -> HistogramMetric {
    HistogramMetric { name: LATENCY.0, label: Some(("kind", kind)), help: LATENCY.1, read }
}

/// All histograms.
pub(super) const HISTOGRAMS: &[HistogramMetric] = &[
    latency("get", |counters| &counters.latency[RequestKind::Get as usize]),
    latency("put", |counters| &counters.latency[RequestKind::Put as usize]),
    latency("delete", |counters| &counters.latency[RequestKind::Delete as usize]),
    latency("batch", |counters| &counters.latency[RequestKind::Batch as usize]),
    HistogramMetric {
        name: "rondo_wal_commit_latency_seconds",
        label: None,
        help: "Time from taking a batch of records to its being durable",
        read: |counters| &counters.commit_latency,
    },
];
