//! Data directories of past versions, as they were left: today's node must open them and find everything.
//!
//! `cargo test --test golden_directories -- --ignored` makes those that are not there yet, from real nodes; what is there is never
//! changed. Each holds: values in the store and in the log, some overwritten, some deleted, siblings, a large value in pieces,
//! and (one of each engine) a wound.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::archive::{pack, unpack};
use support::{TestCluster, rondo};

/// Of the data directory.
const VERSION: u16 = 3;

/// What a golden directory is like.
struct Golden {
    engine: &'static str,
    shards: usize,
    is_wounded: bool,
}

const GOLDEN: [Golden; 4] = [
    Golden { engine: "sled", shards: 1, is_wounded: true },
    Golden { engine: "sled", shards: 2, is_wounded: false },
    Golden { engine: "lsm", shards: 1, is_wounded: true },
    Golden { engine: "lsm", shards: 2, is_wounded: false },
];

impl Golden {
    fn path(&self) -> PathBuf {
        let name = format!("v{VERSION}-{}-{}.rondodir", self.engine, self.shards);
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/directories").join(name)
    }

    /// One node, not started, that will use the directory.
    fn node(&self) -> TestCluster {
        let mut cluster = TestCluster::lay_out(1, self.shards);
        cluster.node(0).set("--engine", self.engine);
        cluster
    }

    fn unpack_for(&self, cluster: &TestCluster) {
        let archive = fs::read(self.path()).expect("the golden directory is kept in the repository");
        unpack(&archive, &data_of(cluster));
    }
}

fn data_of(cluster: &TestCluster) -> PathBuf {
    cluster.directory.path().join("n0")
}

fn large() -> String {
    "large ".repeat(1000) + &"x".repeat(100_000)
}

