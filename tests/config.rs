//! Configurations that cannot be right: refused before anything is touched, with the place and the remedy.

mod support;

use std::path::{Path, PathBuf};

use support::rondo;
use tempfile::TempDir;

/// Bad usage: the command line is at fault.
const USAGE: i32 = 2;
/// Bad configuration: the file is at fault.
const CONFIG: i32 = 78;

/// Writes `text` to a file of its own.
fn config_file(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("rondo.toml");
    std::fs::write(&path, text).expect("the file is written");
    path
}

/// Runs the binary, expects this exit code, and that standard error names all of `said`.
fn check(arguments: &[&str], exit: i32, said: &[&str]) {
    let output = rondo(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {errors}");
    for words in said {
        assert!(errors.contains(words), "{arguments:?}: no {words:?} in: {errors}");
    }
}

#[test]
fn a_bad_file_is_refused_with_its_line_and_a_remedy() {
    let cases: &[(&str, usize, &str)] = &[
        ("data = \"d\"\nshard = 1\n", 2, "unknown field"),
        ("data = \"d\"\nshards = \"two\"\n", 2, "invalid type"),
        ("data = \"d\"\ndata = \"e\"\n", 2, "duplicate key"),
        ("data = \"d\"\n\n\nnot toml\n", 4, ""),
        ("data = \"d\"\nshards = 0\n", 2, "0 shards"),
        ("data = \"d\"\nshards = 100000\n", 2, "cores"),
        ("data = \"d\"\ncores = [99999]\n", 2, "core 99999"),
        ("data = \"d\"\nlisten = \"nowhere\"\n", 2, "not an address"),
        ("data = \"d\"\nlisten = \"127.0.0.1:70000\"\n", 2, "not an address"),
        ("data = \"d\"\nlisten = \"192.0.2.1:7600\"\n", 2, "--insecure-no-auth"),
        ("data = \"d\"\ninsecure-no-auth = true\nlisten = \"0.0.0.0:7600\"\n", 3, "--advertise"),
        ("data = \"d\"\nadmin-listen = \"127.0.0.1:7600\"\n", 2, "two purposes"),
        ("data = \"d\"\nname = \"n9\"\nnodes = [\"n1=127.0.0.1:7601\"]\n", 3, "not in the list"),
        ("data = \"d\"\nnodes = [\n\"n1=127.0.0.1:1\",\n\"n1=127.0.0.1:2\"]\n", 4, "occurs twice"),
        ("data = \"d\"\nnodes = [\n\"n1=127.0.0.1:1\",\n\"n2=127.0.0.1:1\"]\n", 4, "same address"),
        ("data = \"d\"\nnodes = [\"n1\"]\n", 2, "NAME=ADDRESS:PORT"),
        ("data = \"d\"\nnodes = []\n", 2, "empty"),
        ("data = \"d\"\nrack = \"a\"\nnodes = [\"n1=127.0.0.1:7601@b\"]\n", 2, "rack"),
        ("data = \"d\"\npeer-listen = \"127.0.0.1:9\"\nnodes = [\"n1=127.0.0.1:7601\"]\n", 2, "peers"),
        ("data = \"d\"\nname = \"a b\"\n", 2, "not allowed"),
        ("data = \"d\"\nvnode-bits = 17\n", 2, "1 to 16"),
        ("data = \"d\"\nfilter-mib = 0\n", 2, "1 to 1048576"),
        ("data = \"d\"\nstore-rewrite-ratio = -1\n", 2, "0 to 1000"),
        ("data = \"d\"\nshards = 1\nstore-cache-mib = 9\ncache-mib = 1000000\n", 4, "the node may take 1000"),
        ("data = \"d\"\nshards = 1\ncache-mib = 1000000\n", 3, "cache 1000000, filter 64, engine"),
        ("data = \"d\"\nengine = \"rocksdb\"\n", 2, "rocksdb"),
        ("data = \"d\"\ndrain-seconds = -1\n", 2, "0 to 600"),
        ("data = \"d\"\nscrub-share-percent = 0\n", 2, "1 to 100"),
        ("data = \"d\"\nscrub-interval-hours = -1\n", 2, "0 to 8760"),
        ("data = \"d\"\nlog = \"a=b=c\"\n", 2, "log filter"),
        ("data = \"d\"\n[[keyspace]]\npolicy = \"lww\"\n", 2, "name"),
        ("data = \"d\"\n[[keyspace]]\nname = \"A\"\n", 3, "lower-case"),
        ("data = \"d\"\n[[keyspace]]\nname = \"a\"\npolicy = \"newest\"\n", 4, "siblings"),
        ("data = \"d\"\n[[keyspace]]\nname = \"a\"\nreplicas = 2\n", 4, "1 nodes"),
        ("data = \"d\"\n[[keyspace]]\nname = \"a\"\nread = 2\n", 4, "read waits for 2"),
        ("data = \"d\"\n[[keyspace]]\nname = \"a\"\nwrite = 0\n", 4, "no level"),
        ("data = \"d\"\n[[keyspace]]\nname = \"a\"\n[[keyspace]]\nname = \"a\"\n", 5, "declared twice"),
    ];
    let directory = TempDir::new().expect("a temporary directory");
    for (text, line, said) in cases {
        let path = config_file(&directory, text);
        let place = format!("line {line}:");
        let file = path.to_str().expect("the path is text");
        for arguments in [&["serve", "--config", file][..], &["config", "check", file]] {
            check(arguments, CONFIG, &[&place, said, "remedy: "]);
        }
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = config_file(&directory, "shards = 0\nvnode-bits = 99\nlisten = \"x\"\n");
    let file = path.to_str().expect("the path is text");
    check(&["config", "check", file], CONFIG, &["line 1:", "line 2:", "line 3:", "no data directory"]);
}

#[test]
fn a_bad_command_line_is_bad_usage() {
    check(&["serve"], USAGE, &["no data directory", "remedy: "]);
    check(&["serve", "--data", "d", "--shards", "0"], USAGE, &["--shards", "0 shards"]);
    check(
        &["serve", "--data", "d", "--listen", "0.0.0.0:7600", "--advertise", "127.0.0.1:7600"],
        USAGE,
        &["--insecure-no-auth"],
    );
    check(&["serve", "--data", "d", "--nodes", "a=127.0.0.1:1,b=127.0.0.1:2"], USAGE, &["--nodes", "not in the list"]);
    check(&["serve", "--config", "/nowhere/rondo.toml"], USAGE, &["cannot read", "docs/rondo.toml"]);
    check(&["serve", "--colour", "red"], USAGE, &["--colour"]);
    check(&["serve", "--data", "d", "--engine", "rocksdb"], USAGE, &["rocksdb", "sled", "lsm", "remedy: "]);
    check(&["engine", "migrate", "--data", "d", "--to", "rocksdb"], USAGE, &["rocksdb", "sled", "lsm"]);
    check(&["dev", "--nodes", "0"], USAGE, &["--nodes"]);
    check(&["dev", "--base-port", "65530"], USAGE, &["65552"]);
    check(&["get"], USAGE, &["<KEY>"]);
    check(&["put", "key"], USAGE, &["<VALUE>"]);
    check(&["get", "key", "--r", "most"], USAGE, &["quorum"]);
    check(&["get", "key", "--timeout", "2h"], USAGE, &["500ms"]);
    check(&["get", "xyz", "--key-hex"], USAGE, &["hexadecimal"]);
    check(&["put", "key", "@/nowhere/value"], USAGE, &["cannot read"]);
    check(&["put", "key", "value", "--context", "?"], USAGE, &["not a context"]);
    check(&["batch", "/nowhere/batch"], USAGE, &["cannot read"]);
}

#[test]
fn flags_win_over_the_file() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = config_file(&directory, "name = \"n1\"\ndata = \"d\"\nlisten = \"127.0.0.1:1\"\ndrain-seconds = 3\n");
    let file = path.to_str().expect("the path is text");
    let output = rondo(&["serve", "--config", file, "--listen", "127.0.0.1:9", "--print-config"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("listen = \"127.0.0.1:9\""), "{printed}");
    assert!(printed.contains("drain-seconds = 3"), "{printed}");
}

#[test]
fn the_printed_settings_mean_the_same_again() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rondo.toml");
    let first = rondo(&["config", "check", example.to_str().expect("the path is text")]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let directory = TempDir::new().expect("a temporary directory");
    let printed = config_file(&directory, &String::from_utf8_lossy(&first.stdout));
    let second = rondo(&["config", "check", printed.to_str().expect("the path is text")]);
    assert_eq!(String::from_utf8_lossy(&first.stdout), String::from_utf8_lossy(&second.stdout));
}

#[test]
fn nobody_there_is_a_refusal_because_nothing_happened() {
    // Port 1 of loopback: nobody listens there.
    for arguments in [&["put", "key", "value"][..], &["get", "key"], &["delete", "key"], &["status"], &["ring"]] {
        check(&[arguments, &["--addr", "127.0.0.1:1", "--timeout", "200ms"]].concat(), 3, &["127.0.0.1:1"]);
    }
}
