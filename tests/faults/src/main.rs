//! The command line of the experiments.

mod cli;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Makes real faults, and shows what becomes of the data.
#[derive(Parser)]
#[command(name = "rondo-faults")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Cut the power under nodes and shards that are at work, and look for every acknowledged write.
    ///
    /// Needs root: an ext4 image is mounted through a loop device and shut down without flushing its journal.
    PowerCuts(cli::power_cuts::PowerCutsOptions),
    /// Damage the files of a shard, one fault at a time, and read everything back.
    Damage(cli::damage::DamageOptions),
    /// Make every fault there is, and print what became of each: the matrix that `docs/faults.md` keeps.
    Matrix(cli::matrix::MatrixOptions),
    /// Plant bugs in the storage, one after the other: each must be noticed.
    Planted(cli::planted::PlantedOptions),
    /// The process whose power is cut.
    #[command(hide = true)]
    Child(cli::child::ChildOptions),
    /// The process that does the damage.
    #[command(hide = true)]
    Worker(cli::worker::WorkerOptions),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::PowerCuts(options) => cli::power_cuts::run(&options),
        Command::Damage(options) => cli::damage::run(&options),
        Command::Matrix(options) => cli::matrix::run(&options),
        Command::Planted(options) => cli::planted::run(&options),
        Command::Child(options) => cli::child::run(&options).map(|()| true),
        Command::Worker(options) => cli::worker::run(&options).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(what) => {
            eprintln!("rondo-faults: {what}");
            ExitCode::from(70)
        }
    }
}
