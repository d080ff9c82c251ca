//! A node rewrites a store that has grown too far while it serves, and a `kill -9` in the middle loses nothing.

mod support;

use rondo_client::blocking::Client;
use rondo_client::{Operation, Options, Outcome};
use support::{TestCluster, eventually, http_get};

/// Small enough that a few seconds of overwriting make a rewrite due.
const SMALL: &str = "memtable-mib = 1\nstore-cache-mib = 8\nstore-rewrite-ratio = 2\nstore-rewrite-mib = 2\n";
const KEYS: u64 = 600;

/// A value of its own for each key and round, not to be compressed.
fn value_of(key: u64, round: u64) -> Vec<u8> {
    let mut state = (key << 32 | round).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..3_000).map(|_| byte()).collect()
}

fn write_all(client: &Client, round: u64) {
    let mut left: Vec<u64> = (0..KEYS).collect();
    let all_done = eventually(|| {
        let operations = left.iter().map(|&key| Operation::put(format!("key-{key}"), value_of(key, round))).collect();
        let answers = client.batch(operations, &Options::new());
        let refused = left.iter().zip(answers).filter(|(_, answer)| answer.is_err());
        left = refused.map(|(&key, _)| key).collect();
        left.is_empty()
    });
    assert!(all_done, "{} writes were never done", left.len());
}

fn check_all(client: &Client, round: u64) {
    let answers = client.batch((0..KEYS).map(|key| Operation::get(format!("key-{key}"))).collect(), &Options::new());
    for (key, answer) in (0..KEYS).zip(answers) {
        let Ok(Outcome::Get(found)) = answer else { panic!("key {key}: {answer:?}") };
        assert!(found.value().is_some_and(|value| value[..] == value_of(key, round)), "key {key}");
    }
}

#[test]
fn a_store_that_has_grown_is_rewritten_while_the_node_serves_and_a_kill_loses_nothing() {
    let mut cluster = TestCluster::lay_out(1, 1);
    let config = cluster.directory.path().join("keyspaces.toml");
    let keyspaces = std::fs::read_to_string(&config).expect("read");
    std::fs::write(&config, format!("{SMALL}{keyspaces}")).expect("written");
    cluster.node(0).restart();
    let client = Client::connect(&cluster.addresses()).expect("connected");
    let admin = cluster.node(0).admin;
    let shard = cluster.directory.path().join("n0/layout-0001/shard-000");
    let metric = |name: &str| {
        let text = http_get(admin, "/metrics").map(|(_, text)| text).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let mut round = 0;
    let mut write_until = |client: &Client, is_so: &dyn Fn() -> bool, what: &str| {
        let came = eventually(|| {
            round += 1;
            write_all(client, round);
            is_so()
        });
        let text = http_get(admin, "/metrics").map(|(_, text)| text).unwrap_or_default();
        let of_store: Vec<_> = text.lines().filter(|line| line.starts_with("rondo_store")).collect();
        assert!(came, "{what} in {round} rounds: {of_store:#?}");
        round
    };
    // The first rewrite, and the old generation goes when the manifest names the new one.
    let is_replaced = || metric("rondo_store_rewrites_total") >= 1.0 && !shard.join("sled-0001").exists();
    let mut last = write_until(&client, &is_replaced, "the store was never rewritten");
    check_all(&client, last);
    assert!(!shard.join("keys-0001").exists());
    // A node that was started again measures anew. It is killed while it rewrites, or just after.
    for _ in 0..3 {
        cluster.node(0).kill();
        cluster.node(0).restart();
        let client = Client::connect(&cluster.addresses()).expect("connected");
        check_all(&client, last);
        let is_under_way = || metric("rondo_store_rewriting") + metric("rondo_store_rewrites_total") > 0.0;
        last = write_until(&client, &is_under_way, "no further rewrite began");
    }
    cluster.node(0).kill();
    let never = SMALL.replace("ratio = 2", "ratio = 0");
    std::fs::write(&config, format!("{never}{keyspaces}")).expect("written");
    cluster.node(0).restart();
    check_all(&Client::connect(&cluster.addresses()).expect("connected"), last);
    let stores = std::fs::read_dir(&shard)
        .expect("listed")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("sled-")));
    assert_eq!(stores.count(), 1, "the generation that does not count is gone");
}
