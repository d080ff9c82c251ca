//! Puts load on a rondo cluster, measures it, and says yes or no.
//!
//! The command line becomes a plan, the plan is handed to threads with an executor each, somebody watches, and the sum
//! becomes a table, JSON, and an exit status: 0 the objectives were met, 1 they were not, 2 the command line (or an address, or a file) was wrong.

mod cli;
mod executor;
mod key_distribution;
mod lane;
mod limits;
mod operation;
mod pacing;
mod plan;
mod random;
mod record;
mod report;
mod routes;
mod server_cpu;
mod slo;
mod tally;
mod value;
mod watch;
mod worker;
mod workload;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use rondo_client::blocking::Client;

use crate::cli::{Cli, ClusterArguments, Command, ValueArguments};
use crate::executor::Threads;
use crate::plan::{Plan, Work};
use crate::record::{Record, RecordFile};
use crate::slo::{Slo, Verdict};
use crate::value::STAMP_BYTES;
use crate::watch::Watch;

/// The exit status where the objectives were met.
const MET: i32 = 0;
const NOT_MET: i32 = 1;
const USAGE: i32 = 2;

fn main() {
    let cli = Cli::parse();
    let status = match perform(cli.command) {
        Ok(true) => MET,
        Ok(false) => NOT_MET,
        Err(error) => {
            eprintln!("rondo-loadgen: {error}");
            USAGE
        }
    };
    // The executors never end by themselves.
    std::process::exit(status);
}

/// True if all is as it should be.
fn perform(command: Command) -> io::Result<bool> {
    // Nanoseconds, so that the sequences of a later run are always larger.
    let base = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    match command {
        Command::Run(arguments) => {
            let record = open_record(&arguments.values)?;
            drive(Plan::of_run(&arguments, base), &arguments.cluster, record, &arguments.slo)
        }
        Command::Load(arguments) => {
            let record = open_record(&arguments.values)?;
            drive(Plan::of_load(&arguments, base), &arguments.cluster, record, &[])
        }
        Command::Verify(arguments) => {
            let record = arguments.record.as_deref().map(read_record).transpose()?;
            drive(Plan::of_verify(&arguments, record), &arguments.cluster, None, &[])
        }
    }
}

fn open_record(values: &ValueArguments) -> io::Result<Option<RecordFile>> {
    let Some(path) = &values.record else { return Ok(None) };
    if values.value_size < STAMP_BYTES {
        return Err(io::Error::other(format!(
            "--record needs values of {STAMP_BYTES} bytes at least, for their stamp"
        )));
    }
    RecordFile::open(path).map(Some).map_err(|error| of_file(path, &error))
}

fn read_record(path: &Path) -> io::Result<Record> {
    Record::read(path).map_err(|error| of_file(path, &error))
}

fn of_file(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn drive(plan: Plan, cluster: &ClusterArguments, record: Option<RecordFile>, slos: &[Slo]) -> io::Result<bool> {
    check(&plan, cluster)?;
    let client = Client::connect(&cluster.addr).map_err(io::Error::other)?;
    let routing = client.routing();
    drop(client);
    if !routing.keyspaces().iter().any(|keyspace| keyspace.name == plan.keyspace) {
        return Err(io::Error::other(format!("the cluster has no keyspace {:?}", plan.keyspace)));
    }
    let plan = Arc::new(plan);
    let threads = Threads::start(&plan, &routing, &cluster.cpus)?;
    let result = Watch::new(&plan, &cluster.server_pid, record, cluster.quiet).follow(&threads)?;
    let verdicts: Vec<Verdict> = slos.iter().map(|slo| slo.judge(&result.measured)).collect();
    publish(&plan, &result, &verdicts, cluster.json.as_deref())?;
    let is_complete = match plan.work {
        Work::Run(_) => true,
        Work::Load { .. } => result.measured.failed_total() == 0,
        Work::Verify { .. } => result.bad_keys.is_empty(),
    };
    Ok(is_complete && verdicts.iter().all(|verdict| verdict.is_met))
}

/// What clap cannot see.
fn check(plan: &Plan, cluster: &ClusterArguments) -> io::Result<()> {
    let longest = format!("{}{:012}", plan.prefix, u64::MAX);
    if rondo_protocol::ring::ObjectKey::new(plan.keyspace.as_bytes(), longest.as_bytes()).is_none() {
        return Err(io::Error::other("the keyspace has 1 to 64 bytes, and prefix and number together at most 4096"));
    }
    if !cluster.cpus.is_empty() && cluster.cpus.len() != plan.threads {
        return Err(io::Error::other("--cpus names as many processors as there are --threads"));
    }
    server_cpu::CpuTime::of(&cluster.server_pid).map(|_| ())
}

/// JSON to the standard output replaces the table, which then goes to the terminal's other stream.
fn publish(plan: &Plan, result: &watch::Result, verdicts: &[Verdict], json: Option<&Path>) -> io::Result<()> {
    let text = report::as_text(plan, result, verdicts);
    let Some(path) = json else { return io::stdout().write_all(text.as_bytes()) };
    let document = format!("{:#}\n", report::as_json(plan, result, verdicts));
    if path == Path::new("-") {
        io::stderr().write_all(text.as_bytes())?;
        return io::stdout().write_all(document.as_bytes());
    }
    io::stdout().write_all(text.as_bytes())?;
    std::fs::write(path, document).map_err(|error| of_file(path, &error))
}
