//! Chores of the project: `cargo xtask ci` is everything a change must pass, `cargo xtask bench` the figures.

mod bench;
mod ci;
mod echo;
mod proc;
mod servers;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Chores of the rondo project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every check that a change must pass; the last line counts the tests.
    Ci(ci::CiOptions),
    /// Measure CPU per operation, latency and memory of the shipped binary, beside a plain TCP echo in the same run.
    Bench(bench::BenchOptions),
    /// Measure the storage: durable puts of both engines beside plain sled and fjall, reads during checkpoints, recovery.
    BenchStorage(bench::storage::StorageOptions),
    /// The echo server that the benchmark measures beside rondo (started by it).
    #[command(hide = true)]
    EchoServer {
        /// Bytes of each request.
        #[arg(long)]
        request_bytes: usize,
        /// Bytes of each answer.
        #[arg(long)]
        reply_bytes: usize,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().chore {
        Chore::Ci(options) => ci::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::BenchStorage(options) => bench::storage::run(&options),
        Chore::EchoServer { request_bytes, reply_bytes } => echo::serve(request_bytes, reply_bytes),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
