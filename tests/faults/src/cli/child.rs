//! `rondo-faults child`: the process whose power is cut.

use rondo_faults::content::Sizes;
use rondo_faults::planted;
use rondo_faults::power::child::{self, Load};
use rondo_faults::shard::Settings;
use rondo_storage::Engine;
use std::path::PathBuf;

/// Options of the command.
#[derive(clap::Args)]
pub struct ChildOptions {
    /// `run`, `look` or `fill`.
    task: String,
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    engine: Engine,
    #[arg(long)]
    keys: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 1)]
    first_version: u64,
    #[arg(long)]
    plant: Option<String>,
}

/// Does the task.
pub fn run(options: &ChildOptions) -> Result<(), String> {
    if let Some(bug) = &options.plant {
        planted::plant_by_name(bug)?;
    }
    let settings =
        Settings { engine: options.engine, memtable_bytes: 1 << 20, segment_bytes: 64 << 20, sizes: Sizes::FULL };
    match options.task.as_str() {
        "run" => {
            let load = Load { seed: options.seed, keys: options.keys, first_version: options.first_version };
            child::run(&options.data, settings, load)
        }
        "look" => child::look(&options.data, settings, options.keys),
        "fill" => child::fill(&options.data, settings, options.keys),
        other => Err(format!("a child can run, look or fill, not {other}")),
    }
}
