//! Stories in text files: what goes wrong when, what clients ask, and what they must be told.
//!
//! ```text
//! # Lines that begin with # say what the story teaches.
//! nodes 3
//! shards 2
//! at 10ms   c1 put siblings/k0 apple via n1 w=all -> done
//! at 50ms   crash n1 n2
//! at 900ms  start n1 n2
//! at 2500ms c1 get siblings/k0 via n3 r=all -> apple
//! ```
//!
//! Steps are the faults of [`crate::fault`] or requests of named clients. A write that ends in `seen` carries the context
//! of its client's last answer about the key. What stands behind the arrow is checked at the end: `done`, `refused`,
//! `unknown`, `nothing` (found nothing), or the names of the values found. Then the whole world is healed and held against
//! every promise, as after any run.

use core::time::Duration;
use std::collections::BTreeMap;

use rondo_protocol::now::Instant;
use rondo_protocol::wire::request::{Level, RequestOptions};

use crate::checkers::Violation;
use crate::client::Wish;
use crate::fault::{self, Fault, Seat};
use crate::history::{History, Key, Kind, OpId, Outcome};
use crate::profile::Profile;
use crate::random::Permille;
use crate::simulation::{self, Report};
use crate::world::World;

/// Clients of one story.
const CLIENTS_MAX: usize = 9;
/// After the last step, before answers are looked at.
const PATIENCE: Duration = Duration::from_secs(25);

/// A story.
#[derive(Clone, Debug)]
pub struct Scenario {
    profile: Profile,
    steps: Vec<(Instant, Step)>,
}

#[derive(Clone, Debug)]
enum Step {
    Fault(Fault),
    Ask(Ask),
}

#[derive(Clone, Debug)]
struct Ask {
    line: usize,
    client: usize,
    key: Key,
    kind: Kind,
    name: String,
    via: Seat,
    level: Level,
    seen: bool,
    timeout: Duration,
    expected: Vec<String>,
}

impl Scenario {
    /// Reads a story. The error names the line.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let mut scenario = Scenario { profile: Profile::calm(3, 1), steps: Vec::new() };
        for (place, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let read = match words.as_slice() {
                [] => Ok(()),
                [first, ..] if first.starts_with('#') => Ok(()),
                ["at", at, rest @ ..] => scenario.read_step(place + 1, at, rest),
                setting => scenario.read_setting(setting),
            };
            read.map_err(|what| format!("line {}: {what}", place + 1))?;
        }
        scenario.steps.sort_by_key(|(at, _)| *at);
        Ok(scenario)
    }

    /// Plays the story.
    pub fn play(&self, seed: u64, readable: bool) -> Report {
        let mut profile = self.profile.clone();
        profile.workload.clients = CLIENTS_MAX;
        let mut world = World::new(profile, seed, readable);
        let verdict = self.act(&mut world);
        let script = self.steps.iter().map(|(at, step)| format!("at {}ms {step:?}", at.0 / 1_000_000)).collect();
        simulation::report(world, verdict, script)
    }

    fn act(&self, world: &mut World) -> Result<(), Violation> {
        world.begin();
        for (at, step) in &self.steps {
            world.run(*at - world.now(), |_| false)?;
            match step {
                Step::Fault(fault) => world.plan_fault(*at, fault.clone()),
                Step::Ask(ask) => ask.send(world),
            }
        }
        world.run(PATIENCE, |_| false)?;
        self.check_answers(world)?;
        simulation::conclude(world)
    }

    fn check_answers(&self, world: &World) -> Result<(), Violation> {
        // Each client asks one thing after the other, so its n-th operation is the n-th line in which it asks.
        let mut answered: BTreeMap<usize, Vec<OpId>> = BTreeMap::new();
        for (id, operation) in world.history.iter() {
            answered.entry(operation.client).or_default().push(id);
        }
        let mut names: BTreeMap<OpId, &str> = BTreeMap::new();
        let mut asked: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, step) in &self.steps {
            let Step::Ask(ask) = step else { continue };
            let turn = asked.entry(ask.client).or_default();
            let id = answered.get(&ask.client).and_then(|ids| ids.get(*turn)).copied();
            *turn += 1;
            let Some(id) = id else { return Err(ask.broken("nobody was there to be asked")) };
            names.insert(id, &ask.name);
            ask.check(&world.history, id, &names)?;
        }
        Ok(())
    }

    fn read_setting(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["nodes", count] => {
                let nodes = fault::number::<usize>(count)?;
                self.profile.shards = vec![self.profile.shards[0]; nodes];
                self.profile.racks = nodes;
            }
            ["shards", count] => self.profile.shards.fill(fault::number(count)?),
            ["silence", time] => self.profile.network.silence = fault::time(time)?,
            ["kept", permille] => self.profile.disk.kept = Permille(fault::number(permille)?),
            ["garbled", permille] => self.profile.disk.garbled = Permille(fault::number(permille)?),
            ["clock-jump", time] => self.profile.clock_jump = fault::time(time)?,
            ["disk", quickest, slowest] => self.profile.disk.latency = (fault::time(quickest)?, fault::time(slowest)?),
            _ => return Err(format!("not a setting: {}", words.join(" "))),
        }
        Ok(())
    }

    fn read_step(&mut self, line: usize, at: &str, words: &[&str]) -> Result<(), String> {
        let at = Instant(0) + fault::time(at)?;
        let client = words.first().and_then(|word| word.strip_prefix('c')).and_then(|digits| digits.parse().ok());
        let step = match client {
            Some(client) => Step::Ask(Ask::parse(line, client, &words[1..])?),
            None => Step::Fault(Fault::parse(words)?),
        };
        self.steps.push((at, step));
        Ok(())
    }
}

