//! Power cuts under real nodes: one alone, or three that lose power in the same millisecond.
//!
//! ```text
//! nodes start, clients write ──► random moment ──cut all──► kill -9 ──► power back ──► start ──► read every key at a quorum ──► …
//! ```

use super::image::{Cutter, Image};
use super::load::{KEYS_PER_WRITER, Known, Load, WRITERS};
use super::node::Node;
use super::summary::Summary;
use crate::content::{Sizes, Version, name};
use crate::random::Dice;
use crate::shard::Found;
use core::time::Duration;
use rondo_client::blocking::Client;
use rondo_client::{Level, Options};
use rondo_storage::Engine;
use std::path::PathBuf;
use std::time::Instant;

/// Size of each disk.
const IMAGE_MIB: u64 = 1024;
/// Rounds on the same disks, before fresh ones.
const ROUNDS_PER_IMAGE: u64 = 6;
/// How long a key is tried to be read after a start.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// What to do.
#[derive(Clone, Debug)]
pub struct NodeRounds {
    /// The binary of the node.
    pub program: PathBuf,
    /// Where images are made.
    pub parent: PathBuf,
    /// The engine.
    pub engine: Engine,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Cuts.
    pub cuts: u64,
    /// Draws everything.
    pub seed: u64,
}

/// When the power goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    Starting,
    Load,
    Stopping,
    /// While the stopped node's directory is converted to the other engine.
    Migrating,
    /// While the node starts with another number of shards.
    Moving,
}

/// Moments of a cluster.
const OF_MANY: [Moment; 5] = [Moment::Load, Moment::Load, Moment::Load, Moment::Starting, Moment::Stopping];
/// Moments of a node alone: its directory can be converted, too.
const OF_ONE: [Moment; 8] = [
    Moment::Load,
    Moment::Load,
    Moment::Load,
    Moment::Starting,
    Moment::Stopping,
    Moment::Migrating,
    Moment::Migrating,
    Moment::Moving,
];

/// The cluster of one set of disks.
struct Cluster {
    images: Vec<Image>,
    nodes: Vec<Node>,
    known: Known,
    /// The engine of the rows that are counted here.
    of_engine: Engine,
    /// The engine in force.
    engine: Engine,
    shards: u16,
}

impl NodeRounds {
    /// Cuts; stops early at a violation.
    ///
    /// # Errors
    /// The experiment could not be made.
    pub fn run(&self) -> Result<Summary, String> {
        let mut summary = Summary::default();
        let mut dice = Dice::new(self.seed, 0x90DE + self.nodes as u64);
        while summary.cuts < self.cuts && summary.violations.is_empty() {
            let mut cluster = self.fresh_cluster()?;
            for _ in 0..ROUNDS_PER_IMAGE.min(self.cuts - summary.cuts) {
                cluster.round(&mut dice, &mut summary)?;
                if !summary.violations.is_empty() {
                    break;
                }
            }
            summary.acknowledged += cluster.known.record.acknowledgements();
        }
        Ok(summary)
    }

    fn fresh_cluster(&self) -> Result<Cluster, String> {
        let images = (0..self.nodes).map(|_| Image::create(&self.parent, IMAGE_MIB)).collect::<Result<Vec<_>, _>>()?;
        let nodes = images.iter().enumerate();
        let nodes = nodes.map(|(index, image)| Node::lay_out(&self.program, &image.path(), index, self.nodes));
        let nodes = nodes.collect::<Result<_, _>>()?;
        Ok(Cluster { images, nodes, known: Known::fresh(), of_engine: self.engine, engine: self.engine, shards: 1 })
    }
}

impl Cluster {
    fn title(&self) -> String {
        format!("{} node{}", self.nodes.len(), if self.nodes.len() == 1 { "" } else { "s" })
    }

    /// One cut, and a look at every key.
    fn round(&mut self, dice: &mut Dice, summary: &mut Summary) -> Result<(), String> {
        let moments = if self.nodes.len() == 1 { &OF_ONE[..] } else { &OF_MANY[..] };
        // What has never run has nothing to lose.
        let moment = if self.known.last_version == 0 { Moment::Load } else { *dice.pick(moments) };
        let phase = match moment {
            Moment::Starting => self.cut_while_starting("starting", dice)?,
            Moment::Moving => {
                self.shards = 3 - self.shards;
                self.cut_while_starting("moving to other cores", dice)?
            }
            Moment::Migrating => self.cut_while_migrating(dice)?,
            Moment::Load | Moment::Stopping => match self.cut_under_load(moment, dice)? {
                Ok(phase) => phase,
                Err(violation) => return self.note(summary, &violation),
            },
        };
        summary.cut(&format!("{}: {phase}", self.title()));
        self.restore()?;
        if moment == Moment::Migrating {
            self.engine = self.nodes[0].engine_in_force()?;
        }
        self.launch()?;
        match self.ready() {
            Ok(client) => self.verify(&client, summary),
            Err(violation) => self.note(summary, &violation)?,
        }
        for node in &mut self.nodes {
            node.kill();
        }
        Ok(())
    }