fn put(cluster: &TestCluster, key: &str, value: &str) {
    let output = cluster.rondo(&["put", key, value]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn stop(cluster: &mut TestCluster) {
    cluster.node(0).signal(Signal::TERM);
    assert!(cluster.node(0).wait().success());
}

/// What every golden directory is filled with.
fn fill(cluster: &mut TestCluster) {
    cluster.node(0).restart();
    (0..20).for_each(|key| put(cluster, &format!("stored-{key}"), &format!("value {key}")));
    put(cluster, "large", &large());
    for sibling in ["milk", "bread"] {
        assert!(cluster.rondo(&["put", "cart", sibling, "--keyspace", "carts"]).status.success());
    }
    // What a clean stop leaves in the log goes into the store; the rest of this life stays in the log.
    stop(cluster);
    cluster.node(0).restart();
    (10..15).for_each(|key| put(cluster, &format!("stored-{key}"), &format!("newer {key}")));
    for key in 15..20 {
        assert!(cluster.rondo(&["delete", &format!("stored-{key}")]).status.success());
    }
    (0..20).for_each(|key| put(cluster, &format!("logged-{key}"), &format!("value {key}")));
}

/// Makes the log of a stopped node rot where it has `value`.
fn rot(cluster: &TestCluster, value: &str) {
    let wal = data_of(cluster).join("layout-0001/shard-000/wal");
    for path in fs::read_dir(wal).expect("a log").map(|file| file.expect("a segment").path()) {
        let mut bytes = fs::read(&path).expect("readable");
        if let Some(at) = bytes.windows(value.len()).position(|window| window == value.as_bytes()) {
            bytes[at] ^= 1;
            fs::write(path, bytes).expect("writable");
            return;
        }
    }
    panic!("{value} is not in the log");
}

#[test]
#[ignore = "makes the golden directories of this version; they are kept in the repository"]
fn make_the_golden_directories_that_are_missing() {
    for golden in GOLDEN.iter().filter(|golden| !golden.path().exists()) {
        let mut cluster = golden.node();
        fill(&mut cluster);
        if golden.is_wounded {
            put(&cluster, "wounded", "this will rot");
            put(&cluster, "behind", "the wound");
        }
        cluster.node(0).kill();
        if golden.is_wounded {
            rot(&cluster, "this will rot");
            // This life notices, and leaves the wound.
            cluster.node(0).restart();
            put(&cluster, "after", "the wound");
            cluster.node(0).kill();
        }
        fs::create_dir_all(golden.path().parent().expect("a directory")).expect("made");
        fs::write(golden.path(), pack(&data_of(&cluster))).expect("written");
    }
}

/// What each of `keys` holds, or the word for why that cannot be said.
fn get(cluster: &TestCluster, keys: &[String]) -> Vec<Result<String, String>> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    for key in keys {
        writeln!(file, "{}", json!({ "op": "get", "key": key })).expect("written");
    }
    let output = cluster.rondo(&["batch", &file.path().display().to_string()]);
    let one = |line: &str| {
        let answer: Value = serde_json::from_str(line).expect("JSON");
        let word = answer["result"].as_str().expect("a word").to_owned();
        answer["values"][0]["value"].as_str().map(str::to_owned).ok_or(word)
    };
    String::from_utf8(output.stdout).expect("JSON is text").lines().map(one).collect()
}

fn check(cluster: &TestCluster, golden: &Golden) {
    let absent = || Err("not_found".to_owned());
    let mut expected: Vec<(String, Result<String, String>)> = Vec::new();
    for key in 0..20 {
        let stored = match key {
            0..10 => Ok(format!("value {key}")),
            10..15 => Ok(format!("newer {key}")),
            _ => absent(),
        };
        expected.push((format!("stored-{key}"), stored));
        expected.push((format!("logged-{key}"), Ok(format!("value {key}"))));
    }
    expected.extend([("large".to_owned(), Ok(large())), ("absent".to_owned(), absent())]);
    if golden.is_wounded {
        let behind = || Ok("the wound".to_owned());
        let wounded = ("wounded".to_owned(), Err("refused".to_owned()));
        expected.extend([wounded, ("behind".to_owned(), behind()), ("after".to_owned(), behind())]);
    }
    let (keys, expected): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
    let found = get(cluster, &keys);
    assert_eq!(found.len(), keys.len());
    for ((key, found), expected) in keys.iter().zip(found).zip(expected) {
        assert!(found == expected, "{}: {key} is {found:?}", golden.path().display());
    }
    let cart = cluster.rondo(&["get", "cart", "--keyspace", "carts"]).stdout;
    let cart = String::from_utf8(cart).expect("text");
    assert!(cart.contains("milk") && cart.contains("bread") && cart.contains("2 of 2"), "{cart}");
}

#[test]
fn every_golden_directory_is_opened_with_everything_in_it_and_written_on() {
    for golden in &GOLDEN {
        let mut cluster = golden.node();
        golden.unpack_for(&cluster);
        cluster.node(0).restart();
        check(&cluster, golden);
        put(&cluster, "stored-0", "value 0");
        stop(&mut cluster);
        cluster.node(0).restart();
        check(&cluster, golden);
    }
}

/// The files that belong together under `name`, each with the offsets of its version.
fn versioned(data: &Path, name: &str) -> Vec<(PathBuf, &'static [usize])> {
    let shard = data.join("layout-0001/shard-000");
    match name {
        "identity" => vec![(data.join("identity"), &[8]), (data.join("identity.copy"), &[8])],
        "log" => {
            let segments = fs::read_dir(shard.join("wal")).expect("a log").map(|file| file.expect("a segment").path());
            segments
                .filter(|path| path.extension().is_some_and(|ext| ext == "log"))
                .map(|path| (path, &[8, 4104][..]))
                .collect()
        }
        file => vec![(shard.join(file), &[8]), (shard.join(format!("{file}.copy")), &[8])],
    }
}

#[test]
fn files_of_a_version_to_come_are_refused_by_name_and_left_as_they_are() {
    let golden = &GOLDEN[0];
    for name in ["identity", "manifest", "wounds", "log"] {
        let mut cluster = golden.node();
        golden.unpack_for(&cluster);
        let mut written = Vec::new();
        for (path, offsets) in versioned(&data_of(&cluster), name) {
            let mut bytes = fs::read(&path).expect("readable");
            for &at in offsets {
                bytes[at..at + 2].copy_from_slice(&77u16.to_le_bytes());
            }
            fs::write(&path, &bytes).expect("writable");
            written.push((path, bytes));
        }
        assert!(!written.is_empty(), "{name}");
        let data = data_of(&cluster).display().to_string();
        let output = rondo(&["engine", "migrate", "--to", "lsm", "--data", &data]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && said.contains("version 77"), "{name}: {said}");
        let node = cluster.node(0);
        node.launch();
        assert_eq!(node.wait().code(), Some(78), "{name}: {}", node.log());
        assert!(node.log().contains("version 77"), "{name}: {}", node.log());
        for (path, bytes) in written {
            assert!(fs::read(&path).expect("readable") == bytes, "{} was changed", path.display());
        }
    }
}
