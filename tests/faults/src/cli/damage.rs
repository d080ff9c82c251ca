//! `rondo-faults damage`

use super::{Engines, this_program};
use rondo_faults::damage::campaign::Campaign;
use rondo_faults::power::image;
use std::path::PathBuf;
use std::time::Instant;

/// Violations that are printed; the counts have all.
const VIOLATIONS_SHOWN: usize = 20;

/// Options of the command.
#[derive(clap::Args)]
pub struct DamageOptions {
    /// Faults, shared among the engines.
    #[arg(long, default_value_t = 500)]
    faults: u64,
    /// The engine.
    #[arg(long, value_enum, default_value = "both")]
    engine: Engines,
    /// Draws directories, files and places.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Do this fault only, say what came of it, and leave the directory.
    #[arg(long)]
    only: Option<u64>,
    /// Where directories are made and damaged.
    #[arg(long, default_value_os_t = image::usual_parent())]
    directory: PathBuf,
    /// Worker processes.
    #[arg(long, default_value_t = 2)]
    workers: u64,
    /// Print the table, too.
    #[arg(long)]
    table: bool,
    /// Plant this bug: then violations are what is expected.
    #[arg(long)]
    plant: Option<String>,
}

/// True if nothing was violated.
pub fn run(options: &DamageOptions) -> Result<bool, String> {
    let engines = options.engine.list();
    let mut is_clean = true;
    for &engine in &engines {
        let began = Instant::now();
        let campaign = Campaign {
            program: this_program()?,
            parent: options.directory.clone(),
            engine,
            first: options.only.unwrap_or(0),
            faults: if options.only.is_some() { 1 } else { options.faults.div_ceil(engines.len() as u64) },
            seed: options.seed,
            workers: options.workers,
            planted: options.plant.clone(),
            keeps: options.only.is_some(),
        };
        let table = campaign.run()?;
        println!("{}, in {:.0} s", table.summary(), began.elapsed().as_secs_f64());
        if options.table {
            print!("{}{}", rondo_faults::damage::table::Table::head(), table.markdown());
        }
        for violation in table.violations.iter().take(VIOLATIONS_SHOWN) {
            println!("VIOLATION {violation}");
        }
        is_clean &= table.violations.is_empty();
    }
    Ok(is_clean)
}
