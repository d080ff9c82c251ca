//! `rondo config check`: says whether a node would take a file, without starting one.

use std::io::Write;
use std::path::PathBuf;

use super::exit::{Exit, Outcome};
use crate::config::{ServeFlags, Settings};

/// `rondo config`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with a configuration file, or print what it means
    #[command(after_help = "Example:\n  rondo config check docs/rondo.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
}

/// Checks a file; what it means goes to standard output.
pub(crate) fn run(command: ConfigCommand) -> Outcome {
    let ConfigCommand::Check { file } = command;
    let settings = Settings::load(&ServeFlags { config: Some(file), ..ServeFlags::default() })?;
    std::io::stdout().write_all(settings.to_toml().as_bytes())?;
    Ok(Exit::Done)
}
