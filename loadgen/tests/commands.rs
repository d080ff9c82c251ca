//! The binary itself against servers inside this process: filling, asking, and finding what was lost.

use std::process::{Command, Output};

use rondo_client::fake_server::{Behaviour, FakeServer};
use rondo_client::{Options, Refusal, blocking};
use serde_json::Value;

fn loadgen(server: &FakeServer, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rondo-loadgen"));
    let (name, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    command.arg(name).args(["--addr", &server.address(), "--quiet"]);
    command.args(rest.split(' ').filter(|word| !word.is_empty())).output().expect("the binary runs")
}

fn check(server: &FakeServer, arguments: &str, status: i32) -> String {
    let output = loadgen(server, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments}\n{text}\n{errors}");
    text
}

fn json(server: &FakeServer, arguments: &str, status: i32) -> Value {
    serde_json::from_str(&check(server, &format!("{arguments} --json -"), status)).expect("JSON")
}

#[test]
fn what_was_loaded_is_found_and_what_is_gone_is_named() {
    let servers = FakeServer::start_cluster(3, 2);
    let loaded = json(&servers[0], "load --keys 2000 --threads 2 --value-size 100", 0);
    assert_eq!((&loaded["put"]["done"], &loaded["failed"]), (&Value::from(2000), &Value::from(0)));
    check(&servers[0], "verify --keys 2000", 0);
    let client = blocking::Client::connect(&[servers[0].address()]).expect("a server answers");
    client.delete("key-000000000007", &Options::new()).expect("deleted");
    client.put("key-000000000008", "rubbish that is long enough for a stamp", &Options::new()).expect("stored");
    let text = check(&servers[0], "verify --keys 2000", 1);
    assert!(text.contains("wrong: key-000000000007 missing"), "{text}");
    assert!(text.contains("wrong: key-000000000008 damaged"), "{text}");
}

#[test]
fn a_record_knows_what_was_acknowledged_over_several_runs() {
    let servers = FakeServer::start_cluster(2, 1);
    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("record");
    let record = record.to_str().expect("a plain path");
    check(&servers[0], &format!("load --keys 500 --value-size 64 --record {record}"), 0);
    let run =
        format!("run --keys 500 --value-size 64 --reads 0.2 --depth 8 --duration 300ms --warmup 0s --record {record}");
    check(&servers[0], &run, 0);
    check(&servers[0], &format!("verify --record {record}"), 0);
    let client = blocking::Client::connect(&[servers[0].address()]).expect("a server answers");
    client.delete("key-000000000007", &Options::new()).expect("deleted");
    let text = check(&servers[0], &format!("verify --record {record}"), 1);
    assert!(text.contains("wrong: key-000000000007 missing"), "{text}");
}

#[test]
fn an_open_loop_keeps_its_rate_and_objectives_decide_the_exit_status() {
    let servers = [FakeServer::start()];
    let run = "run --keys 100 --rate 500 --duration 1s --warmup 0s --value-size 32";
    let met = json(&servers[0], &format!("{run} --slo p99=10s --slo errors=0%"), 0);
    assert_eq!(met["done"].as_u64(), Some(500), "{met}");
    assert_eq!(met["unsent"].as_u64(), Some(0), "{met}");
    let missed = json(&servers[0], &format!("{run} --slo max=1ns"), 1);
    assert_eq!(missed["objectives"][0]["is_met"], Value::from(false));
}

#[test]
fn errors_are_counted_by_kind_and_end_nothing() {
    let servers = [FakeServer::start()];
    servers[0].behave(Behaviour::Refusing(Refusal::BadQuorum));
    let run = "run --keys 10 --rate 200 --duration 500ms --warmup 0s --slo errors=50%";
    let result = json(&servers[0], run, 1);
    let kinds: Vec<&str> =
        result["failures"].as_array().expect("a list").iter().flat_map(|f| f["failure"].as_str()).collect();
    assert!(kinds.iter().all(|kind| *kind == "bad_quorum") && !kinds.is_empty(), "{result}");
    assert_eq!(result["failed"].as_u64(), Some(100));
}

#[test]
fn a_node_that_dies_fails_no_request() {
    let servers = FakeServer::start_cluster(3, 1);
    std::thread::scope(|scope| {
        let run = "run --keys 1000 --depth 4 --connections 6 --reads 0.5 --duration 1s --warmup 0s --slo errors=0%";
        let running = scope.spawn(|| json(&servers[0], run, 0));
        while servers[2].requests() < 50 {
            std::thread::yield_now();
        }
        servers[2].stop();
        let result = running.join().expect("the run ends");
        assert!(result["connections_lost"].as_u64() > Some(0), "{result}");
    });
}

#[test]
fn a_wrong_command_line_or_address_is_status_two() {
    let server = FakeServer::start();
    for arguments in
        ["run --keys 0", "run --slo p99", "run --keyspace nosuch", "verify --record /no/such/file", "run --cpus 0,1"]
    {
        check(&server, arguments, 2);
    }
    check(&server, "load --record x --value-size 8", 2);
    server.stop();
    check(&server, "run", 2);
}
