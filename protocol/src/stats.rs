//! What a core counts. Plain numbers, read by whoever publishes them.

/// Counters since the start of the core, and a few gauges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Gets that came in.
    pub gets: u64,
    /// Puts that came in.
    pub puts: u64,
    /// Deletes that came in.
    pub deletes: u64,
    /// Requests answered done or not found.
    pub replies_done: u64,
    /// Requests refused.
    pub replies_refused: u64,
    /// Requests whose outcome is unknown.
    pub replies_unknown: u64,
    /// Refusals and unknowns for want of replicas.
    pub quorum_failures: u64,
    /// Answers for requests already settled.
    pub late_answers: u64,
    /// Reads that asked further replicas because the first were slow.
    pub read_hedges: u64,
    /// Reads whose replicas disagreed.
    pub read_mismatches: u64,
    /// Concurrent versions dropped by last-write-wins.
    pub lww_discarded: u64,
    /// Writes that left a key with more siblings than [`crate::limits::SIBLINGS_WARN`].
    pub siblings_warned: u64,
    /// Requests refused because a queue was full.
    pub busy: u64,
    /// Writers that had to wait for another writer of their key.
    pub writers_queued: u64,
    /// Peer messages of an older epoch.
    pub epoch_refused: u64,
    /// Versions or requests refused for the clock.
    pub clock_refused: u64,
    /// Objects merged in on behalf of peers.
    pub replicated_in: u64,
    /// Gauge: client requests in flight.
    pub in_flight: u64,
}
