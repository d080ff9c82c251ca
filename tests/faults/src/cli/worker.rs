//! `rondo-faults worker`: the process that builds templates and does damage.

use rondo_faults::content::Sizes;
use rondo_faults::damage::template::Template;
use rondo_faults::damage::worker::{self, Work};
use rondo_faults::planted;
use rondo_faults::shard::Settings;
use rondo_storage::Engine;
use std::path::PathBuf;

/// Options of the command.
#[derive(clap::Args)]
pub struct WorkerOptions {
    /// `build` or `damage`.
    task: String,
    /// The directory to build, or the one with all templates.
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    engine: Engine,
    #[arg(long)]
    seed: u64,
    #[arg(long, default_value = "")]
    template: String,
    #[arg(long, default_value = ".")]
    scratch: PathBuf,
    #[arg(long, default_value_t = 0)]
    from: u64,
    #[arg(long, default_value_t = 0)]
    to: u64,
    #[arg(long)]
    plant: Option<String>,
    #[arg(long)]
    keep: bool,
}

/// Does the task.
pub fn run(options: &WorkerOptions) -> Result<(), String> {
    if let Some(bug) = &options.plant {
        planted::plant_by_name(bug)?;
    }
    let settings = Settings {
        engine: options.engine,
        memtable_bytes: 1 << 20,
        // Small, because each fault copies the directory.
        segment_bytes: 128 << 10,
        sizes: Sizes::SMALL,
    };
    match options.task.as_str() {
        "build" => {
            let name = &options.template;
            let template = Template::by_name(name).ok_or_else(|| format!("there is no template {name:?}"))?;
            print!("{}", template.build(&options.data, settings, options.seed)?.encode());
            Ok(())
        }
        "damage" => {
            let work = Work {
                templates: options.data.clone(),
                scratch: options.scratch.clone(),
                seed: options.seed,
                from: options.from,
                to: options.to,
                keeps: options.keep,
            };
            worker::run(&work, settings)
        }
        other => Err(format!("a worker can build or damage, not {other}")),
    }
}
