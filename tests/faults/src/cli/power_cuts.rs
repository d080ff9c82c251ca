//! `rondo-faults power-cuts`

use super::damage::DamageOptions;
use super::{Engines, this_program};
use rondo_faults::power::image;
use rondo_faults::power::node_rounds::NodeRounds;
use rondo_faults::power::shard_rounds::ShardRounds;
use rondo_faults::power::summary::Summary;
use rondo_storage::Engine;
use std::path::PathBuf;

/// What loses its power.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Level {
    /// A process with a single shard: quick.
    Shard,
    /// A real node, alone.
    Node,
    /// Three real nodes at once.
    Cluster,
    /// A third of the cuts each.
    All,
}

/// Options of the command.
#[derive(clap::Args)]
pub struct PowerCutsOptions {
    /// Cuts for each engine.
    #[arg(long, default_value_t = 20)]
    cuts: u64,
    /// The engine.
    #[arg(long, value_enum, default_value = "both")]
    engine: Engines,
    /// Draws moments, keys and sizes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the images are made; a few GiB of room are needed.
    #[arg(long, default_value_os_t = image::usual_parent())]
    directory: PathBuf,
    /// What loses its power.
    #[arg(long, value_enum, default_value = "all")]
    level: Level,
    /// The binary of the node [default: `rondo` beside this program].
    #[arg(long)]
    rondo: Option<PathBuf>,
    /// Plant this bug (in shards): then a violation is what is expected.
    #[arg(long)]
    plant: Option<String>,
}

/// True if nothing was violated.
pub fn run(options: &PowerCutsOptions) -> Result<bool, String> {
    if let Some(why) = image::why_not(&options.directory) {
        println!("SKIPPED power cuts: {why}");
        return Ok(true);
    }
    let summaries = options.summaries()?;
    summaries.iter().for_each(|(engine, summary)| summary.print(*engine));
    Ok(summaries.iter().all(|(_, summary)| summary.violations.is_empty()))
}

impl PowerCutsOptions {
    /// The cuts of a whole matrix.
    pub fn for_matrix(damage: &DamageOptions, cuts: u64, rondo: Option<PathBuf>) -> PowerCutsOptions {
        let DamageOptions { engine, seed, directory, .. } = damage;
        let (engine, seed, directory) = (*engine, *seed, directory.clone());
        PowerCutsOptions { cuts, engine, seed, directory, level: Level::All, rondo, plant: None }
    }

    /// What came of the cuts, for each engine.
    pub fn summaries(&self) -> Result<Vec<(Engine, Summary)>, String> {
        let all = |engine| {
            let mut summary = Summary::default();
            for (level, cuts) in self.levels() {
                summary.add(self.cut(level, engine, cuts)?);
            }
            Ok((engine, summary))
        };
        self.engine.list().into_iter().map(all).collect()
    }

    /// The levels, and the cuts of each: what does not divide evenly goes to the first.
    fn levels(&self) -> Vec<(Level, u64)> {
        match self.level {
            Level::All => {
                let third = self.cuts / 3;
                vec![(Level::Shard, self.cuts - 2 * third), (Level::Node, third), (Level::Cluster, third)]
            }
            level @ (Level::Shard | Level::Node | Level::Cluster) => vec![(level, self.cuts)],
        }
    }

    fn cut(&self, level: Level, engine: Engine, cuts: u64) -> Result<Summary, String> {
        let (parent, seed) = (self.directory.clone(), self.seed);
        if level == Level::Shard {
            let planted = self.plant.clone();
            return ShardRounds { program: this_program()?, parent, engine, cuts, seed, planted }.run();
        }
        let program = match &self.rondo {
            Some(path) => path.clone(),
            None => this_program()?.with_file_name("rondo"),
        };
        if !program.exists() {
            return Err(format!("{} is not there: build it, or name another with --rondo", program.display()));
        }
        NodeRounds { program, parent, engine, nodes: if level == Level::Node { 1 } else { 3 }, cuts, seed }.run()
    }
}
