//! Draws a script of misfortune: which fault steps come when, and what mends them.
//!
//! The whole script is drawn before the run begins, in the words of [`Fault`], so that a reader can print it and a
//! story can be made of it. Each misfortune is followed by its recovery after a while; the run heals the rest at its end.

use core::time::Duration;

use rondo_protocol::now::Instant;

use crate::fault::{Fault, Mood, Seat};
use crate::profile::{Profile, StepWeights};
use crate::random::{Permille, Random};

/// One step of the script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// When.
    pub at: Instant,
    /// What.
    pub fault: Fault,
}

const MILLI: Duration = Duration::from_millis(1);

/// The script of a profile for the time until `end`, in the order of its steps.
pub fn draw(profile: &Profile, random: &mut Random, end: Instant) -> Vec<Step> {
    let mut script = Vec::new();
    let mut at = Instant(0) + random.time(MILLI * 20, profile.step_gap);
    while at < end {
        draw_step(profile, random, at, &mut script);
        at = at + random.time(MILLI * 10, profile.step_gap);
    }
    script.sort_by_key(|step| step.at);
    script.retain(|step| step.at < end);
    script
}

fn draw_step(profile: &Profile, random: &mut Random, at: Instant, script: &mut Vec<Step>) {
    let nodes = profile.shards.len();
    let node = Seat(random.index(nodes));
    let recovery = at + random.time(MILLI * 5, MILLI * 1200);
    let mut add = |at: Instant, fault: Fault| script.push(Step { at, fault });
    match draw_kind(&profile.steps, random) {
        None => {}
        Some(Kind::Partition) => {
            let (left, right) = split(random, nodes);
            add(at, Fault::Partition { left, right });
            add(recovery, Fault::Mend);
        }
        Some(Kind::OneWay) => {
            let to = Seat((node.0 + 1 + random.index(nodes - 1)) % nodes);
            add(at, Fault::OneWay { from: node, to });
            add(recovery, Fault::Mend);
        }
        Some(Kind::Crash) => {
            add(at, Fault::Crash { nodes: vec![node] });
            add(soon_or_later(random, at, recovery), Fault::Start { nodes: vec![node] });
        }
        Some(Kind::CrashAll) => {
            let all: Vec<Seat> = (0..nodes).map(Seat).collect();
            add(at, Fault::Crash { nodes: all.clone() });
            add(soon_or_later(random, at, recovery), Fault::Start { nodes: all });
        }
        Some(Kind::CleanRestart) => {
            add(at, Fault::Stop { nodes: vec![node] });
            add(recovery, Fault::Start { nodes: vec![node] });
        }
        Some(Kind::SlowDisk) => {
            add(at, Fault::SlowDisk { node, times: random.between(10, 100) as u32 });
            add(recovery, Fault::SlowDisk { node, times: 1 });
        }
        Some(Kind::FailingDisk) => {
            add(at, Fault::Disk { node, mood: Mood::Failing });
            add(recovery, Fault::Disk { node, mood: Mood::Well });
        }
        Some(Kind::FullDisk) => {
            add(at, Fault::Disk { node, mood: *random.pick(&[Mood::Full, Mood::FullUnseen]) });
            add(at + random.time(MILLI * 100, MILLI * 4000), Fault::Disk { node, mood: Mood::Well });
        }
        Some(Kind::HungDisk) => {
            add(at, Fault::Disk { node, mood: Mood::Hung });
            // Some hang for so long that their shard counts as stalled.
            add(at + random.time(MILLI * 100, MILLI * 3000), Fault::Disk { node, mood: Mood::Well });
        }
        Some(Kind::ClockJump) => {
            let reach = profile.clock_jump.as_millis() as u64;
            let millis = random.between(0, 2 * reach) as i64 - reach as i64;
            add(at, Fault::ClockJump { node, millis });
        }
        Some(Kind::Stall) => {
            let shard = random.index(usize::from(profile.shards[node.0])) as u16;
            add(at, Fault::Stall { node, shard, time: random.time(MILLI, MILLI * 600) });
        }
        Some(Kind::Disconnect) => add(at, Fault::Disconnect { node }),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Partition,
    OneWay,
    Crash,
    CrashAll,
    CleanRestart,
    SlowDisk,
    FailingDisk,
    FullDisk,
    HungDisk,
    ClockJump,
    Stall,
    Disconnect,
}

fn draw_kind(weights: &StepWeights, random: &mut Random) -> Option<Kind> {
    let kinds = [
        (Kind::Partition, weights.partition),
        (Kind::OneWay, weights.one_way),
        (Kind::Crash, weights.crash),
        (Kind::CrashAll, weights.crash_all),
        (Kind::CleanRestart, weights.clean_restart),
        (Kind::SlowDisk, weights.slow_disk),
        (Kind::FailingDisk, weights.failing_disk),
        (Kind::FullDisk, weights.full_disk),
        (Kind::HungDisk, weights.hung_disk),
        (Kind::ClockJump, weights.clock_jump),
        (Kind::Stall, weights.stall),
        (Kind::Disconnect, weights.disconnect),
    ];
    let total: u64 = kinds.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut drawn = if total == 0 { return None } else { random.below(total) };
    kinds.into_iter().find_map(|(kind, weight)| {
        let hit = drawn < u64::from(weight);
        drawn = drawn.saturating_sub(u64::from(weight));
        hit.then_some(kind)
    })
}

/// Two groups, neither of them empty; some nodes may be in neither, so that a partition can be partial.
fn split(random: &mut Random, nodes: usize) -> (Vec<Seat>, Vec<Seat>) {
    let first = random.index(nodes);
    let second = (first + 1 + random.index(nodes - 1)) % nodes;
    let (mut left, mut right) = (vec![Seat(first)], vec![Seat(second)]);
    for other in (0..nodes).filter(|other| *other != first && *other != second) {
        match random.below(5) {
            0 => {}
            1 | 2 => left.push(Seat(other)),
            _ => right.push(Seat(other)),
        }
    }
    (left, right)
}

/// Half of all restarts come at once: that is when late answers for the life before still travel.
fn soon_or_later(random: &mut Random, at: Instant, later: Instant) -> Instant {
    if random.happens(Permille(500)) { at + random.time(MILLI, MILLI * 4) } else { later }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seed: u64) -> Vec<Step> {
        let mut random = Random::from_seed(seed);
        let mut profile = Profile::draw(&mut random);
        profile.steps.crash = 1;
        draw(&profile, &mut random, Instant(0) + MILLI * 5000)
    }

    #[test]
    fn scripts_are_in_order_and_end_in_time() {
        for seed in 0..50 {
            let script = check(seed);
            assert!(script.is_sorted_by_key(|step| step.at));
            assert!(script.iter().all(|step| step.at < Instant(0) + MILLI * 5000));
        }
    }

    #[test]
    fn a_script_can_be_read_back_from_its_words() {
        for step in check(3) {
            let line = step.fault.to_string();
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(Fault::parse(&words).as_ref().map(ToString::to_string), Ok(line.clone()));
        }
    }
}
