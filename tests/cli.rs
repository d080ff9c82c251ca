//! The command line against real nodes: what it prints, and how it ends.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{TestCluster, rondo};

const DONE: i32 = 0;
const NOT_FOUND: i32 = 1;
const BAD_INPUT: i32 = 2;
const REFUSED: i32 = 3;
const CONFIG: i32 = 78;

/// Runs a client command against the cluster, expects this exit code, and gives standard output.
fn check(cluster: &TestCluster, arguments: &[&str], exit: i32) -> Vec<u8> {
    let output = cluster.rondo(arguments);
    assert_exit(&output, arguments, exit);
    output.stdout
}

fn assert_exit(output: &Output, arguments: &[&str], exit: i32) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {printed}{errors}");
}

/// Runs the binary with `input` on its standard input.
fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rondo"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the rondo binary starts");
    child.stdin.take().expect("it is piped").write_all(input).expect("the input is read");
    child.wait_with_output().expect("our own child can be waited for")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

#[test]
fn a_key_is_put_got_and_deleted_and_each_ending_has_its_number() {
    let cluster = TestCluster::start(3, 1);
    check(&cluster, &["get", "greeting"], NOT_FOUND);
    assert_eq!(check(&cluster, &["put", "greeting", "hello"], DONE), b"", "a write that went well is silent in a pipe");
    assert_eq!(check(&cluster, &["get", "greeting", "--r", "all"], DONE), b"hello", "exactly the value, no newline");
    assert_eq!(check(&cluster, &["get", "greeting", "--r", "1", "--n", "1"], DONE), b"hello");
    check(&cluster, &["delete", "greeting", "--w", "all"], DONE);
    check(&cluster, &["get", "greeting"], NOT_FOUND);
    check(&cluster, &["get", "greeting", "--keyspace", "nowhere"], REFUSED);
    check(&cluster, &["put", "greeting", "hello", "--w", "4"], REFUSED);
    check(&cluster, &["put", "greeting", "hello", "--n", "4"], REFUSED);
    check(&cluster, &["put", "", "hello"], BAD_INPUT);
    check(&cluster, &["put", &"k".repeat(4097), "hello"], BAD_INPUT);
}

#[test]
fn keys_and_values_may_be_any_bytes() {
    let cluster = TestCluster::start(1, 1);
    let address = cluster.addresses().join(",");
    let value: Vec<u8> = (0..=255).cycle().take(1024 * 1024).collect();
    let stored = with_input(&["put", "00ff0a", "-", "--key-hex", "--addr", &address], &value);
    assert_exit(&stored, &["put", "-"], DONE);
    assert_eq!(check(&cluster, &["get", "0x00ff0a", "--key-hex"], DONE), value);
    let file = cluster.directory.path().join("value");
    std::fs::write(&file, b"of a file\n").expect("the file is written");
    check(&cluster, &["put", "file", &format!("@{}", file.display())], DONE);
    assert_eq!(check(&cluster, &["get", "file"], DONE), b"of a file\n");
    check(&cluster, &["put", "empty", ""], DONE);
    assert_eq!(check(&cluster, &["get", "empty"], DONE), b"", "an empty value is a value");
    let longer = [value, vec![0]].concat();
    assert_exit(&with_input(&["put", "long", "-", "--addr", &address], &longer), &["put", "-"], BAD_INPUT);
    let binary = json(&check(&cluster, &["get", "00ff0a", "--key-hex", "--json"], DONE));
    assert!(binary["values"][0]["value_base64"].is_string() && binary["key_base64"].is_string(), "{binary}");
}

#[test]
fn siblings_are_shown_apart_and_merged_by_their_context() {
    let cluster = TestCluster::start(3, 1);
    let carts = ["--keyspace", "carts"];
    check(&cluster, &[&["put", "basket", "milk"][..], &carts].concat(), DONE);
    check(&cluster, &[&["put", "basket", "bread"][..], &carts].concat(), DONE);
    let shown = String::from_utf8(check(&cluster, &[&["get", "basket"][..], &carts].concat(), DONE)).expect("text");
    assert!(shown.contains("--- sibling 1 of 2, ") && shown.contains("--- sibling 2 of 2, "), "{shown}");
    assert!(shown.contains("milk\n") && shown.contains("bread\n"), "{shown}");
    let found = json(&check(&cluster, &[&["get", "basket", "--json"][..], &carts].concat(), DONE));
    assert_eq!(found["values"].as_array().map(Vec::len), Some(2), "{found}");
    let context = found["context"].as_str().expect("a context");
    let merge = [&["put", "basket", "milk, bread", "--context", context][..], &carts].concat();
    check(&cluster, &merge, DONE);
    assert_eq!(check(&cluster, &[&["get", "basket"][..], &carts].concat(), DONE), b"milk, bread");
    let other = [&["put", "another", "eggs", "--context", context][..], &carts].concat();
    check(&cluster, &other, REFUSED);
}

