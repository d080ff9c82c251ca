//! The mix of one run, drawn from its seed.
//!
//! Think of a swarm: no two runs suffer the same. Half of the misfortunes are switched off in any run, so that those
//! that stay on meet in combinations that a run with everything switched on would drown.

use core::time::Duration;

use crate::fault::FaultKind;
use crate::random::{Permille, Random};

/// All that a seed decides before the run begins.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Shards of each node; its length is the number of nodes.
    pub shards: Vec<u16>,
    /// Racks; nodes are dealt to them in turn.
    pub racks: usize,
    /// b of the ring: small, so that keys share vnodes and shards.
    pub vnode_bits: u8,
    /// The peer network.
    pub network: NetworkMix,
    /// The disks.
    pub disk: DiskMix,
    /// Each node's wall clock is off by up to this much from the start.
    pub clock_skew: Duration,
    /// A wall clock jumps by up to this much.
    pub clock_jump: Duration,
    /// How often each kind of fault step is drawn, against the others; zero switches it off.
    pub steps: StepWeights,
    /// Time between two fault steps, at most.
    pub step_gap: Duration,
    /// What the clients do.
    pub workload: WorkloadMix,
}

/// What may happen to a message on its way.
#[derive(Clone, Copy, Debug)]
pub struct NetworkMix {
    /// Quickest and usual slowest way.
    pub latency: (Duration, Duration),
    /// Messages lost.
    pub drop: Permille,
    /// Messages that come twice.
    pub duplicate: Permille,
    /// Messages that may be overtaken.
    pub reorder: Permille,
    /// Messages that take up to `delay_max` longer.
    pub delay: Permille,
    /// See `delay`.
    pub delay_max: Duration,
    /// After this time of silence a link is down.
    pub silence: Duration,
}

/// How fast disks are and what they do in a crash.
#[derive(Clone, Copy, Debug)]
pub struct DiskMix {
    /// Quickest and slowest operation.
    pub latency: (Duration, Duration),
    /// Unsynced pieces that a crash keeps; the others are lost or garbled.
    pub kept: Permille,
    /// Of the pieces not kept, those that are garbled rather than lost.
    pub garbled: Permille,
    /// The largest piece that is kept or lost as one: 512 or 4,096 bytes.
    pub piece_bytes: usize,
}

/// How often each kind of step is drawn, against the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepWeights {
    /// Both ways closed.
    pub partition: u16,
    /// One way closed.
    pub one_way: u16,
    /// One node's power fails.
    pub crash: u16,
    /// Every node's power fails at once.
    pub crash_all: u16,
    /// A node stops in good order and comes back.
    pub clean_restart: u16,
    /// A disk gets slow for a while.
    pub slow_disk: u16,
    /// A disk fails for a while.
    pub failing_disk: u16,
    /// A disk has no room for a while.
    pub full_disk: u16,
    /// A disk hangs for a while.
    pub hung_disk: u16,
    /// A clock jumps.
    pub clock_jump: u16,
    /// A core stands still.
    pub stall: u16,
    /// A node's client connections break.
    pub disconnect: u16,
}

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadMix {
    /// How many clients, each with one request (or batch) at a time.
    pub clients: usize,
    /// Operations of all clients together, before the faults end.
    pub operations: usize,
    /// Keys of each keyspace: few, so that writers meet.
    pub keys: usize,
    /// Of all operations, the writes.
    pub writes: Permille,
    /// Of the writes, the deletes.
    pub deletes: Permille,
    /// Of the writes, those that carry the context of a get before them.
    pub informed: Permille,
    /// Of all requests, the batches.
    pub batches: Permille,
    /// Of all requests, those sent to a node that need not own the key.
    pub stray: Permille,
    /// Of the levels, those that are the keyspace's default (quorum); the others are any.
    pub default_level: Permille,
    /// Keyspaces: of all keys, those of the last-write-wins one.
    pub lww: Permille,
    /// Longest value.
    pub value_bytes_max: usize,
    /// A client pauses up to this long between two operations.
    pub pause: Duration,
    /// The timeout that requests carry.
    pub timeout: Duration,
}

const MILLI: Duration = Duration::from_millis(1);

impl Profile {
    /// The mix of a seed.
    pub fn draw(random: &mut Random) -> Profile {
        let nodes = random.between(3, 5) as usize;
        Profile {
            shards: (0..nodes).map(|_| random.between(1, 3) as u16).collect(),
            racks: random.between(1, 3) as usize,
            vnode_bits: random.between(3, 6) as u8,
            network: NetworkMix::draw(random),
            disk: DiskMix::draw(random),
            clock_skew: *random.pick(&[Duration::ZERO, MILLI * 5, MILLI * 100, MILLI * 240]),
            clock_jump: *random.pick(&[MILLI * 50, MILLI * 400, MILLI * 2000]),
            steps: StepWeights::draw(random),
            step_gap: random.time(MILLI * 60, MILLI * 700),
            workload: WorkloadMix::draw(random),
        }
    }

    /// A mix in which nothing goes wrong unless somebody says so: what scenarios start from.
    pub fn calm(nodes: usize, shards: u16) -> Profile {
        Profile {
            shards: vec![shards; nodes],
            racks: nodes,
            vnode_bits: 4,
            network: NetworkMix {
                latency: (MILLI / 10, MILLI),
                drop: Permille(0),
                duplicate: Permille(0),
                reorder: Permille(0),
                delay: Permille(0),
                delay_max: Duration::ZERO,
                silence: MILLI * 300,
            },
            disk: DiskMix { latency: (MILLI / 10, MILLI), kept: Permille(0), garbled: Permille(0), piece_bytes: 4096 },
            clock_skew: Duration::ZERO,
            clock_jump: Duration::ZERO,
            steps: StepWeights::default(),
            step_gap: Duration::from_secs(1),
            workload: WorkloadMix { operations: 0, ..WorkloadMix::draw(&mut Random::from_seed(0)) },
        }
    }

