//! The shard's coarse clock: at each beat of the pacemaker it looks at what time alone brings about.
//!
//! One look every few milliseconds replaces a timer per request. Deadlines of requests, PINGs of links, connections that
//! are too slow and the reports to those who watch all hang on it.

use core::time::Duration;

use rondo_protocol::now::Instant;

use crate::limits::REPORT_INTERVAL;
use crate::shard::{Shard, ShardPhase};
use crate::watch::ShardReport;

/// A beat that comes later than this after the last one means that the executor was stalled.
const STALL: Duration = Duration::from_millis(100);

/// When the rarer duties were last seen to.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    last: Instant,
    last_report: Instant,
}

impl Shard {
    /// One beat: a turn that only time has brought about.
    pub(crate) fn beat(&mut self) {
        let now = self.now.instant;
        self.watch.tick(now);
        if self.beats.last != Instant::default() && now - self.beats.last > STALL {
            self.counters.stalls += 1;
        }
        self.beats.last = now;
        let looking = self.space.looking_for().map(|age| (now - Instant::default()).saturating_sub(age));
        self.disk.probing(looking);
        self.beat_disk();
        self.deliver_deadline();
        self.begin_checkpoint_if_due();
        self.start_jobs();
        self.beat_upkeep();
        self.beat_links();
        if self.phase >= ShardPhase::Draining {
            self.watch.set_in_flight(self.unanswered());
        }
        if self.phase == ShardPhase::Stopping {
            self.commit_bell.ring();
        }
        if now - self.beats.last_report >= REPORT_INTERVAL {
            self.beats.last_report = now;
            self.sweep();
            self.report();
        }
    }

    fn sweep(&mut self) {
        let now = self.now.instant;
        self.counters.handshakes_late += self.arrivals.sweep(now);
        self.counters.connections_slow += self.clients.sweep(now);
        self.peers.sweep_inlets(now);
    }

    /// Publishes how the shard is.
    pub(crate) fn report(&mut self) {
        let mut counters = self.counters;
        counters.client_bytes_in = self.clients.traffic.bytes_in.get();
        counters.client_bytes_out = self.clients.traffic.bytes_out.get();
        counters.peer_bytes_in = self.peers.traffic.bytes_in.get();
        counters.peer_bytes_out = self.peers.traffic.bytes_out.get();
        let (bits, shards) = (self.facts.view.ring.bits(), self.facts.shards);
        let wounds = self.wounded.look(self.store.wounds(), self.index, bits, shards);
        self.watch.publish(ShardReport {
            wounds,
            stats: *self.core.stats(),
            store: self.store.stats(),
            counters,
            connections: self.clients.len(),
            disk: self.disk.report(),
            store_trouble: self.cold.trouble().map(str::to_owned),
            links: self.peers.link_statuses(),
            peers: self.facts.peers.iter().enumerate().map(|(peer, _)| self.peers.report_of(peer)).collect(),
            checkpoint_at: self.checkpoint.finished_at,
            upkeep: self.upkeep.report(),
        });
        self.watch.set_in_flight(self.unanswered());
    }

    /// Requests of clients that wait for an answer, here or for another core.
    fn unanswered(&self) -> usize {
        self.calls.len().max(self.core.in_flight())
    }
}
