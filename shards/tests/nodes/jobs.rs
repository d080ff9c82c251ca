//! Background jobs that a node gives to the companions of its shards.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rondo_protocol::wire::DataAnswer;
use rondo_shards::ShardJob;
use rondo_storage::{JobMoment, JobStep, SortedStore, StoreJob};
use tempfile::tempdir;

use crate::talk::{Talk, put};
use crate::world::{LONG, start_alone};

/// Counts the keys of its store.
#[derive(Debug)]
struct Count(flume::Sender<usize>);

impl StoreJob for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn step(&mut self, store: &mut dyn SortedStore, _: JobMoment) -> JobStep {
        let page = store.scan_keys(&[], u128::MAX, 1000).expect("the store is sound");
        self.0.send(page.keys.len()).expect("the test listens");
        JobStep::Done
    }
}

#[test]
fn a_job_that_asks_for_a_checkpoint_finds_all_that_was_acknowledged() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 2);
    let mut talk = Talk::open(node.status().listen);
    for number in 0..50 {
        let stored = talk.ask(&put(&format!("key-{number}"), b"value"));
        assert!(matches!(stored, DataAnswer::Stored { .. }), "{stored:?}");
    }
    let never = Arc::new(AtomicBool::new(false));
    let (sender, counts) = flume::unbounded();
    node.run_on_shards(|_| {
        let sender = sender.clone();
        ShardJob::new(Arc::clone(&never), |_| Box::new(Count(sender))).after_checkpoint()
    });
    drop(sender);
    let of_shards: Vec<usize> = (0..2).map(|_| counts.recv_timeout(LONG).expect("it runs")).collect();
    assert_eq!(of_shards.iter().sum::<usize>(), 50, "{of_shards:?}");
    assert!(counts.recv_timeout(LONG).is_err(), "when jobs end, so do their channels");
    assert!(node.stop(LONG).is_clean);
}

#[test]
fn a_cancelled_job_never_begins() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let (sender, counts) = flume::unbounded();
    let sender = &sender;
    node.run_on_shards(|_| {
        let sender = sender.clone();
        ShardJob::new(Arc::new(AtomicBool::new(true)), |_| Box::new(Count(sender)))
    });
    node.stop(LONG);
    assert!(counts.try_recv().is_err());
}
