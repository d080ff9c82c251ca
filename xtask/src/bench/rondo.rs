//! The cases of rondo itself: a load generator beside a node of one shard, and beside three.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::report::{Figure, Report};
use super::{BenchOptions, CONNECTIONS, DEPTHS, VALUE_BYTES, say};
use crate::servers::Cluster;

/// Few enough keys that all of them are cached and a checkpoint sees each once.
const HOT_KEYS: u64 = 10_000;
/// So many that nearly every put is of a key of its own.
const MANY_KEYS: u64 = 100_000_000;

/// One case: what the load generator is told, and what the budget says.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    read_share: &'static str,
    keys: u64,
    level: &'static str,
    replicas: &'static str,
    depth: usize,
    connections: usize,
    budget_micros: Option<f64>,
}

/// A fresh cluster of the release binary in a temporary directory.
pub fn cluster(nodes: usize, shards: usize) -> Result<Cluster, String> {
    cluster_with(nodes, shards, &[])
}

/// The same, with further flags for each node.
pub fn cluster_with(nodes: usize, shards: usize, flags: &[&str]) -> Result<Cluster, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("rondo-bench-{}-{count}", std::process::id()));
    Cluster::start(&release("rondo"), directory, nodes, shards, flags)
}

/// Cached gets and durable puts on one node of one shard.
pub fn measure_one_node(options: &BenchOptions, report: &mut Report) -> Result<(), String> {
    let cluster = cluster(1, 1)?;
    fill(&cluster)?;
    let get = Case {
        name: "get, cached, R=1",
        read_share: "1",
        keys: HOT_KEYS,
        level: "one",
        replicas: "1",
        depth: 1,
        connections: CONNECTIONS,
        budget_micros: None,
    };
    let put = Case { name: "put, durable, N=1 W=1, 10,000 keys", read_share: "0", ..get };
    let put_many = Case { name: "put, durable, N=1 W=1, every key new", keys: MANY_KEYS, ..put };
    for depth in DEPTHS {
        let budget = if depth == 1 { 16.0 } else { 2.4 };
        measure(&cluster, options, report, &Case { depth, budget_micros: Some(budget), ..get })?;
    }
    measure(&cluster, options, report, &Case { name: "get, cached, R=1, one connection", connections: 1, ..get })?;
    for depth in DEPTHS {
        let budget_micros = (depth == 16).then_some(10.0);
        measure(&cluster, options, report, &Case { depth, budget_micros, ..put })?;
        measure(&cluster, options, report, &Case { depth, budget_micros, ..put_many })?;
    }
    Ok(())
}

/// Quorum gets and puts on three nodes, their CPU added up.
pub fn measure_three_nodes(options: &BenchOptions, report: &mut Report) -> Result<(), String> {
    let cluster = cluster(3, 1)?;
    fill(&cluster)?;
    for depth in DEPTHS {
        let get = Case {
            name: "get, cached, N=3 R=2, three nodes summed",
            read_share: "1",
            keys: HOT_KEYS,
            level: "quorum",
            replicas: "3",
            depth,
            connections: CONNECTIONS,
            budget_micros: None,
        };
        measure(&cluster, options, report, &get)?;
        let put = Case { name: "put, durable, N=3 W=2, three nodes summed", read_share: "0", ..get };
        measure(&cluster, options, report, &put)?;
    }
    Ok(())
}

fn fill(cluster: &Cluster) -> Result<(), String> {
    let output = Command::new(release("rondo-loadgen"))
        .args(["load", "--addr", &cluster.addresses(), "--keys", &HOT_KEYS.to_string()])
        .args(["--value-size", &VALUE_BYTES.to_string()])
        .output()
        .map_err(|error| format!("cannot start rondo-loadgen: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn measure(cluster: &Cluster, options: &BenchOptions, report: &mut Report, case: &Case) -> Result<(), String> {
    say(&format!("{}, depth {}", case.name, case.depth));
    let mut command = Command::new(release("rondo-loadgen"));
    command
        .args(["run", "--addr", &cluster.addresses(), "--threads", "1", "--cpus", "1", "--quiet"])
        .args(["--connections", &case.connections.to_string(), "--depth", &case.depth.to_string()])
        .args(["--reads", case.read_share, "--keys", &case.keys.to_string()])
        .args(["--value-size", &VALUE_BYTES.to_string()])
        .args(["--r", case.level, "--w", case.level, "--n", case.replicas])
        .args(["--duration", &format!("{}s", options.duration().as_secs()), "--warmup", "1s", "--json", "-"])
        .stderr(Stdio::piped());
    for node in &cluster.nodes {
        command.args(["--server-pid", &node.pid().to_string()]);
    }
    let output = command.output().map_err(|error| format!("cannot start rondo-loadgen: {error}"))?;
    if !output.status.success() {
        return Err(format!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr)));
    }
    let result: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("rondo-loadgen's JSON cannot be read: {error}"))?;
    report.add(figure(case, &result)?);
    Ok(())
}

fn figure(case: &Case, result: &Value) -> Result<Figure, String> {
    let latency = if case.read_share == "1" { &result["get"] } else { &result["put"] };
    let cpu_micros = result["server_cpu_micros_per_operation"]
        .as_f64()
        .ok_or_else(|| format!("rondo-loadgen's JSON says nothing of the server's CPU: {result}"))?;
    Ok(Figure {
        case: case.name.to_owned(),
        depth: case.depth,
        cpu_micros,
        operations: latency["done"].as_u64().unwrap_or(0),
        p50_micros: latency["p50_micros"].as_f64(),
        p99_micros: latency["p99_micros"].as_f64(),
        budget_micros: case.budget_micros,
    })
}

/// A release binary of this workspace.
pub fn release(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    target.join("release").join(name)
}
