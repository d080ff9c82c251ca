//! One run, from its seed to its verdict: first safety under faults, then healing, then liveness, then the promises.

use core::time::Duration;

use rondo_protocol::now::Instant;
use rondo_protocol::wire::request::Level;

use crate::checkers::{self, Copy, Evidence, Violation, limits, liveness};
use crate::coverage::Coverage;
use crate::fault::FaultKind;
use crate::history::{Key, Kind};
use crate::nemesis;
use crate::profile::Profile;
use crate::random::Random;
use crate::world::World;

/// Time under faults, at most; runs end earlier when their operations are done.
const FAULT_TIME_MAX: Duration = Duration::from_secs(40);
/// Time in which whatever was asked is answered, given up or forgotten.
const SETTLE_TIME: Duration = Duration::from_secs(8);
/// Answered writes and reads that a single run must have.
const RUN_ANSWERS_MIN: u64 = 3;

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What it went through.
    pub coverage: Coverage,
    /// The broken promise, if any.
    pub violation: Option<Violation>,
    /// A number for everything that happened.
    pub hash: u64,
    /// The diary's last lines, if it was to be readable.
    pub tail: Vec<String>,
    /// The faults, in the words of a scenario.
    pub script: Vec<String>,
}

/// Runs a seed.
pub fn run_seed(seed: u64, readable: bool) -> Report {
    let mut random = Random::from_seed(seed);
    let profile = Profile::draw(&mut random);
    run(profile, seed, readable)
}

/// Runs a mix, with everything else from the seed.
pub fn run(profile: Profile, seed: u64, readable: bool) -> Report {
    let mut random = Random::from_seed(seed ^ 0xfa_017);
    let script = nemesis::draw(&profile, &mut random, Instant(0) + FAULT_TIME_MAX);
    let mut world = World::new(profile, seed, readable);
    for step in &script {
        world.plan_fault(step.at, step.fault.clone());
    }
    let verdict = act(&mut world);
    let words = script.iter().map(|step| format!("at {}ms {}", step.at.0 / 1_000_000, step.fault)).collect();
    report(world, verdict, words)
}

/// Turns a finished world into its report.
pub fn report(mut world: World, verdict: Result<(), Violation>, script: Vec<String>) -> Report {
    for seat in world.cluster.seats() {
        world.count_before_the_end(seat);
    }
    let slow = world.nodes.iter().flat_map(|node| &node.disks).map(crate::disk::SimDisk::slow_operations).sum();
    world.coverage.met_times(FaultKind::SlowDisk, slow);
    for trouble in world.nodes.iter().flat_map(|node| &node.disks).map(crate::disk::SimDisk::trouble) {
        world.coverage.met_times(FaultKind::FailedWrite, trouble.writes_failed);
        world.coverage.met_times(FaultKind::FailedSync, trouble.syncs_failed);
        world.coverage.met_times(FaultKind::FullDisk, trouble.refused);
        world.coverage.met_times(FaultKind::HungDisk, trouble.hung);
    }
    world.coverage.count_history(&world.history);
    world.coverage.dots = world.dots.count() as u64;
    for kind in world.profile.enabled() {
        *world.coverage.enabled.entry(kind).or_default() += 1;
    }
    Report {
        violation: verdict.err(),
        hash: world.trace.hash(),
        tail: world.trace.tail().map(str::to_owned).collect(),
        coverage: world.coverage,
        script,
    }
}

fn act(world: &mut World) -> Result<(), Violation> {
    world.begin();
    world.begin_clients();
    world.run(FAULT_TIME_MAX, |world| {
        world.workload.operations_left() == 0 && world.clients.iter().all(crate::client::SimClient::is_idle)
    })?;
    conclude(world)?;
    check_not_empty(world)
}

/// Heals the world and holds it against every promise.
pub fn conclude(world: &mut World) -> Result<(), Violation> {
    world.heal();
    // A clock that was ahead gave times from the future; its peers believe them when the future has come.
    let settle = SETTLE_TIME + world.profile.clock_jump * 2;
    world.run(settle, |_| false)?;
    liveness::check(world)?;
    read_all(world)?;
    write_all(world)?;
    world.run(SETTLE_TIME, |_| false)?;
    let copies = collect(world);
    limits::check_copies(&copies)?;
    for shard in world.nodes.iter().flat_map(|node| node.shards()) {
        limits::check_quiet(shard)?;
    }
    checkers::check(&Evidence { history: &world.history, dots: &world.dots, copies: &copies })
}

/// Every key is read from all its replicas, through some node.
fn read_all(world: &mut World) -> Result<(), Violation> {
    for key in world.history.keys() {
        let seat = *world.random.pick(&world.cluster.seats().collect::<Vec<_>>());
        must(world, seat, key, Kind::Get)?;
    }
    Ok(())
}

/// Every key is written to all its replicas with everything in view, and read once more.
fn write_all(world: &mut World) -> Result<(), Violation> {
    for key in world.history.keys() {
        let seat = world.cluster.replicas(key)[0];
        must(world, seat, key, Kind::Get)?;
        must(world, seat, key, Kind::Put { value_bytes: 24 })?;
        let other = *world.random.pick(&world.cluster.seats().collect::<Vec<_>>());
        must(world, other, key, Kind::Get)?;
    }
    Ok(())
}

fn must(world: &mut World, seat: crate::fault::Seat, key: Key, kind: Kind) -> Result<(), Violation> {
    let id = liveness::ask(world, seat, key, kind, Level::All)?;
    let outcome = id.map(|id| &world.history.operation(id).outcome);
    match id.is_some_and(|id| world.history.operation(id).is_done()) {
        true => Ok(()),
        false => Err(Violation::new(
            "liveness",
            format!("{kind:?} of {key} at {seat} by all, in a whole cluster: {outcome:?}"),
        )),
    }
}

fn collect(world: &mut World) -> Vec<Copy> {
    let mut copies = Vec::new();
    for key in world.history.keys() {
        for seat in world.cluster.replicas(key) {
            let object_key = key.object_key();
            let place = usize::from(world.cluster.owning_shard(seat, &object_key).0);
            let node = &mut world.nodes[seat.0];
            let sorted = node.sorted[place].clone();
            let object = node.shards_mut().get_mut(place).and_then(|shard| shard.copy_of(&object_key, &sorted));
            copies.push(Copy { node: seat, key, object });
        }
    }
    copies
}

fn check_not_empty(world: &World) -> Result<(), Violation> {
    let mut coverage = Coverage::default();
    coverage.count_history(&world.history);
    match coverage.writes_acknowledged >= RUN_ANSWERS_MIN && coverage.reads_answered >= RUN_ANSWERS_MIN {
        true => Ok(()),
        false => Err(Violation::new("coverage", format!("the run answered next to nothing: {coverage:?}"))),
    }
}
