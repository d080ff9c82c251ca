//! A node that has lost something says what, answers neither "absent" nor old, and waits for an operator.

mod support;

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use support::{TestCluster, eventually, http_get, rondo};

const DONE: i32 = 0;
const NOT_FOUND: i32 = 1;
const BAD_INPUT: i32 = 2;
const REFUSED: i32 = 3;

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(DONE), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn code_of_get(cluster: &TestCluster, key: &str) -> Option<i32> {
    cluster.rondo(&["get", key]).status.code()
}

/// Flips a bit of the value of `key` in the log of a stopped node.
fn rot(cluster: &TestCluster, key: &str) {
    let wal = cluster.directory.path().join("n0/layout-0001/shard-000/wal");
    let value = format!("value of {key}!");
    for file in std::fs::read_dir(wal).expect("a log").map(|file| file.expect("a segment").path()) {
        let mut bytes = std::fs::read(&file).expect("readable");
        if let Some(at) = bytes.windows(value.len()).position(|window| window == value.as_bytes()) {
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).expect("writable");
            return;
        }
    }
    panic!("{value} is not in the log");
}

#[test]
fn a_loss_is_told_exactly_and_stays_until_it_is_accepted() {
    let mut cluster = TestCluster::start(1, 1);
    let data = cluster.directory.path().join("n0").display().to_string();
    for key in 0..40 {
        let output = cluster.rondo(&["put", &format!("k{key}"), &format!("value of k{key}!")]);
        assert_eq!(output.status.code(), Some(DONE));
    }
    let incarnation = |data: &str| json(&rondo(&["engine", "show", "--data", data, "--json"]))["incarnation"].clone();
    let before = incarnation(&data);
    cluster.node(0).kill();
    rot(&cluster, "k17");
    cluster.node(0).restart();

    // The one key is neither absent nor there; all others are.
    assert_eq!(code_of_get(&cluster, "k17"), Some(REFUSED));
    for key in [0, 16, 18, 39] {
        assert_eq!(code_of_get(&cluster, &format!("k{key}")), Some(DONE), "k{key}");
    }
    assert_ne!(incarnation(&data), before);
    let admin = cluster.node(0).admin;
    let is_told = eventually(|| {
        let status: Value = serde_json::from_str(&http_get(admin, "/status").expect("it answers").1).expect("JSON");
        status["shards"][0]["wounds"] == serde_json::json!({ "wounds": 1, "vnodes": 1 })
    });
    assert!(is_told, "{:?}", http_get(admin, "/status"));
    let (_, metrics) = http_get(cluster.node(0).admin, "/metrics").expect("it answers");
    assert!(metrics.contains("rondo_wounds{core=\"0\"} 1") && metrics.contains("rondo_wounded_vnodes{core=\"0\"} 1"));
    assert!(cluster.node(0).log().contains("see rondo damage list"), "{}", cluster.node(0).log());

    let said = json(&rondo(&["damage", "list", "--data", &data, "--json"]));
    let wounds = said["shards"][0]["wounds"].as_array().expect("a list");
    let [wound] = wounds.as_slice() else { panic!("one wound, not {wounds:?}") };
    assert_eq!((&wound["keys"], &wound["cause"]), (&Value::from(1), &Value::from("log-rot")));
    assert_eq!(wound["vnodes"].as_array().map(Vec::len), Some(1));
    assert!(said["set_aside"].as_array().is_some_and(|aside| !aside.is_empty()), "the segment was set aside: {said}");

    let accept = ["damage", "accept", "--data", data.as_str(), "--json"];
    assert_eq!(rondo(&accept).status.code(), Some(REFUSED), "a node runs");
    cluster.node(0).signal(Signal::TERM);
    cluster.node(0).wait();
    assert_eq!(rondo(&accept).status.code(), Some(BAD_INPUT), "nobody has said yes");
    cluster.node(0).restart();
    assert_eq!(code_of_get(&cluster, "k17"), Some(REFUSED), "the loss stays over restarts");
    cluster.node(0).signal(Signal::TERM);
    cluster.node(0).wait();
    let said = json(&rondo(&[&accept[..], &["--yes"]].concat()));
    assert_eq!(said["accepted"][0]["wounds"].as_array().map(Vec::len), Some(1));
    cluster.node(0).restart();
    assert_eq!(code_of_get(&cluster, "k17"), Some(NOT_FOUND));
    assert_eq!(code_of_get(&cluster, "k18"), Some(DONE));
    let said = rondo(&["damage", "list", "--data", &data]);
    assert!(String::from_utf8_lossy(&said.stdout).starts_with("nothing is missing"));
}
