//! What threads outside may see of a shard without disturbing it.
//!
//! The shard writes two numbers and, a few times a second, a whole report; readers take the last one. Nobody waits: a
//! shard that finds a reader at the report skips one.

use core::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rondo_protocol::now::Instant;
use rondo_protocol::stats::Stats;
use rondo_storage::{DiskReport, StoreStats};

use crate::metrics::Counters;
use crate::status::LinkStatus;
use crate::upkeep::UpkeepReport;
use crate::wounded::WoundStatus;

/// The window into one shard.
#[derive(Debug)]
pub(crate) struct ShardWatch {
    ticked_at: AtomicU64,
    in_flight: AtomicU64,
    is_draining: AtomicBool,
    report: Mutex<Arc<ShardReport>>,
}

/// How a shard was at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardReport {
    pub(crate) stats: Stats,
    pub(crate) store: StoreStats,
    pub(crate) counters: Counters,
    pub(crate) connections: usize,
    pub(crate) disk: DiskReport,
    pub(crate) store_trouble: Option<String>,
    pub(crate) wounds: WoundStatus,
    pub(crate) links: Vec<LinkStatus>,
    /// In the order of the node's peers.
    pub(crate) peers: Vec<PeerReport>,
    pub(crate) checkpoint_at: Instant,
    pub(crate) upkeep: UpkeepReport,
}

/// What a shard knows of a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerReport {
    pub(crate) client_addr: Option<String>,
    pub(crate) shards: Option<NonZeroU16>,
    pub(crate) is_up: bool,
}

impl ShardWatch {
    /// A shard that begins at `now`.
    pub(crate) fn new(now: Instant) -> ShardWatch {
        ShardWatch {
            ticked_at: AtomicU64::new(now.0),
            in_flight: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
            report: Mutex::default(),
        }
    }

    /// The shard lives.
    pub(crate) fn tick(&self, now: Instant) {
        self.ticked_at.store(now.0, Ordering::Relaxed);
    }

    /// When it last said so.
    pub(crate) fn ticked_at(&self) -> Instant {
        Instant(self.ticked_at.load(Ordering::Relaxed))
    }

    /// Requests not answered.
    pub(crate) fn set_in_flight(&self, requests: usize) {
        self.in_flight.store(requests as u64, Ordering::Release);
    }

    /// As of the last report.
    pub(crate) fn in_flight(&self) -> usize {
        usize::try_from(self.in_flight.load(Ordering::Acquire)).unwrap_or(usize::MAX)
    }

    /// The shard takes no new requests; what it says of those in flight is final from now on.
    pub(crate) fn set_draining(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Has it begun to drain?
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Replaces the report, unless somebody is reading it.
    pub(crate) fn publish(&self, report: ShardReport) {
        if let Ok(mut published) = self.report.try_lock() {
            *published = Arc::new(report);
        }
    }

    /// The last report.
    pub(crate) fn report(&self) -> Arc<ShardReport> {
        // Only ever replaced as a whole, so it is whole whoever panicked.
        Arc::clone(&self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
