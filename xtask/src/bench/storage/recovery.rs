//! A node that was killed with a gigabyte in log and store: what it takes up, and when it is ready again.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::{StorageOptions, VALUE_BYTES, cluster_of, loadgen, metric, number, release};
use crate::bench::say;
use crate::proc::resident_bytes;
use crate::servers::Cluster;

/// A gigabyte in log and store, `kill -9`, and the time until the node is ready again.
pub fn measure(options: &StorageOptions, engine: &str) -> Result<(), String> {
    let mut cluster = cluster_of(engine)?;
    let keys = options.recovery_keys();
    say(&format!("recovery of {keys} keys on {engine}"));
    let addresses = cluster.addresses();
    let filled = loadgen(&["load", "--addr", &addresses, "--keys", &keys.to_string(), "--quiet"])?
        .args(["--connections", "16", "--depth", "16", "--retry-for", "120s"])
        .stdout(Stdio::null())
        .status();
    if !filled.is_ok_and(|status| status.success()) {
        return Err("the keys could not be written".to_owned());
    }
    let resident = resident_bytes(cluster.nodes[0].pid())?;
    let stalls = metric(&cluster, "rondo_core_storage_stalls_total{core=\"0\"}");
    cluster.kill(0);
    let alone = if engine == "sled" { Some(sled_opens_in(&cluster)?) } else { None };
    let took = cluster.restart_killed(0)?;
    let again = cluster.restart_killed(0)?;
    let payload = (keys * VALUE_BYTES) as f64;
    println!(
        "\n{engine}, {keys} keys of 1 KB: {:.2} x their bytes on disk, {:.2} x resident; stalls by the storage above 1 ms while they were written as fast as it goes: {stalls:.0}; ready {:.2} s after kill -9, {:.2} s after another one",
        disk_bytes(&cluster)? as f64 / payload,
        resident as f64 / payload,
        took.as_secs_f64(),
        again.as_secs_f64(),
    );
    if let Some(seconds) = alone {
        println!("Plain sled opens a copy of that store in {seconds:.2} s: so much of it is sled reading its own log.");
    }
    Ok(())
}

/// Seconds that sled alone takes to open a copy of the store that the killed node has left, with all of it in the page cache.
fn sled_opens_in(cluster: &Cluster) -> Result<f64, String> {
    let (store, copy) = (cluster.directory.join("n0/layout-0001/shard-000/sled-0001"), cluster.directory.join("copy"));
    let copied = Command::new("cp").arg("-r").args([&store, &copy]).status();
    // What was copied is not to be written while the time is taken.
    let synced = Command::new("sync").status();
    if !copied.is_ok_and(|status| status.success()) || !synced.is_ok_and(|status| status.success()) {
        return Err(format!("{} cannot be copied", store.display()));
    }
    let output = Command::new(release("examples").join("plain"))
        .arg("open-sled")
        .arg(&copy)
        .output()
        .map_err(|error| format!("cannot start the plain engine: {error}"))?;
    let _ = std::fs::remove_dir_all(&copy);
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("plain sled: {error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(number(&answer, "seconds"))
}

/// Blocks in use below the data directory, in bytes: preallocated log is not counted until it is written.
fn disk_bytes(cluster: &Cluster) -> Result<u64, String> {
    let output = Command::new("du")
        .args(["-s", "--block-size=1"])
        .arg(cluster.directory.join("n0"))
        .output()
        .map_err(|error| format!("cannot start du: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).ok_or_else(|| format!("du said {text:?}"))
}
