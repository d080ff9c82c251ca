//! What the storage costs: a node of one shard on each engine, beside plain sled and plain fjall in the same minutes.
//!
//! Rates depend on the disk and on the neighbours; so each row stands beside plain sled's of the same run, and the ratio is
//! the figure to quote. The node pays for network, protocol and versions as well, the plain engines for none of it. What no
//! node could be faster than is measured too: the disk alone, and a request that asks no disk.

mod durable;
mod recovery;

use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::rondo::{cluster_with, release};
use super::say;
use crate::proc::{cpu_seconds, written_bytes};
use crate::servers::{Cluster, http_get};

const ENGINES: [&str; 2] = ["sled", "lsm"];
const VALUE_BYTES: u64 = 1024;
/// Keys that are read while others are written.
const HOT_KEYS: &str = "10000";
/// So many that every put is of a key of its own.
const MANY_KEYS: &str = "1000000000";
/// New keys a second, written while the hot ones are read: enough for a checkpoint every few seconds.
const BACKGROUND_PUTS: &str = "4000";

/// Options of `cargo xtask bench-storage`.
#[derive(Args)]
pub struct StorageOptions {
    /// A tenth of the time and data: enough to see that all works, too little to quote.
    #[arg(long)]
    quick: bool,
    /// How often each case of the durable puts is measured, in turns with the others; the table has the medians.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

impl StorageOptions {
    fn seconds(&self) -> u64 {
        if self.quick { 2 } else { 10 }
    }

    fn recovery_keys(&self) -> u64 {
        if self.quick { 100_000 } else { 1_000_000 }
    }
}

/// Builds the release binaries, measures, prints Markdown tables.
pub fn run(options: &StorageOptions) -> Result<(), String> {
    build()?;
    durable::measure(options)?;
    for engine in ENGINES {
        quiet_puts(options, engine)?;
    }
    for engine in ENGINES {
        reads_beside_checkpoints(options, engine)?;
    }
    for engine in ENGINES {
        recovery::measure(options, engine)?;
    }
    Ok(())
}

fn build() -> Result<(), String> {
    super::build()?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "rondo-storage", "--example", "plain"])
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the plain engines do not build".to_owned()) }
}

/// Few puts: what one durable put costs when nothing can be shared.
fn quiet_puts(options: &StorageOptions, engine: &str) -> Result<(), String> {
    let cluster = cluster_of(engine)?;
    let idle = idle_share(&cluster)?;
    let before = written_bytes(cluster.nodes[0].pid())?;
    let result = load(&cluster, options, &["--reads", "0", "--keys", MANY_KEYS, "--rate", "100"], 1)?;
    let bytes = written_bytes(cluster.nodes[0].pid())?.saturating_sub(before) as f64;
    let puts = metric(&cluster, "rondo_requests_total{core=\"0\",kind=\"put\"}").max(1.0);
    println!(
        "\n{engine}, 100 puts/s: {:.0} device bytes a put of {VALUE_BYTES} bytes, p50 {:.2} ms, p99.9 {:.2} ms; with nothing to do {:.1} % of a core",
        bytes / puts,
        number(&result["put"], "p50_micros") / 1e3,
        number(&result["put"], "p99.9_micros") / 1e3,
        100.0 * idle,
    );
    Ok(())
}

/// Share of a core that a node takes that nobody asks anything.
fn idle_share(cluster: &Cluster) -> Result<f64, String> {
    let (pid, seconds) = (cluster.nodes[0].pid(), 5);
    let before = cpu_seconds(pid)?;
    std::thread::sleep(Duration::from_secs(seconds));
    Ok((cpu_seconds(pid)? - before) / seconds as f64)
}

