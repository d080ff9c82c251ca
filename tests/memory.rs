//! More data than memory: a node with small caches serves ten times as much, and stays within its bound.

mod support;

use rondo_client::blocking::Client;
use rondo_client::{Operation, Options, Outcome};
use support::{TestCluster, eventually, http_get};

/// Settings of the node, in MiB: 24 MiB of memtables and caches.
const SMALL: &str = "memtable-mib = 4\ncache-mib = 8\nstore-cache-mib = 8\nfilter-mib = 4\n";
const KEYS: u64 = 31_000;
const VALUE_BYTES: usize = 8 * 1024;
/// Operations sent at once.
const BATCH: u64 = 100;
/// What the allocator may hold beyond what the node counts, of the bound.
const SLACK: f64 = 1.1;

/// Bytes that cannot be compressed, and that no other key has.
fn value_of(key: u64) -> Vec<u8> {
    let mut state = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..VALUE_BYTES / 8).flat_map(|_| word()).collect()
}

/// What a get found.
fn value_in(outcome: Outcome) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Get(found) => found.value().map(|value| value.to_vec()),
        Outcome::Written(_) => None,
    }
}

/// Sends operations in batches; what is refused because the node is busy is sent again, for a while.
fn run(client: &Client, keys: impl Iterator<Item = u64>, operation: impl Fn(u64) -> Operation) -> Vec<(u64, Vec<u8>)> {
    let (mut left, mut found): (Vec<u64>, _) = (keys.collect(), Vec::new());
    let all_done = eventually(|| {
        let mut again = Vec::new();
        for keys in left.chunks(BATCH as usize) {
            let answers = client.batch(keys.iter().map(|&key| operation(key)).collect(), &Options::new());
            for (&key, answer) in keys.iter().zip(answers) {
                match answer {
                    Ok(outcome) => found.extend(value_in(outcome).map(|value| (key, value))),
                    Err(_) => again.push(key),
                }
            }
        }
        left = again;
        left.is_empty()
    });
    assert!(all_done, "{} operations were never done", left.len());
    found
}

fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
    let value = line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse());
    value.unwrap_or_else(|| panic!("{name} is not exported")).expect("a number")
}

/// Writes, reads everything back, asks for what was never written, and looks at the memory.
fn check(engine: &str) {
    let mut cluster = TestCluster::lay_out(1, 1);
    let config = cluster.directory.path().join("keyspaces.toml");
    let keyspaces = std::fs::read_to_string(&config).expect("read");
    std::fs::write(&config, format!("{SMALL}{keyspaces}")).expect("written");
    cluster.node(0).set("--engine", engine);
    cluster.node(0).restart();
    let client = Client::connect(&cluster.addresses()).expect("connected");
    let name = |key: u64| format!("key-{key}");
    let admin = cluster.node(0).admin;
    let metrics = || http_get(admin, "/metrics").expect("answers").1;

    for from in (0..KEYS).step_by(1_000) {
        run(&client, from..(from + 1_000).min(KEYS), |key| Operation::put(name(key), value_of(key)));
    }
    let mut resident = metric(&metrics(), "rondo_process_resident_bytes");
    for from in (0..KEYS).step_by(1_000) {
        let found = run(&client, from..(from + 1_000).min(KEYS), |key| Operation::get(name(key)));
        assert_eq!(found.len() as u64, (KEYS - from).min(1_000));
        assert!(found.into_iter().all(|(key, value)| value == value_of(key)), "a value differs");
        resident = resident.max(metric(&metrics(), "rondo_process_resident_bytes"));
    }
    let before = metrics();
    let absent = 2_000;
    assert!(run(&client, KEYS..KEYS + absent, |key| Operation::get(name(key))).is_empty());
    // Reports are published a few times a second.
    let counted = |name: &str, text: &str| metric(text, name) - metric(&before, name);
    let is_counted = eventually(|| {
        let text = metrics();
        let names = ["rondo_filter_denied_total", "rondo_cache_misses_total"];
        names.iter().map(|name| counted(name, &text)).sum::<f64>() >= absent as f64
    });
    assert!(is_counted, "{}", metrics());
    let text = metrics();
    let (denied, bound) = (counted("rondo_filter_denied_total", &text), metric(&text, "rondo_memory_bound_bytes"));
    let data = (KEYS * VALUE_BYTES as u64) as f64;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    eprintln!(
        "{engine}: {:.0} MiB of values, bound {:.0} MiB, resident {:.0} MiB; store {:.0} MiB on disk, {:.0} MiB live; \
         filter {:.2} bytes a key, {denied} of {absent} absent keys denied",
        mib(data),
        mib(bound),
        mib(resident),
        mib(metric(&text, "rondo_store_disk_bytes")),
        mib(metric(&text, "rondo_store_live_bytes")),
        metric(&text, "rondo_filter_bytes") / KEYS as f64,
    );
    assert!(data > bound, "{data} bytes of values would fit into {bound}");
    assert!(resident <= bound * SLACK, "{resident} bytes in memory, the bound is {bound}");
    if engine == "sled" {
        assert!(denied >= 0.98 * absent as f64, "{denied} of {absent} denied");
    }
}

#[test]
fn sled_serves_ten_times_its_caches_within_the_memory_bound() {
    check("sled");
}

#[test]
fn the_lsm_serves_ten_times_its_caches_within_the_memory_bound() {
    check("lsm");
}