    /// The kinds of fault that this mix switches on.
    pub fn enabled(&self) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL.into_iter().filter(|kind| self.enables(*kind))
    }

    fn enables(&self, kind: FaultKind) -> bool {
        let crashes = self.steps.crash > 0 || self.steps.crash_all > 0;
        match kind {
            FaultKind::Drop => self.network.drop.0 > 0,
            FaultKind::Duplicate => self.network.duplicate.0 > 0,
            FaultKind::Reorder => self.network.reorder.0 > 0,
            FaultKind::Delay => self.network.delay.0 > 0,
            FaultKind::Partition => self.steps.partition > 0,
            FaultKind::OneWay => self.steps.one_way > 0,
            FaultKind::Crash => self.steps.crash > 0,
            FaultKind::CrashAll => self.steps.crash_all > 0,
            FaultKind::LostBytes => crashes,
            FaultKind::TornWrite => crashes && (self.disk.kept.0 > 0 || self.disk.garbled.0 > 0),
            FaultKind::CleanRestart => self.steps.clean_restart > 0,
            FaultKind::SlowDisk => self.steps.slow_disk > 0,
            FaultKind::FailedWrite | FaultKind::FailedSync => self.steps.failing_disk > 0,
            FaultKind::FullDisk => self.steps.full_disk > 0,
            FaultKind::HungDisk => self.steps.hung_disk > 0,
            FaultKind::ClockJump => self.steps.clock_jump > 0,
            FaultKind::Stall => self.steps.stall > 0,
            FaultKind::Disconnect => self.steps.disconnect > 0,
        }
    }
}

impl NetworkMix {
    fn draw(random: &mut Random) -> NetworkMix {
        NetworkMix {
            latency: (MILLI / 20, *random.pick(&[MILLI / 5, MILLI, MILLI * 5])),
            drop: perhaps(random, &[5, 30, 150]),
            duplicate: perhaps(random, &[5, 50, 200]),
            reorder: perhaps(random, &[20, 200, 500]),
            delay: perhaps(random, &[5, 50, 150]),
            delay_max: *random.pick(&[MILLI * 30, MILLI * 200, MILLI * 900]),
            silence: random.time(MILLI * 100, MILLI * 1500),
        }
    }
}

impl DiskMix {
    fn draw(random: &mut Random) -> DiskMix {
        DiskMix {
            latency: (MILLI / 20, *random.pick(&[MILLI / 5, MILLI * 2, MILLI * 8])),
            kept: *random.pick(&[Permille(0), Permille(300), Permille(700), Permille(950)]),
            garbled: *random.pick(&[Permille(0), Permille(200), Permille(800)]),
            piece_bytes: *random.pick(&[512, 4096]),
        }
    }
}

impl StepWeights {
    fn draw(random: &mut Random) -> StepWeights {
        StepWeights {
            partition: perhaps(random, &[1, 3]).0,
            one_way: perhaps(random, &[1, 3]).0,
            crash: perhaps(random, &[1, 4]).0,
            crash_all: perhaps(random, &[1, 2]).0,
            clean_restart: perhaps(random, &[1, 2]).0,
            slow_disk: perhaps(random, &[1, 2]).0,
            failing_disk: perhaps(random, &[1, 3]).0,
            full_disk: perhaps(random, &[1, 3]).0,
            hung_disk: perhaps(random, &[1, 2]).0,
            clock_jump: perhaps(random, &[1, 3]).0,
            stall: perhaps(random, &[1, 2]).0,
            disconnect: perhaps(random, &[1]).0,
        }
    }
}

impl WorkloadMix {
    fn draw(random: &mut Random) -> WorkloadMix {
        WorkloadMix {
            clients: random.between(3, 8) as usize,
            operations: random.between(150, 400) as usize,
            keys: random.between(1, 6) as usize,
            writes: Permille(random.between(300, 700) as u16),
            deletes: *random.pick(&[Permille(0), Permille(100), Permille(300)]),
            informed: *random.pick(&[Permille(200), Permille(700), Permille(950)]),
            batches: perhaps(random, &[50, 300]),
            stray: *random.pick(&[Permille(0), Permille(300), Permille(1000)]),
            default_level: *random.pick(&[Permille(300), Permille(800)]),
            lww: *random.pick(&[Permille(200), Permille(500), Permille(800)]),
            value_bytes_max: *random.pick(&[32, 700, 9000]),
            pause: *random.pick(&[MILLI * 2, MILLI * 15, MILLI * 60]),
            timeout: *random.pick(&[MILLI * 150, MILLI * 600, MILLI * 2000]),
        }
    }
}

/// Nothing in half of all runs, one of `choices` in the others.
fn perhaps(random: &mut Random, choices: &[u16]) -> Permille {
    match random.happens(Permille(500)) {
        true => Permille(*random.pick(choices)),
        false => Permille(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_hundred_seeds_switch_every_fault_on_and_off() {
        let enabled: Vec<BTreeSet<FaultKind>> =
            (0..100).map(|seed| Profile::draw(&mut Random::from_seed(seed)).enabled().collect()).collect();
        for kind in FaultKind::ALL {
            assert!(enabled.iter().any(|set| set.contains(&kind)), "{kind:?} is never on");
            assert!(enabled.iter().any(|set| !set.contains(&kind)), "{kind:?} is never off");
        }
    }

    #[test]
    fn a_calm_mix_has_no_fault_but_lost_bytes() {
        assert_eq!(Profile::calm(3, 1).enabled().collect::<Vec<_>>(), []);
    }
}
