//! The figures: CPU of the server per operation, latency, memory; beside a plain TCP echo, and Redis where there is one.
//!
//! Rates say more about the machine's neighbours than about rondo, so the unit is microseconds of server CPU per operation
//! (all its threads, all its nodes), and each figure is given as a ratio to an echo of the same bytes at the same depth in the same run.

mod memory;
mod report;
mod rondo;
pub mod storage;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;

use crate::echo;
use crate::proc::cpu_seconds;
use crate::servers::Server;
use report::{Figure, Report};

/// Connections of every load.
const CONNECTIONS: usize = 50;
/// Bytes of every value.
const VALUE_BYTES: usize = 1024;
/// Requests that one connection keeps in flight: the two depths of the budgets.
const DEPTHS: [usize; 2] = [1, 16];

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub struct BenchOptions {
    /// A tenth of the time for each case: enough to see that all works, too short to quote.
    #[arg(long)]
    quick: bool,
    /// Write the figures as JSON to this file (`-` for standard output, instead of the table).
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl BenchOptions {
    fn duration(&self) -> Duration {
        if self.quick { Duration::from_secs(1) } else { Duration::from_secs(10) }
    }
}

/// Builds the release binaries, runs every case, prints the report.
pub fn run(options: &BenchOptions) -> Result<(), String> {
    build()?;
    let mut report = Report::default();
    measure_echo(options, &mut report)?;
    measure_redis(options, &mut report)?;
    rondo::measure_one_node(options, &mut report)?;
    rondo::measure_three_nodes(options, &mut report)?;
    memory::measure(options, &mut report)?;
    report.write(options.json.as_deref())
}

fn build() -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    for package in ["rondo", "rondo-loadgen"] {
        let status = Command::new(&cargo)
            .args(["build", "--release", "--quiet", "--package", package])
            .status()
            .map_err(|error| format!("cannot start cargo: {error}"))?;
        if !status.success() {
            return Err(format!("{package} does not build"));
        }
    }
    Ok(())
}

/// The echo moves the bytes of a get: a small request, an answer with a value.
fn measure_echo(options: &BenchOptions, report: &mut Report) -> Result<(), String> {
    let sizes = (64, VALUE_BYTES + 64);
    for depth in DEPTHS {
        say(&format!("echo, depth {depth}"));
        let server = Server::echo(sizes)?;
        let before = cpu_seconds(server.pid())?;
        let answered = echo::load(server.address, CONNECTIONS, depth, sizes, options.duration())?;
        let micros = (cpu_seconds(server.pid())? - before) * 1e6 / answered.max(1) as f64;
        report.add(Figure {
            case: "kernel TCP echo".into(),
            depth,
            cpu_micros: micros,
            operations: answered,
            ..Figure::default()
        });
    }
    Ok(())
}

fn measure_redis(options: &BenchOptions, report: &mut Report) -> Result<(), String> {
    let Some(server) = Server::redis()? else {
        report.note("redis-server is not on this machine; its rows are missing");
        return Ok(());
    };
    let requests: u64 = if options.quick { 50_000 } else { 1_000_000 };
    for (test, case) in [("set", "redis set, in memory"), ("get", "redis get, in memory")] {
        for depth in DEPTHS {
            say(&format!("{case}, depth {depth}"));
            let before = cpu_seconds(server.pid())?;
            let status = Command::new("redis-benchmark")
                .args(["-h", "127.0.0.1", "-p", &server.address.port().to_string(), "-t", test, "-q"])
                .args(["-c", &CONNECTIONS.to_string(), "-P", &depth.to_string(), "-d", &VALUE_BYTES.to_string()])
                .args(["-r", "10000", "-n", &requests.to_string()])
                .stdout(Stdio::null())
                .status()
                .map_err(|error| format!("cannot start redis-benchmark: {error}"))?;
            if !status.success() {
                return Err("redis-benchmark failed".to_owned());
            }
            let micros = (cpu_seconds(server.pid())? - before) * 1e6 / requests as f64;
            report.add(Figure {
                case: case.into(),
                depth,
                cpu_micros: micros,
                operations: requests,
                ..Figure::default()
            });
        }
    }
    server.stop();
    Ok(())
}

/// Progress goes to the terminal, so that `--json -` stays clean.
fn say(what: &str) {
    eprintln!("measuring {what} …");
}
