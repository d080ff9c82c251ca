//! Three real processes, and what must go on when some of them end.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rondo_client::blocking::Client;
use rondo_client::{Error, Options};
use rondo_protocol::wire::request::Level;
use rustix::process::Signal;
use support::{TestCluster, eventually};

/// Writes numbered keys one after the other until told to stop, and remembers which were acknowledged.
struct Writer {
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

/// What a writer has seen.
#[derive(Default)]
struct Written {
    acknowledged: Vec<String>,
    failures: Vec<Error>,
}

impl Writer {
    fn start(client: Client, prefix: &'static str) -> Writer {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, told) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let options = Options::new().timeout(Duration::from_secs(3));
            let mut written = Written::default();
            for number in 0.. {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let key = format!("{prefix}-{number}");
                match client.put(&key, value_of(&key), &options) {
                    Ok(_) => {
                        written.acknowledged.push(key);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => written.failures.push(error),
                }
            }
            written
        });
        Writer { acknowledged, stop, thread }
    }

    /// Waits until `more` further writes were acknowledged.
    fn wait_for_more(&self, more: usize) {
        let target = self.acknowledged.load(Ordering::Relaxed) + more;
        let reached = eventually(|| self.acknowledged.load(Ordering::Relaxed) >= target);
        assert!(reached, "writes stopped being acknowledged at {}", self.acknowledged.load(Ordering::Relaxed));
    }

    fn finish(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the writer does not panic")
    }
}

fn value_of(key: &str) -> String {
    format!("value of {key}")
}

fn connect(cluster: &TestCluster) -> Client {
    Client::connect(&cluster.addresses()).expect("a node answers")
}

/// Reads every acknowledged key at a quorum.
fn assert_all_there(client: &Client, written: &Written) {
    let options = Options::new().level(Level::Quorum);
    for key in &written.acknowledged {
        let found = client.get(key, &options).unwrap_or_else(|error| panic!("{key} cannot be read: {error}"));
        let value = found.value().unwrap_or_else(|| panic!("{key} was acknowledged and is gone"));
        assert_eq!(&value[..], value_of(key).as_bytes(), "{key} has another value");
    }
}

#[test]
fn a_killed_node_does_not_stop_the_quorum_and_comes_back() {
    let mut cluster = TestCluster::start(3, 2);
    let writer = Writer::start(connect(&cluster), "killed");
    writer.wait_for_more(100);
    cluster.node(1).kill();
    writer.wait_for_more(200);
    cluster.node(1).restart();
    writer.wait_for_more(100);
    let written = writer.finish();
    assert!(written.acknowledged.len() >= 400);
    assert_all_there(&connect(&cluster), &written);
}

#[test]
fn all_nodes_killed_at_once_keep_every_acknowledged_write() {
    let mut cluster = TestCluster::start(3, 1);
    let writer = Writer::start(connect(&cluster), "all");
    writer.wait_for_more(300);
    for index in 0..3 {
        cluster.node(index).signal(Signal::KILL);
    }
    let written = writer.finish();
    for index in 0..3 {
        cluster.node(index).wait();
        cluster.node(index).launch();
    }
    for index in 0..3 {
        cluster.node(index).wait_until_ready();
    }
    assert!(written.acknowledged.len() >= 300);
    assert_all_there(&connect(&cluster), &written);
}

#[test]
fn a_node_that_hangs_does_not_stop_the_quorum() {
    let mut cluster = TestCluster::start(3, 1);
    let writer = Writer::start(connect(&cluster), "hung");
    writer.wait_for_more(100);
    cluster.node(2).signal(Signal::STOP);
    writer.wait_for_more(100);
    cluster.node(2).signal(Signal::CONT);
    writer.wait_for_more(100);
    assert_all_there(&connect(&cluster), &writer.finish());
}

#[test]
fn a_node_that_is_told_to_stop_cuts_no_request_and_loses_nothing() {
    let mut cluster = TestCluster::start(1, 2);
    let writer = Writer::start(connect(&cluster), "drained");
    writer.wait_for_more(200);
    cluster.node(0).signal(Signal::TERM);
    let status = cluster.node(0).wait();
    assert!(status.success(), "a drained node ends with 0, not {status}; log:\n{}", cluster.node(0).log());
    let written = writer.finish();
    for failure in &written.failures {
        let is_clean = matches!(failure, Error::Refused { .. } | Error::Unreachable { .. } | Error::NotSent);
        assert!(is_clean, "a request was cut short: {failure}");
    }
    cluster.node(0).restart();
    assert_all_there(&connect(&cluster), &written);
}