#[test]
fn a_batch_means_the_same_as_its_lines_one_after_the_other() {
    let cluster = TestCluster::start(3, 1);
    let address = cluster.addresses().join(",");
    let input = br#"{"op":"put","key":"a","value":"1"}
{"op":"get","key":"a"}
{"op":"put","key":"a","value":"2"}
{"op":"put","key":"a","value":"3"}
{"op":"get","key":"a"}

{"op":"delete","key":"a"}
{"op":"get","key":"a"}
"#;
    let output = with_input(&["batch", "-", "--addr", &address], input);
    assert_exit(&output, &["batch"], NOT_FOUND);
    let lines: Vec<Value> =
        output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(json).collect();
    let results: Vec<&str> = lines.iter().filter_map(|line| line["result"].as_str()).collect();
    assert_eq!(results, ["stored", "found", "stored", "stored", "found", "deleted", "not_found"]);
    assert_eq!(lines[1]["values"][0]["value"], "1");
    assert_eq!(lines[4]["values"][0]["value"], "3");
}

#[test]
fn a_bad_line_is_answered_in_its_place_and_the_others_are_done() {
    let cluster = TestCluster::start(1, 1);
    let address = cluster.addresses().join(",");
    let input = b"{\"op\":\"put\",\"key\":\"a\",\"value\":\"1\"}\nnonsense\n{\"op\":\"get\",\"key\":\"a\"}\n";
    let output = with_input(&["batch", "-", "--addr", &address], input);
    assert_exit(&output, &["batch"], BAD_INPUT);
    let lines: Vec<Value> =
        output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(json).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[1]["result"], &lines[1]["line"]), (&Value::from("bad_input"), &Value::from(2)));
    assert_eq!(lines[2]["values"][0]["value"], "1");
}

#[test]
fn status_ring_and_ping_show_the_cluster() {
    let mut cluster = TestCluster::start(3, 1);
    let status = json(&check(&cluster, &["status", "--json"], DONE));
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(3), "{status}");
    let ring = json(&check(&cluster, &["ring", "--json"], DONE));
    let owned: u64 =
        ring["nodes"].as_array().into_iter().flatten().filter_map(|node| node["owned_vnodes"].as_u64()).sum();
    assert_eq!(Some(owned), ring["vnodes"].as_u64(), "every vnode has one owner");
    assert!(String::from_utf8_lossy(&check(&cluster, &["ring"], DONE)).contains("n2"));
    assert!(String::from_utf8_lossy(&check(&cluster, &["ping"], DONE)).contains("answers in"));
    let admin = cluster.node(1).admin.to_string();
    let node = json(&rondo(&["status", "--admin", &admin, "--json"]).stdout);
    assert_eq!(node["name"], "n1");
    cluster.node(2).kill();
    assert!(String::from_utf8_lossy(&check(&cluster, &["status"], REFUSED)).contains("no: "));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let script = format!("'{}' completions bash | head -c 1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_rondo"));
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 141)), "{:?} {errors}", output.status);
    assert_eq!(errors, "");
}

#[test]
fn a_directory_or_port_in_use_is_refused_and_disturbs_nobody() {
    let mut cluster = TestCluster::start(1, 1);
    let own = cluster.node(0).arguments().to_vec();
    let refused = |changes: &[(&str, &str)], said: &str| {
        let mut arguments = own.clone();
        for (flag, value) in changes {
            let place = arguments.iter().position(|word| word == flag).expect("the flag is there");
            arguments[place + 1] = (*value).to_owned();
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = rondo(&arguments);
        assert_exit(&output, &arguments, CONFIG);
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let elsewhere = cluster.directory.path().join("elsewhere").display().to_string();
    let any = "127.0.0.1:0";
    refused(&[("--data", &elsewhere), ("--peer-listen", any), ("--admin-listen", any)], "cannot listen");
    refused(&[("--data", &elsewhere), ("--listen", any), ("--admin-listen", any)], "cannot listen");
    refused(&[("--data", &elsewhere), ("--listen", any), ("--peer-listen", any)], "cannot listen");
    refused(&[("--listen", any), ("--peer-listen", any), ("--admin-listen", any)], "in use");
    check(&cluster, &["put", "still", "here"], DONE);
    assert_eq!(check(&cluster, &["get", "still"], DONE), b"here");
}

#[test]
fn a_directory_of_another_cluster_or_node_is_refused() {
    let mut cluster = TestCluster::start(1, 1);
    cluster.node(0).signal(rustix::process::Signal::TERM);
    assert!(cluster.node(0).wait().success());
    let mut arguments = cluster.node(0).arguments().to_vec();
    arguments.extend(["--cluster".to_owned(), "another".to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = rondo(&arguments);
    assert_exit(&output, &arguments, CONFIG);
    assert!(String::from_utf8_lossy(&output.stderr).contains("belongs to"), "{output:?}");
}
