//! `rondo-faults planted`

use super::{Engines, this_program};
use rondo_faults::damage::campaign::Campaign;
use rondo_faults::planted::{BUGS, Bug, Method};
use rondo_faults::power::image;
use rondo_faults::power::shard_rounds::ShardRounds;
use rondo_faults::power::store_cuts::{KEYS_TO_BE_CAUGHT, StoreCut, StoreCuts};
use rondo_storage::Engine;
use std::path::PathBuf;

/// Options of the command.
#[derive(clap::Args)]
pub struct PlantedOptions {
    /// The engine.
    #[arg(long, value_enum, default_value = "sled")]
    engine: Engines,
    /// Power cuts that a bug may survive.
    #[arg(long, default_value_t = 60)]
    cuts: u64,
    /// Faults that a bug may survive.
    #[arg(long, default_value_t = 2000)]
    faults: u64,
    /// Draws everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where directories and images are made.
    #[arg(long, default_value_os_t = image::usual_parent())]
    directory: PathBuf,
}

/// True if every bug was noticed.
pub fn run(options: &PlantedOptions) -> Result<bool, String> {
    let mut is_all_noticed = true;
    for engine in options.engine.list() {
        for bug in BUGS.iter().filter(|bug| bug.only.is_none_or(|only| only == engine)) {
            if bug.noticed_by != Method::Damage
                && let Some(why) = image::why_not(&options.directory)
            {
                println!("SKIPPED {} on {engine}: {why}", bug.name);
                continue;
            }
            let noticed = options.notice(bug, engine)?;
            let how = bug.noticed_by.name();
            println!("{} on {engine}: {}", bug.name, noticed.as_ref().map_or("NOT NOTICED", |_| how));
            println!("  {}", noticed.as_deref().unwrap_or("no violation"));
            is_all_noticed &= noticed.is_some();
        }
    }
    Ok(is_all_noticed)
}

impl PlantedOptions {
    /// The first violation.
    fn notice(&self, bug: &Bug, engine: Engine) -> Result<Option<String>, String> {
        let (program, parent, seed) = (this_program()?, self.directory.clone(), self.seed);
        let planted = Some(bug.name.to_owned());
        let violations: Vec<String> = match bug.noticed_by {
            Method::StoreCuts => {
                let rounds = StoreCuts { program, parent, engine, keys: KEYS_TO_BE_CAUGHT, planted };
                let by_cut = rounds.violation(StoreCut::PowerCut)?;
                // Noticed means noticed both ways.
                let by_look = rounds.violation(StoreCut::LookAtTheDevice)?;
                by_cut.zip(by_look).map(|(cut, look)| format!("{cut}; {look}")).into_iter().collect()
            }
            Method::PowerCuts => {
                ShardRounds { program, parent, engine, cuts: self.cuts, seed, planted }.run()?.violations
            }
            Method::Damage => {
                let faults = self.faults;
                let campaign =
                    Campaign { program, parent, engine, first: 0, faults, seed, workers: 2, planted, keeps: false };
                campaign.run()?.violations
            }
        };
        Ok(violations.into_iter().next())
    }
}