impl Ask {
    fn parse(line: usize, client: usize, words: &[&str]) -> Result<Ask, String> {
        if !(1..CLIENTS_MAX).contains(&client) {
            return Err(format!("clients are c1 to c{}", CLIENTS_MAX - 1));
        }
        let arrow = words.iter().position(|word| *word == "->").unwrap_or(words.len());
        let expected = words[arrow..].iter().skip(1).map(|word| (*word).to_owned()).collect();
        let (kind, key, name, rest) = match &words[..arrow] {
            ["get", key, rest @ ..] => (Kind::Get, key, "", rest),
            ["put", key, name, rest @ ..] => (Kind::Put { value_bytes: 32 }, key, *name, rest),
            ["delete", key, rest @ ..] => (Kind::Delete, key, "", rest),
            other => return Err(format!("not a request: {}", other.join(" "))),
        };
        let ["via", via, rest @ ..] = rest else { return Err("a request goes `via` a node".into()) };
        let mut ask = Ask {
            line,
            client,
            key: parse_key(key)?,
            kind,
            name: name.to_owned(),
            via: fault::seat(via)?,
            level: Level::Default,
            seen: false,
            timeout: Duration::from_secs(1),
            expected,
        };
        for word in rest {
            match word.split_once('=') {
                Some(("r" | "w", level)) => ask.level = parse_level(level)?,
                Some(("timeout", time)) => ask.timeout = fault::time(time)?,
                _ if *word == "seen" => ask.seen = true,
                _ => return Err(format!("not understood: {word}")),
            }
        }
        Ok(ask)
    }

    fn send(&self, world: &mut World) {
        let shard = world.cluster.owning_shard(self.via, &self.key.object_key()).0;
        let options = RequestOptions { replicas: 0, level: self.level, timeout: self.timeout };
        let required = world.cluster.required(self.level);
        let items = vec![(self.key, self.kind)];
        world.ask(self.client, Wish { items, options, required, informed: self.seen, target: (self.via, shard) });
    }

    fn check(&self, history: &History, id: OpId, names: &BTreeMap<OpId, &str>) -> Result<(), Violation> {
        if self.expected.is_empty() {
            return Ok(());
        }
        let mut told: Vec<String> = match &history.operation(id).outcome {
            Outcome::Pending => vec!["pending".into()],
            Outcome::Written { .. } => vec!["done".into()],
            Outcome::Refused(_) => vec!["refused".into()],
            Outcome::Unknown => vec!["unknown".into()],
            Outcome::Read { writers, .. } if writers.is_empty() => vec!["nothing".into()],
            Outcome::Read { writers, .. } => {
                writers.iter().map(|writer| names.get(writer).map_or("?", |name| name).to_owned()).collect()
            }
        };
        let mut expected = self.expected.clone();
        told.sort();
        expected.sort();
        match told == expected {
            true => Ok(()),
            false => Err(self.broken(&format!("expected {expected:?} and was told {told:?}"))),
        }
    }

    fn broken(&self, what: &str) -> Violation {
        Violation::new("scenario", format!("line {}: {what}", self.line))
    }
}

fn parse_key(word: &str) -> Result<Key, String> {
    let wrong = || format!("not a key: {word} (write lww/k0 or siblings/k0)");
    let (keyspace, name) = word.split_once('/').ok_or_else(wrong)?;
    let number = name.strip_prefix('k').and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
    match keyspace {
        "lww" => Ok(Key { lww: true, number }),
        "siblings" => Ok(Key { lww: false, number }),
        _ => Err(wrong()),
    }
}

fn parse_level(word: &str) -> Result<Level, String> {
    match word {
        "one" => Ok(Level::One),
        "quorum" => Ok(Level::Quorum),
        "all" => Ok(Level::All),
        count => fault::number(count).map(Level::Count),
    }
}