/// Cached gets on a quiet store, then while new keys are written fast enough for checkpoints (and compactions) all the time.
fn reads_beside_checkpoints(options: &StorageOptions, engine: &str) -> Result<(), String> {
    let cluster = cluster_of(engine)?;
    let addresses = cluster.addresses();
    fill_hot_keys(&cluster)?;
    let reads = ["--reads", "1", "--keys", HOT_KEYS, "--rate", "5000"];
    let idle = load(&cluster, options, &reads, 16)?;
    let seconds = format!("{}s", options.seconds() + 4);
    let mut writer = loadgen(&["run", "--addr", &addresses, "--reads", "0", "--keys", MANY_KEYS, "--prefix", "new-"])?
        .args(["--rate", BACKGROUND_PUTS, "--duration", &seconds, "--connections", "16", "--quiet", "--json", "-"])
        .args(["-n", "1", "-w", "one"])
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start rondo-loadgen: {error}"))?;
    let busy = load(&cluster, options, &reads, 16);
    let _ = writer.wait();
    let busy = busy?;
    let tail = |result: &Value| number(&result["get"], "p99.9_micros");
    println!(
        "\n{engine}, cached gets at 5,000/s: p99.9 {:.2} ms idle, {:.2} ms beside {BACKGROUND_PUTS} puts/s with {:.0} checkpoints (x {:.1}); turns above 1 ms: {:.0}, of them at work all the time: {:.0}; stalls by the storage above 1 ms: {:.0}",
        tail(&idle) / 1e3,
        tail(&busy) / 1e3,
        metric(&cluster, "rondo_checkpoints_total{core=\"0\"}"),
        tail(&busy) / tail(&idle).max(1.0),
        metric(&cluster, "rondo_core_long_turns_total{core=\"0\"}"),
        metric(&cluster, "rondo_core_busy_turns_total{core=\"0\"}"),
        metric(&cluster, "rondo_core_storage_stalls_total{core=\"0\"}"),
    );
    Ok(())
}

fn fill_hot_keys(cluster: &Cluster) -> Result<(), String> {
    let filled = loadgen(&["load", "--addr", &cluster.addresses(), "--keys", HOT_KEYS, "--quiet"])?
        .stdout(Stdio::null())
        .status();
    if filled.is_ok_and(|status| status.success()) {
        Ok(())
    } else {
        Err("the hot keys could not be written".to_owned())
    }
}

fn cluster_of(engine: &str) -> Result<Cluster, String> {
    cluster_with(1, 1, &["--engine", engine])
}

fn plain(engine: &str, writers: usize, options: &StorageOptions) -> Result<Value, String> {
    say(&format!("plain {engine}, {writers} writers"));
    let directory = std::env::temp_dir().join(format!("rondo-bench-plain-{}", std::process::id()));
    let output = Command::new(release("examples").join("plain"))
        .args([engine, &writers.to_string(), &options.seconds().to_string()])
        .arg(&directory)
        .output()
        .map_err(|error| format!("cannot start the plain engine: {error}"))?;
    let _ = std::fs::remove_dir_all(&directory);
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("plain {engine}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn loadgen(arguments: &[&str]) -> Result<Command, String> {
    let mut command = Command::new(release("rondo-loadgen"));
    command.args(arguments);
    Ok(command)
}

/// One load on the node, `connections` of depth 1 unless a rate is given.
fn load(cluster: &Cluster, options: &StorageOptions, what: &[&str], connections: usize) -> Result<Value, String> {
    say(&format!("{} with {connections} connections", what.join(" ")));
    let depth = if what.contains(&"--rate") { "16" } else { "1" };
    let output = loadgen(&["run", "--addr", &cluster.addresses(), "--quiet", "--json", "-"])?
        .args(what)
        .args(["--connections", &connections.to_string(), "--depth", depth, "--warmup", "1s"])
        .args(["--duration", &format!("{}s", options.seconds()), "--value-size", &VALUE_BYTES.to_string()])
        .args(["-n", "1", "-r", "one", "-w", "one", "--server-pid", &cluster.nodes[0].pid().to_string()])
        .output()
        .map_err(|error| format!("cannot start rondo-loadgen: {error}"))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("rondo-loadgen: {error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or(f64::NAN)
}

/// A series of the node's `/metrics`; not a number if it is not there.
fn metric(cluster: &Cluster, series: &str) -> f64 {
    // Shards report four times a second.
    std::thread::sleep(Duration::from_millis(500));
    let answer = http_get(cluster.admin(0), "/metrics").unwrap_or_default();
    let line = answer.lines().find_map(|line| line.strip_prefix(series));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
}