    fn note(&self, summary: &mut Summary, violation: &str) -> Result<(), String> {
        summary.violations.push(format!("{} of {}: {violation}", self.title(), self.of_engine));
        Ok(())
    }

    fn launch(&mut self) -> Result<(), String> {
        let (engine, shards) = (self.engine, self.shards);
        self.nodes.iter_mut().try_for_each(|node| node.launch(engine, shards))
    }

    /// Waits for all nodes and connects; an error is a violation.
    fn ready(&mut self) -> Result<Client, String> {
        self.nodes.iter_mut().try_for_each(Node::wait_until_ready)?;
        let addresses: Vec<String> = self.nodes.iter().map(|node| node.client.to_string()).collect();
        Client::connect(&addresses).map_err(|error| format!("no client could connect: {error}"))
    }

    fn cut_while_starting(&mut self, phase: &str, dice: &mut Dice) -> Result<String, String> {
        let cutter = Cutter::arm(&self.images.iter().collect::<Vec<_>>())?;
        self.launch()?;
        std::thread::sleep(dice.time(Duration::from_millis(5), Duration::from_millis(600)));
        cutter.cut()?;
        Ok(phase.to_owned())
    }

    fn cut_while_migrating(&mut self, dice: &mut Dice) -> Result<String, String> {
        let cutter = Cutter::arm(&self.images.iter().collect::<Vec<_>>())?;
        let to = if self.engine == Engine::Sled { Engine::Lsm } else { Engine::Sled };
        let node = &mut self.nodes[0];
        node.start_tool(&["engine", "migrate", "--store-cache-mib", "8", "--to", to.name()])?;
        std::thread::sleep(dice.time(Duration::from_millis(5), Duration::from_millis(900)));
        let phase = if node.has_ended() { "migrated" } else { "migrating" };
        cutter.cut()?;
        Ok(phase.to_owned())
    }

    /// The inner error is a violation.
    fn cut_under_load(&mut self, moment: Moment, dice: &mut Dice) -> Result<Result<String, String>, String> {
        let cutter = Cutter::arm(&self.images.iter().collect::<Vec<_>>())?;
        self.launch()?;
        let client = match self.ready() {
            Ok(client) => client,
            Err(violation) => return Ok(Err(violation)),
        };
        let load = Load::start(&client, std::mem::take(&mut self.known), dice.draw());
        std::thread::sleep(dice.time(Duration::from_millis(100), Duration::from_millis(3000)));
        let mut phase = "load";
        if moment == Moment::Stopping {
            self.nodes.iter().for_each(Node::ask_to_stop);
            std::thread::sleep(dice.time(Duration::ZERO, Duration::from_millis(300)));
            phase = if self.nodes.iter_mut().all(Node::has_ended) { "stopped" } else { "stopping" };
        } else if self.nodes.iter().any(Node::is_checkpointing) {
            phase = "load and checkpoint";
        }
        load.stop_counting();
        cutter.cut()?;
        for node in &mut self.nodes {
            node.kill();
        }
        self.known = load.finish()?;
        Ok(Ok(phase.to_owned()))
    }

    fn restore(&mut self) -> Result<(), String> {
        for node in &mut self.nodes {
            node.kill();
        }
        self.images.iter_mut().try_for_each(Image::restore)
    }

    fn verify(&mut self, client: &Client, summary: &mut Summary) {
        let title = format!("{} of {}", self.title(), self.of_engine);
        for key in 0..WRITERS * KEYS_PER_WRITER {
            let checked = match self.read(client, key) {
                Ok(found) if self.nodes.len() == 1 => self.known.record.check_as_client(key, &found),
                Ok(found) => self.known.record.check_in_cluster(key, &found),
                Err(what) => Err(format!("key {key} cannot be read: {what}")),
            };
            match checked {
                Ok(()) => summary.verified += 1,
                Err(what) => summary.violations.push(format!("{title}: {what}")),
            }
        }
    }

    fn read(&mut self, client: &Client, key: u32) -> Result<Found, String> {
        let options = Options::new().level(Level::Quorum).timeout(Duration::from_secs(5));
        let until = Instant::now() + READ_WITHIN;
        loop {
            match client.get(name(key), &options) {
                Ok(answer) if answer.values.len() > 1 => {
                    return Err(format!("{} values in a keyspace where the last write wins", answer.values.len()));
                }
                Ok(answer) => {
                    let found = answer.value().map_or(Found::Absent, |bytes| {
                        let version = Version::read(key, bytes, Sizes::FULL);
                        version.map_or_else(|| Found::Wrong(bytes.clone()), Found::Version)
                    });
                    self.known.contexts.insert(key, answer.context);
                    return Ok(found);
                }
                Err(error) if Instant::now() > until => return Err(error.to_string()),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}
