//! `rondo-faults power-cuts`

use super::{Engines, this_program};
use rondo_faults::power::image;
use rondo_faults::power::shard_rounds::ShardRounds;
use rondo_faults::power::summary::Summary;
use std::path::PathBuf;

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
    /// Plant this bug: then a violation is what is expected.
    #[arg(long)]
    plant: Option<String>,
}

/// True if nothing was violated.
pub fn run(options: &PowerCutsOptions) -> Result<bool, String> {
    if let Some(why) = image::why_not(&options.directory) {
        println!("SKIPPED power cuts: {why}");
        return Ok(true);
    }
    let mut all = Summary::default();
    for engine in options.engine.list() {
        let rounds = ShardRounds {
            program: this_program()?,
            parent: options.directory.clone(),
            engine,
            cuts: options.cuts,
            seed: options.seed,
            planted: options.plant.clone(),
        };
        let summary = rounds.run()?;
        summary.print(&format!("power cuts, {engine}"));
        all.add(summary);
    }
    Ok(all.violations.is_empty())
}
