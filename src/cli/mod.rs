//! The command line: what `rondo` can be told, and which file does it.

pub(crate) mod backup;
pub(crate) mod batch;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod damage;
pub(crate) mod data;
pub(crate) mod engine;
pub(crate) mod exit;
pub(crate) mod files;
mod jobs;
pub(crate) mod ping;
mod restore;
pub(crate) mod scrub;
pub(crate) mod steps;
pub(crate) mod target;
pub(crate) mod text;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::ServeFlags;
use crate::dev::DevArguments;
use exit::Outcome;

/// A leaderless, thread-per-core key-value store.
#[derive(Parser, Debug)]
#[command(name = "rondo", version, max_term_width = 110, after_help = EXIT_CODES)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 not found · 2 bad usage or input · 3 refused, nothing happened · 4 unknown, \
a write may have happened · 5 done, and damage was found · 78 bad configuration or machine not fit · 75 stopped before all requests were answered";

const SERVE_HELP: &str = "Examples:
  rondo serve --data ./data
  rondo serve --config /etc/rondo/rondo.toml --log debug
  rondo serve --data ./n1 --name n1 --nodes n1=127.0.0.1:7601@a,n2=127.0.0.1:7611@b,n3=127.0.0.1:7621@c

SIGTERM and SIGINT drain: nothing acknowledged is lost, requests in flight are answered. A second signal ends at once.";

const PUT_HELP: &str = "Examples:
  rondo put greeting 'hello'
  rondo put photo @cat.jpg --w all
  date | rondo put now -
  rondo put carts:7 'milk, bread' --keyspace carts --context AQ…";

const GET_HELP: &str = "Examples:
  rondo get greeting
  rondo get photo --r one > cat.jpg
  rondo get carts:7 --keyspace carts --json

The value goes to standard output as it is. Several siblings are set apart by lines `--- sibling 1 of 2, 5 bytes`.";

const DELETE_HELP: &str = "Examples:
  rondo delete greeting
  rondo delete 00ff --key-hex --w quorum";

const BATCH_HELP: &str = r#"Examples:
  rondo batch operations.jsonl > results.jsonl
  printf '%s\n' '{"op":"put","key":"a","value":"1"}' '{"op":"get","key":"a"}' | rondo batch -

Input: {"op":"put"|"get"|"delete", "key"|"key_base64":…, "value"|"value_base64":…, "context":…}, one object a line.
Output: one object a line in the same order, with "result": stored, deleted, found, not_found, refused, unknown or
bad_input. A file means the same as its lines one after the other. The exit code is the largest of its lines'."#;

const STATUS_HELP: &str = "Examples:
  rondo status
  rondo status --admin 127.0.0.1:7602 --json";

const RING_HELP: &str = "Example:
  rondo ring --addr 127.0.0.1:7610";

const PING_HELP: &str = "Example:
  rondo ping --addr 127.0.0.1:7600,127.0.0.1:7610";

const SCRUB_HELP: &str = "Example:
  rondo scrub --admin 127.0.0.1:7602 --share 100

Ends with 0 if everything is as it was written, with 5 if not: the damaged places are listed.";

const COMPLETIONS_HELP: &str = "Example:
  rondo completions bash > ~/.local/share/bash-completion/completions/rondo";

/// What to do.
#[derive(Subcommand, Debug)]
enum Command {
    /// Run a node
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeFlags>),
    /// Run a cluster on this machine to try things out
    #[command(after_help = crate::dev::HELP)]
    Dev(DevArguments),
    /// Store a value
    #[command(after_help = PUT_HELP)]
    Put(data::PutArguments),
    /// Read a value
    #[command(after_help = GET_HELP)]
    Get(data::GetArguments),
    /// Delete a key
    #[command(after_help = DELETE_HELP)]
    Delete(data::DeleteArguments),
    /// Do many operations, JSON lines in and out
    #[command(after_help = BATCH_HELP)]
    Batch(batch::BatchArguments),
    /// Show which nodes are there, or one node in detail
    #[command(after_help = STATUS_HELP)]
    Status(cluster::StatusArguments),
    /// Show who owns how much of the ring
    #[command(after_help = RING_HELP)]
    Ring(cluster::RingArguments),
    /// Measure the time to nodes and back
    #[command(after_help = PING_HELP)]
    Ping(ping::PingArguments),
    /// Make, list, verify and restore backups
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Have a running node check everything that it stores
    #[command(after_help = SCRUB_HELP)]
    Scrub(scrub::ScrubArguments),
    /// Convert a stopped node's directory to another engine, or show what it has
    #[command(subcommand)]
    Engine(engine::EngineCommand),
    /// List what a node has lost, or accept it
    #[command(subcommand)]
    Damage(damage::DamageCommand),
    /// Check a configuration file
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print shell completions
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(completions::CompletionsArguments),
}

/// Reads the command line, does what it says, and tells how that ended.
pub(crate) fn run() -> ExitCode {
    let outcome = perform(CommandLine::parse().command);
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                data::eprint_line(&format!("rondo: {}", failure.message));
            }
            failure.exit.into()
        }
    }
}

fn perform(command: Command) -> Outcome {
    match command {
        Command::Serve(flags) => crate::boot::serve(&flags),
        Command::Dev(arguments) => crate::dev::run(&arguments),
        Command::Put(arguments) => data::put(arguments),
        Command::Get(arguments) => data::get(arguments),
        Command::Delete(arguments) => data::delete(arguments),
        Command::Batch(arguments) => batch::batch(arguments),
        Command::Status(arguments) => cluster::status(arguments),
        Command::Ring(arguments) => cluster::ring(arguments),
        Command::Ping(arguments) => ping::ping(arguments),
        Command::Backup(command) => backup::run(command),
        Command::Scrub(arguments) => scrub::scrub(&arguments),
        Command::Engine(command) => engine::run(command),
        Command::Damage(command) => damage::run(command),
        Command::Config(command) => config::run(command),
        Command::Completions(arguments) => completions::print(&arguments, &mut CommandLine::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        CommandLine::command().debug_assert();
    }
}
