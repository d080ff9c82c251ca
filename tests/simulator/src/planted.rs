//! Proof that the checkers bite: known bugs are planted one by one, and each must be found.
//!
//! Each bug comes with a mix that gives it room to do harm. The same seeds of the same mix are run without the bug too,
//! and must pass: a checker that barks at everything guards nothing.

use core::time::Duration;

use rondo_protocol::planted::{self as protocol, Planted as ProtocolBug};
use rondo_storage::planted::{self as storage, Planted as StorageBug};

use crate::checkers::Violation;
use crate::profile::{Profile, StepWeights};
use crate::random::{Permille, Random};
use crate::simulation;

/// Seeds tried before a bug counts as escaped.
pub const SEEDS_MAX: u64 = 60;
const MILLI: Duration = Duration::from_millis(1);

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// One of the protocol's.
    Protocol(ProtocolBug),
    /// One of the storage's.
    Storage(StorageBug),
}

/// What came of looking for a planted bug.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hunt {
    /// A checker found it in the last of so many seeds.
    Caught {
        /// How many were tried.
        seeds: u64,
        /// What was found.
        violation: Violation,
    },
    /// No checker did.
    Escaped {
        /// How many were tried.
        seeds: u64,
    },
    /// A checker complained without the bug.
    FalseAlarm {
        /// The run.
        seed: u64,
        /// The complaint.
        violation: Violation,
    },
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 14] = [
        Bug::Protocol(ProtocolBug::AckBeforeDurable),
        Bug::Protocol(ProtocolBug::AckOneShort),
        Bug::Protocol(ProtocolBug::DotReuseAfterRestart),
        Bug::Protocol(ProtocolBug::HlcBackwards),
        Bug::Protocol(ProtocolBug::ContextIgnored),
        Bug::Protocol(ProtocolBug::MergeNotCommutative),
        Bug::Protocol(ProtocolBug::StaleTicketAnswered),
        Bug::Storage(StorageBug::TornTailAccepted),
        Bug::Storage(StorageBug::SkipSync),
        Bug::Storage(StorageBug::RetryFailedSync),
        Bug::Storage(StorageBug::SkipDirSync),
        Bug::Storage(StorageBug::SkipCrc),
        Bug::Storage(StorageBug::DropLogEarly),
        Bug::Storage(StorageBug::TornManifestAccepted),
    ];

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Bug::Protocol(bug) => format!("{bug:?}"),
            Bug::Storage(bug) => format!("{bug:?}"),
        }
    }

    /// The mix of a seed, with room for this bug to do harm.
    pub fn profile(self, seed: u64) -> Profile {
        let mut profile = Profile::draw(&mut Random::from_seed(seed));
        profile.network.drop = Permille(0);
        profile.clock_skew = Duration::ZERO;
        profile.workload.clients = 6;
        profile.workload.operations = 300;
        profile.workload.keys = 2;
        profile.workload.timeout = MILLI * 600;
        profile.workload.pause = MILLI * 15;
        profile.step_gap = MILLI * 300;
        match self {
            Bug::Protocol(ProtocolBug::AckBeforeDurable)
            | Bug::Storage(StorageBug::SkipSync | StorageBug::SkipDirSync) => {
                profile.steps = StepWeights { crash_all: 1, ..StepWeights::default() };
                profile.disk.latency = (MILLI, MILLI * 8);
                profile.disk.kept = Permille(0);
            }
            Bug::Protocol(ProtocolBug::AckOneShort) => {
                profile.steps = StepWeights { partition: 3, crash: 1, ..StepWeights::default() };
                profile.network.drop = Permille(150);
                profile.workload.default_level = Permille(1000);
            }
            Bug::Protocol(ProtocolBug::DotReuseAfterRestart) => {
                profile.steps = StepWeights { crash: 4, crash_all: 1, ..StepWeights::default() };
                profile.disk.latency = (MILLI, MILLI * 8);
                profile.disk.kept = Permille(0);
            }
            Bug::Protocol(ProtocolBug::HlcBackwards) => {
                profile.steps = StepWeights { crash: 3, clock_jump: 4, ..StepWeights::default() };
                profile.clock_jump = MILLI * 400;
                profile.workload.lww = Permille(1000);
            }
            Bug::Protocol(ProtocolBug::ContextIgnored) => {
                profile.workload.lww = Permille(0);
                profile.workload.informed = Permille(900);
            }
            Bug::Protocol(ProtocolBug::MergeNotCommutative) => {
                profile.steps = StepWeights { partition: 3, ..StepWeights::default() };
                profile.workload.lww = Permille(300);
            }
            Bug::Protocol(ProtocolBug::StaleTicketAnswered) => {
                profile.steps = StepWeights { stall: 1, ..StepWeights::default() };
                profile.network.duplicate = Permille(200);
                profile.network.delay = Permille(300);
                profile.network.delay_max = MILLI * 900;
                profile.network.reorder = Permille(500);
                profile.workload.timeout = MILLI * 150;
                profile.workload.pause = MILLI * 2;
            }
            Bug::Storage(StorageBug::DropLogEarly | StorageBug::TornManifestAccepted) => {
                profile.steps = StepWeights { crash_all: 1, ..StepWeights::default() };
                profile.disk.latency = (MILLI, MILLI * 8);
                profile.disk.kept = Permille(0);
                profile.workload.value_bytes_max = 4000;
                // Enough keys to fill a memtable: a checkpoint has to come.
                profile.workload.keys = 150;
                profile.workload.writes = Permille(900);
                profile.workload.operations = 500;
            }
            // A bug of sled's store, which is not here: `rondo-faults` plants it under a real one.
            Bug::Storage(StorageBug::SkipStoreSync) => {}
            Bug::Storage(StorageBug::RetryFailedSync) => {
                profile.steps = StepWeights { failing_disk: 4, crash_all: 1, ..StepWeights::default() };
                profile.disk.kept = Permille(0);
            }
            Bug::Storage(StorageBug::TornTailAccepted | StorageBug::SkipCrc) => {
                profile.steps = StepWeights { crash: 3, crash_all: 1, ..StepWeights::default() };
                profile.disk.kept = Permille(500);
                profile.disk.garbled = Permille(700);
                profile.disk.piece_bytes = 512;
                profile.disk.latency = (MILLI, MILLI * 8);
                profile.workload.value_bytes_max = 700;
            }
        }
        profile
    }

    /// Looks for the bug in one seed after another.
    pub fn hunt(self, seeds_max: u64) -> Hunt {
        for seed in 0..seeds_max {
            let sound = simulation::run(self.profile(seed), seed, false);
            if let Some(violation) = sound.violation {
                return Hunt::FalseAlarm { seed, violation };
            }
            let bitten = self.run_planted(seed);
            if let Some(violation) = bitten {
                return Hunt::Caught { seeds: seed + 1, violation };
            }
        }
        Hunt::Escaped { seeds: seeds_max }
    }

    /// Runs a seed with the bug planted.
    pub fn run_planted(self, seed: u64) -> Option<Violation> {
        self.plant();
        let report = simulation::run(self.profile(seed), seed, false);
        protocol::plant(None);
        storage::plant(None);
        report.violation
    }

    fn plant(self) {
        match self {
            Bug::Protocol(bug) => protocol::plant(Some(bug)),
            Bug::Storage(bug) => storage::plant(Some(bug)),
        }
    }
}
