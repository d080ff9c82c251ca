//! One file a command.

pub mod child;
pub mod damage;
pub mod matrix;
pub mod planted;
pub mod power_cuts;
pub mod worker;

use rondo_storage::Engine;
use std::path::PathBuf;

/// Which engines an experiment is made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Engines {
    /// sled alone.
    Sled,
    /// The LSM tree alone.
    Lsm,
    /// One after the other.
    Both,
}

impl Engines {
    /// The engines.
    pub fn list(self) -> Vec<Engine> {
        match self {
            Engines::Sled => vec![Engine::Sled],
            Engines::Lsm => vec![Engine::Lsm],
            Engines::Both => Engine::ALL.to_vec(),
        }
    }
}

/// This program, to be run again as a child.
pub fn this_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))
}
