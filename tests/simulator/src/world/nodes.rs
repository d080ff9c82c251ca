//! Machines start, stop, break and recover, and links between them come and go.

use rondo_protocol::node::{PeerShard, ShardIndex};
use rondo_storage::{RecoverOptions, StoreLimits, WalLimits};

use super::{Occurrence, ShardLife, World};
use crate::fault::{Fault, FaultKind, Mood, Seat};
use crate::network::LinkNews;
use crate::node::NodeState;
use crate::shard::Shard;
use crate::shard_log::Recovery;
use core::time::Duration;

/// Small, so that a short run sees checkpoints, full memtables and new segments.
const STORE_LIMITS: StoreLimits = StoreLimits {
    memtable_bytes_max: 24 * 1024,
    cache_bytes_max: 8 * 1024,
    log_bytes_max: 256 * 1024,
    pending_bytes_max: 1024 * 1024,
    // Little enough that some vnodes have to do without.
    filter_bytes_max: 16 * 1024,
};
const WAL_LIMITS: WalLimits = WalLimits { segment_bytes: 128 * 1024, reserve_bytes: 64 * 1024 };
/// How often a stopping node is looked at.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

impl World {
    /// All machines start, and links are looked at from now on.
    pub fn begin(&mut self) {
        for seat in self.cluster.seats() {
            self.start(seat);
        }
        for from in self.cluster.seats() {
            for to in self.cluster.seats().filter(|to| *to != from) {
                let time = self.network.next_look();
                self.schedule.after(time, Occurrence::Look { from, to });
            }
        }
    }

    /// Plans a step of misfortune.
    pub fn plan_fault(&mut self, at: rondo_protocol::now::Instant, fault: Fault) {
        self.schedule.at(at, Occurrence::Fault(fault));
    }

    /// Everything that is broken is made whole, and nothing more goes wrong.
    pub fn heal(&mut self) {
        self.faults_on = false;
        self.network.calm_down();
        for seat in self.cluster.seats() {
            let node = &mut self.nodes[seat.0];
            node.clock_off_millis = node.clock_off_millis.clamp(-100, 100);
            for disk in &node.disks {
                disk.set_speed(1);
            }
            if node.is_down() {
                self.start(seat);
            }
            self.set_mood(seat, Mood::Well);
        }
        let now = self.now();
        self.trace.note(now, "heal", &[], || "everything is whole again".into());
    }

    /// One step of misfortune happens.
    pub(super) fn suffer(&mut self, fault: &Fault) {
        if !self.faults_on {
            return;
        }
        let now = self.now();
        self.trace.note(now, "fault", &[], || fault.to_string());
        match fault {
            Fault::Partition { left, right } => {
                for (from, to) in left.iter().flat_map(|from| right.iter().map(move |to| (*from, *to))) {
                    self.network.set_closed(from, to, true);
                    self.network.set_closed(to, from, true);
                }
            }
            Fault::OneWay { from, to } => self.network.set_closed(*from, *to, true),
            Fault::Mend => self.network.mend(),
            Fault::Crash { nodes } => self.crash(nodes),
            Fault::Stop { nodes } => nodes.iter().for_each(|seat| self.stop(*seat)),
            Fault::Start { nodes } => nodes.iter().for_each(|seat| self.start(*seat)),
            Fault::SlowDisk { node, times } => {
                self.nodes[node.0].disks.iter().for_each(|disk| disk.set_speed(*times));
            }
            Fault::Disk { node, mood } => self.set_mood(*node, *mood),
            Fault::ClockJump { node, millis } => {
                let reach = self.profile.clock_jump.max(self.profile.clock_skew).as_millis() as i64;
                let node = &mut self.nodes[node.0];
                node.clock_off_millis = (node.clock_off_millis + millis).clamp(-reach, reach);
                if node.serving().is_some() {
                    self.coverage.met(FaultKind::ClockJump);
                }
            }
            Fault::Stall { node, shard, time } => {
                if let Some(stalled) = self.nodes[node.0].stalled.get_mut(usize::from(*shard)) {
                    *stalled = (*stalled).max(now + *time);
                }
            }
            Fault::Disconnect { node } => {
                let broken = self.break_connections(*node);
                self.coverage.met_times(FaultKind::Disconnect, broken);
            }
        }
    }

