//! The node and its command line.
//!
//! `rondo serve` is a node: [`config`] says what it was told, [`boot`] starts and stops it in the right order,
//! [`supervisor`] watches it, [`admin`] answers HTTP. `rondo dev` is a cluster of such processes. All other commands are
//! clients ([`cli`]). What a node does with requests is not here but in `rondo-shards` and `rondo-protocol`.

mod admin;
mod boot;
mod cli;
mod config;
mod dev;
mod http;
mod jobs;
mod limits;
mod logging;
mod signals;
mod supervisor;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
