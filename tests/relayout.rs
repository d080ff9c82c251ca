//! A node starts with another number of shards, and is killed while it moves its vnodes.

mod support;

use std::io::Write;

use serde_json::{Value, json};
use support::{TestCluster, TestNode, eventually, http_get, rondo};

const KEYS: usize = 3000;
/// Kills in the middle of a move that the test waits for.
const KILLS: usize = 4;
/// Starts after which it gives up waiting for them.
const STARTS_MAX: usize = 60;

fn value_of(key: usize, version: usize) -> String {
    format!("{version} of {key} ").repeat(40 + key % 100)
}

/// Sends one operation for each of `keys`; the answers, in the same order.
fn batch(cluster: &TestCluster, operations: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    operations.for_each(|operation| writeln!(file, "{operation}").expect("written"));
    let path = file.path().display().to_string();
    let output = rondo(&["batch", &path, "--addr", &cluster.addresses().join(",")]);
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn put(cluster: &TestCluster, keys: core::ops::Range<usize>, version: usize) {
    let puts = keys.map(|key| json!({ "op": "put", "key": format!("k{key}"), "value": value_of(key, version) }));
    for answer in batch(cluster, puts) {
        assert_eq!(answer["result"], "stored", "{answer}");
    }
}

fn delete(cluster: &TestCluster, keys: core::ops::Range<usize>) {
    for answer in batch(cluster, keys.map(|key| json!({ "op": "delete", "key": format!("k{key}") }))) {
        assert_eq!(answer["result"], "deleted", "{answer}");
    }
}

/// The first hundred keys were deleted, the second half written a second time.
fn check(cluster: &TestCluster) {
    let answers = batch(cluster, (0..KEYS).map(|key| json!({ "op": "get", "key": format!("k{key}") })));
    assert_eq!(answers.len(), KEYS);
    for (key, answer) in answers.iter().enumerate() {
        if key < 100 {
            assert_eq!(answer["result"], "not_found", "{answer}");
        } else {
            let version = if key < KEYS / 2 { 1 } else { 2 };
            assert_eq!(answer["values"][0]["value"], value_of(key, version), "key {key}");
        }
    }
}

/// Waits until the node says that it has moved `permille` of the vnodes, or is ready; false if it was ready first.
fn wait_for_move(node: &TestNode, percent: usize) -> bool {
    let mut is_moving = false;
    let seen = eventually(|| {
        let Some((status, body)) = http_get(node.admin, "/health/ready") else { return false };
        let moved = body.split_once("shards: ").and_then(|(_, rest)| rest.split_once(" %"));
        is_moving = moved.is_some_and(|(moved, _)| moved.parse::<usize>().is_ok_and(|moved| moved >= percent));
        is_moving || status == 200
    });
    assert!(seen, "the node neither moves nor serves; its log:\n{}", node.log());
    is_moving
}

#[test]
fn killed_again_and_again_while_its_vnodes_move_a_node_on_sled_still_has_everything() {
    kill_while_moving("sled");
}

#[test]
fn killed_again_and_again_while_its_vnodes_move_a_node_on_an_lsm_still_has_everything() {
    kill_while_moving("lsm");
}

fn kill_while_moving(engine: &str) {
    let mut cluster = TestCluster::lay_out(1, 2);
    cluster.node(0).set("--engine", engine);
    cluster.node(0).restart();
    put(&cluster, 0..KEYS, 1);
    put(&cluster, KEYS / 2..KEYS, 2);
    delete(&cluster, 0..100);
    cluster.node(0).kill();
    let mut kills = 0;
    for start in 0.. {
        if kills == KILLS {
            break;
        }
        assert!(start < STARTS_MAX, "only {kills} of {start} starts could be killed while they moved");
        let node = cluster.node(0);
        // Whoever finished a move goes back.
        node.set_shards(1 + start % 2);
        node.launch();
        kills += usize::from(wait_for_move(node, start * 17 % 90));
        node.kill();
    }
    for shards in [1, 2] {
        let node = cluster.node(0);
        node.set_shards(shards);
        node.restart();
        assert!(node.log().contains("moved all vnodes"), "{}", node.log());
        check(&cluster);
        cluster.node(0).kill();
    }
}