    /// The disks of a machine behave otherwise from now on. Whoever starts a machine sees to its disks first, so they go
    /// wrong only while it serves.
    fn set_mood(&mut self, seat: Seat, mood: Mood) {
        let node = &self.nodes[seat.0];
        if mood != Mood::Well && node.serving().is_none() {
            return;
        }
        node.disks.iter().for_each(|disk| disk.set_mood(mood));
        for of in self.lives(seat) {
            self.plan_disk(of);
            // The room is looked at once a second.
            let time = self.random.time(Duration::ZERO, Duration::from_secs(1));
            self.schedule.after(time, Occurrence::DiskLook { of });
        }
    }

    /// Starts a machine, unless it runs.
    pub(super) fn start(&mut self, seat: Seat) {
        let instant = self.now();
        let salt = self.random.draw();
        let node = &mut self.nodes[seat.0];
        if !node.is_down() {
            return;
        }
        node.disks.iter().for_each(|disk| disk.set_mood(Mood::Well));
        let actor = node.begin_life(instant);
        let vnode_bits = self.cluster.view(seat).ring.bits().get();
        let recover = |shard: u16| {
            let place = usize::from(shard);
            let (unix_seconds, generation, store, wal) = (0, 1, STORE_LIMITS, WAL_LIMITS);
            let options = RecoverOptions { shard, salt, unix_seconds, generation, vnode_bits, store, wal };
            Recovery::begin(node.disks[place].clone(), node.sorted[place].clone(), options)
        };
        let recoveries = (0..node.shards.get()).map(recover).collect();
        let ready = (0..node.shards.get()).map(|_| None).collect();
        node.state = NodeState::Recovering { recoveries, ready };
        self.trace.note(instant, "start", &[seat.0 as u64, actor.to_u64()], || format!("{seat} as {actor:?}"));
        for of in self.lives(seat) {
            self.recovery_goes_on(of);
        }
    }

    /// A recovering shard goes on as far as its disk allows.
    pub(super) fn recovery_goes_on(&mut self, of: ShardLife) {
        let view = self.cluster.view(of.seat).clone();
        let place = PeerShard { node: self.cluster.id(of.seat), shard: of.shard };
        let node = &mut self.nodes[of.seat.0];
        let (index, actor) = (usize::from(of.shard.0), node.actor());
        let NodeState::Recovering { recoveries, ready } = &mut node.state else { return };
        let outcome = recoveries[index].poll();
        match outcome {
            None => self.plan_disk(of),
            Some(Err(error)) => self.broken("storage", format!("{place:?} cannot recover: {error}")),
            Some(Ok(recovered)) => {
                self.coverage.recoveries += u64::from(recovered.report.records_replayed > 0);
                let now = self.schedule.now();
                self.trace.note(now, "recovered", &[of.seat.0 as u64, recovered.last_lsn.0], || {
                    format!("{}/{}: {:?}", of.seat, of.shard.0, recovered.report)
                });
                let disk = (node.disks[index].clone(), node.sorted[index].clone());
                ready[index] = Some(Shard::new(place, node.shards, actor, view, disk, (recovered, WAL_LIMITS)));
                self.serve_if_ready(of.seat);
            }
        }
    }

    fn serve_if_ready(&mut self, seat: Seat) {
        let node = &mut self.nodes[seat.0];
        let NodeState::Recovering { ready, .. } = &mut node.state else { return };
        if ready.iter().any(Option::is_none) {
            return;
        }
        let shards = core::mem::take(ready).into_iter().flatten().collect();
        node.state = NodeState::Serving { shards, stopping: false };
        let now = self.schedule.now();
        self.trace.note(now, "serve", &[seat.0 as u64], || format!("{seat} serves"));
    }

    /// The power of these machines fails.
    fn crash(&mut self, seats: &[Seat]) {
        let serving = seats.iter().filter(|seat| self.nodes[seat.0].serving().is_some()).count() as u64;
        self.coverage.met_times(FaultKind::Crash, serving);
        if serving == self.nodes.len() as u64 {
            self.coverage.met(FaultKind::CrashAll);
        }
        for seat in seats {
            self.crash_one(*seat);
        }
    }

