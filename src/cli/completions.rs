//! `rondo completions`: what a shell needs to complete our command line.

use std::io::Write;

use clap_complete::Shell;

use super::exit::{Exit, Outcome};

/// `rondo completions`.
#[derive(clap::Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn print(arguments: &CompletionsArguments, command: &mut clap::Command) -> Outcome {
    // Into memory first: the generator panics when its output goes away.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "rondo", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}
