//! What the glue of one shard counts: plain numbers, no atomics. Others read the copy that the shard publishes.

use super::Histogram;

/// The kind of a client's request, as far as its latency is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// One key read.
    Get,
    /// One key written.
    Put,
    /// One key deleted.
    Delete,
    /// Many keys, answered in one frame.
    Batch,
}

impl RequestKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [RequestKind; 4] = [RequestKind::Get, RequestKind::Put, RequestKind::Delete, RequestKind::Batch];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            RequestKind::Get => "get",
            RequestKind::Put => "put",
            RequestKind::Delete => "delete",
            RequestKind::Batch => "batch",
        }
    }
}

/// Counts since the start of the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Time from a request's frame to its reply, by kind.
    pub latency: [Histogram; RequestKind::ALL.len()],
    /// Time from taking a batch of records to their being durable.
    pub commit_latency: Histogram,
    /// Bytes read from clients.
    pub client_bytes_in: u64,
    /// Bytes sent to clients.
    pub client_bytes_out: u64,
    /// Bytes read from peers.
    pub peer_bytes_in: u64,
    /// Bytes sent to peers.
    pub peer_bytes_out: u64,
    /// Client connections taken.
    pub connections_opened: u64,
    /// Client connections refused for the bound.
    pub connections_refused: u64,
    /// Connections that travelled to another shard of this node.
    pub connections_handed_over: u64,
    /// Connections closed for bytes that are no frames.
    pub connections_malformed: u64,
    /// Connections closed because the client did not take its replies.
    pub connections_slow: u64,
    /// Connections that did not say HELLO in time.
    pub handshakes_late: u64,
    /// Times accepting failed, as when descriptors run out.
    pub accept_failures: u64,
    /// Requests passed on to the shard that owns their key.
    pub mesh_forwards: u64,
    /// Requests answered `Busy` because the owner's inbox was full.
    pub mesh_full: u64,
    /// Messages to peers dropped because the outbox was full or the link down.
    pub outbox_drops: u64,
    /// Times a peer link was connected anew.
    pub link_reconnects: u64,
    /// Beats that came more than 100 ms late: the executor was stalled.
    pub stalls: u64,
    /// Turns that took more than a millisecond, whether the shard was at work or the core was given to somebody else.
    pub long_turns: u64,
    /// Turns in which the thread itself was at work for more than a millisecond.
    pub busy_turns: u64,
    /// Times that the storage kept the thread at work for more than a millisecond, in a turn or in writing the log.
    pub storage_stalls: u64,
    /// Panics around a connection, caught.
    pub panics: u64,
    /// Batches made durable.
    pub wal_syncs: u64,
    /// Bytes appended to the log.
    pub wal_bytes: u64,
    /// Times the disk refused a batch, which is kept and tried again.
    pub wal_refusals: u64,
    /// Times the disk came to take other writes than before.
    pub disk_changes: u64,
    /// Times the sorted store failed and was to be opened again.
    pub store_failures: u64,
    /// Lookups that the sorted store could not answer.
    pub lookup_failures: u64,
    /// Writes answered `Busy` because the store could not keep up.
    pub store_busy: u64,
}