    fn crash_one(&mut self, seat: Seat) {
        self.count_before_the_end(seat);
        let node = &mut self.nodes[seat.0];
        // Futures go before the disks do.
        node.state = NodeState::Down;
        let (kept, random) = (self.profile.disk.kept, &mut self.random);
        for (disk, sorted) in node.disks.iter().zip(&node.sorted) {
            let damage = disk.crash();
            sorted.crash(kept, random);
            self.coverage.met_times(FaultKind::LostBytes, damage.lost + damage.garbled + damage.names_lost);
            self.coverage
                .met_times(FaultKind::TornWrite, if damage.lost > 0 { damage.kept } else { 0 } + damage.garbled);
        }
        self.break_connections(seat);
    }

    /// A machine begins to stop in good order.
    fn stop(&mut self, seat: Seat) {
        let node = &mut self.nodes[seat.0];
        match &mut node.state {
            NodeState::Serving { shards, stopping } if !*stopping => {
                *stopping = true;
                shards.iter_mut().for_each(Shard::stop);
                let life = node.life;
                self.schedule.after(DRAIN_LOOK, Occurrence::Drained { seat, life });
            }
            NodeState::Serving { .. } | NodeState::Recovering { .. } | NodeState::Down => {}
        }
    }

    /// A stopping machine goes down, in good order, once nothing is under way there.
    pub(super) fn stop_if_drained(&mut self, seat: Seat, life: u64) {
        let node = &mut self.nodes[seat.0];
        if node.life != life || node.serving().is_none() {
            return;
        }
        if !node.shards().iter().all(Shard::is_drained) {
            self.schedule.after(DRAIN_LOOK, Occurrence::Drained { seat, life });
            return;
        }
        node.mark_clean();
        self.count_before_the_end(seat);
        let node = &mut self.nodes[seat.0];
        node.state = NodeState::Down;
        self.coverage.met(FaultKind::CleanRestart);
        self.break_connections(seat);
        let now = self.now();
        self.trace.note(now, "stopped", &[seat.0 as u64], || format!("{seat} in good order"));
        if !self.faults_on {
            self.start(seat);
        }
    }

    /// Takes what the cores and stores of a life counted into account, before they are gone.
    pub(crate) fn count_before_the_end(&mut self, seat: Seat) {
        let node = &self.nodes[seat.0];
        for shard in node.shards() {
            self.coverage.mismatches += shard.core().stats().read_mismatches;
            self.coverage.checkpoints += shard.store().stats().checkpoints_total;
        }
    }

    /// Somebody looks whether a link is as it should be.
    pub(super) fn look(&mut self, from: Seat, to: Seat) {
        let (own, peer) = (self.nodes[from.0].serving(), self.nodes[to.0].serving());
        let now = self.now();
        match self.network.look(now, (from, own), (to, peer)) {
            Some(LinkNews::Up) => self.tell_link(from, to, true),
            Some(LinkNews::Down) => self.tell_link(from, to, false),
            None => {}
        }
        let time = self.network.next_look();
        self.schedule.after(time, Occurrence::Look { from, to });
    }

    /// Tells the shards of `from` about their link to `to`.
    pub(super) fn tell_link(&mut self, from: Seat, to: Seat, up: bool) {
        let (peer, shards) = (self.cluster.id(to), up.then_some(self.cluster.shards(to)));
        let now = self.now();
        self.trace.note(now, "link", &[from.0 as u64, to.0 as u64, u64::from(up)], || {
            format!("{from} to {to} is {}", if up { "up" } else { "down" })
        });
        for of in self.lives(from) {
            // All at once: an order that the glue does not promise would only hide behind the dice.
            self.schedule.at(now, Occurrence::LinkNews { to: of, peer, shards });
        }
    }

    /// The first shard of a node in its present life.
    pub(super) fn shard_life(&self, seat: Seat, shard: ShardIndex) -> ShardLife {
        ShardLife { seat, life: self.nodes[seat.0].life, shard }
    }
}
