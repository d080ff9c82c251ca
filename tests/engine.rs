//! A stopped node's directory goes from one engine to the other, whatever interrupts it.

mod support;

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{TestCluster, eventually, rondo};

const KEYS: usize = 2000;
const DONE: i32 = 0;
const BAD_INPUT: i32 = 2;
const REFUSED: i32 = 3;
const CONFIG: i32 = 78;

fn value_of(key: usize) -> String {
    format!("value of {key} ").repeat(30 + key % 100)
}

/// Sends one operation for each key; the answers, in the same order.
fn batch(cluster: &TestCluster, operation: impl Fn(usize) -> Value) -> Vec<Value> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    (0..KEYS).for_each(|key| writeln!(file, "{}", operation(key)).expect("written"));
    let path = file.path().display().to_string();
    let output = rondo(&["batch", &path, "--addr", &cluster.addresses().join(",")]);
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn fill(cluster: &TestCluster) {
    let answers = batch(cluster, |key| json!({ "op": "put", "key": format!("k{key}"), "value": value_of(key) }));
    assert!(answers.iter().all(|answer| answer["result"] == "stored"));
}

fn check(cluster: &TestCluster) {
    let answers = batch(cluster, |key| json!({ "op": "get", "key": format!("k{key}") }));
    assert_eq!(answers.len(), KEYS);
    for (key, answer) in answers.iter().enumerate() {
        assert_eq!(answer["values"][0]["value"], value_of(key), "key {key}");
    }
}

/// What a command says on standard error, having ended with `exit`.
fn refusal(output: &Output, exit: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{said}");
    said
}

fn migrate(data: &str, to: &str) -> Output {
    rondo(&["engine", "migrate", "--data", data, "--to", to, "--json"])
}

fn show(data: &str) -> Value {
    let output = rondo(&["engine", "show", "--data", data, "--json"]);
    assert_eq!(output.status.code(), Some(DONE), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn data_of(cluster: &TestCluster) -> String {
    cluster.directory.path().join("n0").display().to_string()
}

#[test]
fn a_directory_is_converted_and_the_node_goes_on_as_it_was() {
    let mut cluster = TestCluster::start(1, 2);
    let data = data_of(&cluster);
    fill(&cluster);
    let said = refusal(&migrate(&data, "lsm"), REFUSED);
    assert!(said.contains("in use by another process") && said.contains("stop that node first"), "{said}");
    cluster.node(0).signal(Signal::TERM);
    assert!(cluster.node(0).wait().success());
    let before = show(&data);
    assert_eq!((&before["engine"], &before["is_clean"]), (&json!("sled"), &json!(true)));
    assert!(before["shards"].as_array().is_some_and(|shards| shards.len() == 2));

    let said = refusal(&migrate(&data, "rocks"), BAD_INPUT);
    assert!(said.contains("no engine is called \"rocks\""), "{said}");
    let said = refusal(&migrate(&data, "sled"), REFUSED);
    assert!(said.contains("in sled already"), "{said}");
    cluster.node(0).set("--engine", "lsm");
    cluster.node(0).launch();
    assert_eq!(cluster.node(0).wait().code(), Some(CONFIG));
    assert!(cluster.node(0).log().contains("rondo engine migrate --data DIR --to lsm"), "{}", cluster.node(0).log());

    let output = migrate(&data, "lsm");
    assert_eq!(output.status.code(), Some(DONE), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["objects"], &report["to"], &report["wounds"]), (&json!(KEYS), &json!("lsm"), &json!(0)));
    let after = show(&data);
    assert_eq!((&after["engine"], &after["is_clean"]), (&json!("lsm"), &json!(true)));
    assert_eq!(after["incarnation"], before["incarnation"]);
    cluster.node(0).restart();
    check(&cluster);
    assert_eq!(show(&data)["incarnation"], before["incarnation"], "nothing was lost");
}

fn start_migration(data: &str, to: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rondo"))
        .args(["engine", "migrate", "--data", data, "--to", to])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the rondo binary starts")
}

#[test]
fn a_conversion_that_is_killed_leaves_the_old_engine_and_the_next_call_ends_it() {
    let mut cluster = TestCluster::start(1, 2);
    let data = data_of(&cluster);
    fill(&cluster);
    cluster.node(0).kill();
    let layout = |number: u64| cluster.directory.path().join(format!("n0/layout-{number:04}"));
    let mut kills = 0;
    for round in 0.. {
        let now = show(&data);
        let (engine, number) =
            (now["engine"].as_str().expect("text").to_owned(), now["layout"].as_u64().expect("number"));
        let to = if engine == "sled" { "lsm" } else { "sled" };
        if kills == 4 && to == "sled" {
            break;
        }
        assert!(round < 60, "only {kills} conversions could be killed");
        let mut child = start_migration(&data, to);
        let next = layout(number + 1).join(format!("shard-00{}", round % 2));
        let ended = |child: &mut Child| child.try_wait().expect("our own child").is_some();
        assert!(eventually(|| next.join(format!("{to}-0001")).exists() || ended(&mut child)));
        if kills < 4 {
            // A little further each time.
            let patience = std::time::Duration::from_millis(15 * round);
            std::thread::park_timeout(patience);
            kills += usize::from(!ended(&mut child));
            child.kill().expect("our own child");
        }
        child.wait().expect("our own child");
    }
    cluster.node(0).set("--engine", "lsm");
    cluster.node(0).restart();
    check(&cluster);
}

#[test]
fn ctrl_c_ends_a_conversion_with_nothing_changed() {
    let mut cluster = TestCluster::start(1, 1);
    let data = data_of(&cluster);
    fill(&cluster);
    cluster.node(0).signal(Signal::TERM);
    cluster.node(0).wait();
    let mut child = start_migration(&data, "lsm");
    let half = cluster.directory.path().join("n0/layout-0002");
    let ended = |child: &mut Child| child.try_wait().expect("our own child").is_some();
    assert!(eventually(|| half.exists() || ended(&mut child)));
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("not zero");
    // It may have ended a moment ago; then there is nothing to interrupt.
    let _ = rustix::process::kill_process(pid, Signal::INT);
    let status = child.wait().expect("our own child");
    let now = show(&data);
    if status.code() == Some(130) {
        assert_eq!((&now["engine"], &now["is_clean"]), (&json!("sled"), &json!(true)));
        assert!(!half.exists());
    } else {
        assert_eq!((status.code(), &now["engine"]), (Some(DONE), &json!("lsm")));
    }
}

#[test]
fn what_is_no_data_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("file"), "text").expect("written");
    std::os::unix::fs::symlink("/nowhere/at/all", path("link")).expect("a link");
    std::fs::create_dir(path("empty")).expect("made");
    let cases = [
        ("absent", "is not there"),
        ("file", "is not a directory"),
        ("link", "is a link to /nowhere"),
        ("empty", "is empty"),
    ];
    for (name, words) in cases {
        for command in [&["engine", "migrate", "--to", "lsm", "--data"][..], &["engine", "show", "--data"]] {
            let said = refusal(&rondo(&[command, &[&path(name)]].concat()), REFUSED);
            assert!(said.contains(words), "{name}: {said}");
        }
    }
}
