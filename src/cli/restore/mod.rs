//! `rondo backup restore`: through the ring of a running cluster, or as a node's own data directory.

mod data_dir;
mod groups;
mod lost;
mod merged;
mod put;
mod tally;

use std::path::PathBuf;

use rondo_storage::Engine;
use rondo_storage::backup::{Chain, Repository};

use super::backup::unusable;
use super::exit::{Exit, Failure, Outcome};
use super::target::Target;
use merged::Merged;

pub(crate) const HELP: &str = "Examples:
  rondo backup restore /backup/rondo 20261125T195117.123Z-n1 --addr 10.0.0.1:7600
  rondo backup restore /backup/rondo 20261125T195117.123Z-n1 --with /backup/rondo:20261125T195118.004Z-n2 --with …
  rondo backup restore /backup/rondo 20261125T195117.123Z-n1 --to-data /var/lib/rondo --shards 8

Through the ring (the first two): every value is put as a client would put it, so the cluster may have any number of nodes. A
backup is of one node; name those of all nodes with --with, and each key is merged from all of them before it is put. It may
be interrupted and repeated: what is there already is not put again.

Where a backup is damaged, everything else is restored, what is not is listed, and the command ends with 5. If it must be all
or nothing, run rondo backup verify first.

As a data directory (the last): for the very node that the backup is of, while it is stopped and its directory lost.";

/// What becomes of a key that the cluster holds already.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Existing {
    /// It is left as it is
    Skip,
    /// The backup's value replaces it
    Overwrite,
}

/// `rondo backup restore`.
#[derive(clap::Args, Debug)]
pub(crate) struct RestoreArguments {
    /// The directory of backups
    dir: PathBuf,
    /// The backup; its parents are read too
    id: String,
    /// Backups of other nodes to be merged in
    #[arg(long, value_name = "DIR:ID")]
    with: Vec<String>,
    /// What becomes of keys that the cluster holds already
    #[arg(long, value_enum, default_value_t = Existing::Skip)]
    existing: Existing,
    /// Build this data directory instead of putting through the ring
    #[arg(long, value_name = "DIR", conflicts_with_all = ["with", "existing"])]
    to_data: Option<PathBuf>,
    /// The node's name, as a check that it is the backup's [default: the backup's]
    #[arg(long, requires = "to_data")]
    name: Option<String>,
    /// Shards of the data directory [default: as many as were backed up]
    #[arg(long, value_name = "COUNT", requires = "to_data", value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Option<u16>,
    /// Engine of the data directory: sled or lsm
    #[arg(long, value_name = "ENGINE", requires = "to_data", default_value = "sled")]
    engine: Engine,
    #[command(flatten)]
    target: Target,
}

/// Restores.
pub(crate) fn restore(arguments: &RestoreArguments) -> Outcome {
    let mut chains = vec![chain(&arguments.dir, &arguments.id)?];
    for source in &arguments.with {
        let Some((dir, id)) = source.rsplit_once(':') else {
            return Err(Failure::new(Exit::BadInput, format!("{source:?} is not DIR:ID")));
        };
        chains.push(chain(&PathBuf::from(dir), id)?);
    }
    match &arguments.to_data {
        Some(data) => {
            let wanted = data_dir::Wanted {
                data,
                name: arguments.name.as_deref(),
                shards: arguments.shards,
                engine: arguments.engine,
                json: arguments.target.json,
            };
            data_dir::restore(&chains[0], &wanted)
        }
        None => put::restore(Merged::open(&chains)?, arguments.existing, &arguments.target),
    }
}

fn chain(dir: &std::path::Path, id: &str) -> Result<Chain, Failure> {
    let repository = Repository::open(dir).map_err(|error| unusable(&error))?;
    Chain::resolve(&repository, id).map_err(|error| unusable(&error))
}
