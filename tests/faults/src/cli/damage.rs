//! `rondo-faults damage`

use super::{Engines, this_program};
use rondo_faults::damage::campaign::Campaign;
use rondo_faults::damage::table::Table;
use rondo_faults::power::image;
use std::path::PathBuf;

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
    pub engine: Engines,
    /// Draws directories, files and places.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Do this fault only, say what came of it, and leave the directory.
    #[arg(long)]
    only: Option<u64>,
    /// Where directories are made and damaged.
    #[arg(long, default_value_os_t = image::usual_parent())]
    pub directory: PathBuf,
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
    let tables = options.campaigns()?;
    for table in &tables {
        println!("{}", table.summary());
        if options.table {
            print!("{}{}", Table::head(), table.markdown());
        }
        for violation in table.violations.iter().take(VIOLATIONS_SHOWN) {
            println!("VIOLATION {violation}");
        }
    }
    Ok(tables.iter().all(|table| table.violations.is_empty()))
}

impl DamageOptions {
    /// What came of it, for each engine.
    pub fn campaigns(&self) -> Result<Vec<Table>, String> {
        let engines = self.engine.list();
        let share = self.faults.div_ceil(engines.len() as u64);
        let campaign = |engine| {
            let campaign = Campaign {
                program: this_program()?,
                parent: self.directory.clone(),
                engine,
                first: self.only.unwrap_or(0),
                faults: if self.only.is_some() { 1 } else { share },
                seed: self.seed,
                workers: self.workers,
                planted: self.plant.clone(),
                keeps: self.only.is_some(),
            };
            campaign.run()
        };
        engines.into_iter().map(campaign).collect()
    }
}
