//! A shard's memory against a plain map: whatever is written, cached, frozen and loaded in whatever order, a reader sees
//! the last object.

use bytes::Bytes;
use proptest::prelude::*;
use rondo_storage::{
    CheckpointJob, ColdFound, Delivery, FrozenTable, LogRecord, Lookup, Lsn, MemorySortedStore, ShardStore,
    SortedStore, StoreLimits, Stored,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const LIMITS: StoreLimits = StoreLimits {
    memtable_bytes_max: 8 * 1024,
    cache_bytes_max: 16 * 1024,
    log_bytes_max: 1 << 20,
    pending_bytes_max: 64 * 1024,
    filter_bytes_max: 64 * 1024,
};

fn append(store: &mut ShardStore, key: u8, object: Bytes) -> Lsn {
    let lsn = store.last_lsn().next();
    store.append(lsn, LogRecord::Object { token: token(key), routed: &[key], object });
    lsn
}

/// Two keys share a token.
fn token(key: u8) -> u128 {
    u128::from(key / 2)
}

fn commit(store: &mut ShardStore) {
    while let Some(batch) = store.take_batch() {
        store.committed(batch.last_lsn());
    }
}

/// What the companion has done and the shard has not yet heard.
enum Answer {
    Loaded(u8, ColdFound),
    Applied(Arc<FrozenTable>),
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize),
    Read(u8),
    Commit,
    Freeze,
    Hear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..20u8, 0..1500usize).prop_map(|(key, bytes)| Step::Put(key, bytes)),
        8 => (0..20u8).prop_map(Step::Read),
        3 => Just(Step::Commit),
        2 => Just(Step::Freeze),
        5 => Just(Step::Hear),
    ]
}

struct Shard {
    store: ShardStore,
    sorted: MemorySortedStore,
    answers: VecDeque<Answer>,
    model: BTreeMap<u8, Bytes>,
}

impl Shard {
    fn perform(&mut self, number: usize, step: Step) {
        match step {
            Step::Put(key, bytes) => {
                let object = Bytes::from([&number.to_le_bytes()[..], &vec![key; bytes]].concat());
                append(&mut self.store, key, object.clone());
                self.model.insert(key, object);
            }
            Step::Read(key) => self.read(key),
            Step::Commit => commit(&mut self.store),
            Step::Freeze => self.freeze(),
            Step::Hear => self.hear(),
        }
    }

    fn read(&mut self, key: u8) {
        let expected = self.model.get(&key);
        match self.store.lookup(token(key), &[key]) {
            Lookup::Hit { object, .. } => assert_eq!(Some(&object), expected),
            Lookup::Absent => assert_eq!(None, expected),
            Lookup::Unreadable => panic!("nothing is lost"),
            // The companion reads now; the shard hears of it later.
            Lookup::Cold => {
                let found = self.sorted.get(token(key), &[key]).expect("not damaged");
                self.answers.push_back(Answer::Loaded(key, found.map_or(ColdFound::Absent, ColdFound::Object)));
            }
        }
    }

    fn freeze(&mut self) {
        let Some(frozen) = self.store.freeze() else { return };
        let mut job = CheckpointJob::new(frozen);
        while !job.step(&mut self.sorted).expect("applied") {}
        self.answers.push_back(Answer::Applied(job.into_table()));
    }

    fn hear(&mut self) {
        match self.answers.pop_front() {
            Some(Answer::Applied(frozen)) => self.store.checkpointed(frozen.last_lsn()),
            Some(Answer::Loaded(key, found)) => {
                let expected = self.model.get(&key);
                match self.store.loaded(token(key), &[key], found) {
                    Delivery::Object { object, .. } => assert_eq!(Some(&object), expected),
                    Delivery::Absent => assert_eq!(None, expected),
                    Delivery::Unreadable => panic!("nothing is damaged"),
                }
            }
            None => {}
        }
    }
}

proptest! {
    #[test]
    fn a_reader_sees_the_last_object(steps in prop::collection::vec(step(), 1..600)) {
        let (store, sorted) = (ShardStore::new(LIMITS, Lsn(0), 0, true), MemorySortedStore::new());
        let mut shard = Shard { store, sorted, answers: VecDeque::new(), model: BTreeMap::new() };
        for (number, step) in steps.into_iter().enumerate() {
            shard.perform(number, step);
            prop_assert!(shard.store.stats().cache_bytes <= LIMITS.cache_bytes_max as u64);
        }
        for key in 0..20 {
            shard.read(key);
        }
    }
}

#[test]
fn absent_is_said_only_when_it_is_known() {
    let mut store = ShardStore::new(LIMITS, Lsn(9), 0, false);
    assert_eq!(store.lookup(1, b"k"), Lookup::Cold);
    assert_eq!(store.loaded(1, b"k", ColdFound::Absent), Delivery::Absent);
    assert_eq!(store.lookup(1, b"k"), Lookup::Absent);
    assert_eq!(store.lookup(1, b"other"), Lookup::Cold, "another key of the same token");
}

#[test]
fn an_answer_from_the_disk_does_not_hide_what_was_written_meanwhile() {
    let mut store = ShardStore::new(LIMITS, Lsn(9), 0, false);
    assert_eq!(store.lookup(0, &[1]), Lookup::Cold);
    let lsn = append(&mut store, 1, Bytes::from_static(b"new"));
    let delivered =
        store.loaded(0, &[1], ColdFound::Object(Stored { object: Bytes::from_static(b"old"), lsn: Lsn(1) }));
    assert_eq!(delivered, Delivery::Object { object: Bytes::from_static(b"new"), lsn });
    assert_eq!(store.loaded(0, &[1], ColdFound::Unreadable), delivered, "a write heals a damaged object");
}

#[test]
fn a_checkpoint_waits_until_the_log_has_all_of_it() {
    let mut store = ShardStore::new(LIMITS, Lsn(0), 0, true);
    append(&mut store, 1, Bytes::from_static(b"object"));
    assert!(store.freeze().is_none() && !store.checkpoint_due(), "the sorted store would run ahead of the log");
    append(&mut store, 2, Bytes::from_static(b"later"));
    let batch = store.take_batch().expect("two records");
    assert_eq!((batch.first_lsn(), batch.last_lsn()), (Lsn(1), Lsn(2)));
    store.committed(batch.last_lsn());
    assert!(store.checkpoint_due());
    let frozen = store.freeze().expect("durable");
    assert_eq!((frozen.last_lsn(), frozen.len()), (Lsn(1), 1));
}

#[test]
fn a_full_table_behind_a_slow_checkpoint_is_overload_and_ends_with_it() {
    let mut store = ShardStore::new(LIMITS, Lsn(0), 0, true);
    let fill = |store: &mut ShardStore| {
        (0..12).for_each(|key| {
            append(store, key, Bytes::from(vec![0; 600]));
        });
        commit(store);
    };
    fill(&mut store);
    assert!(store.checkpoint_due() && !store.is_overloaded());
    let frozen = store.freeze().expect("durable");
    fill(&mut store);
    assert!(store.is_overloaded() && !store.checkpoint_due() && store.freeze().is_none());
    store.checkpointed(frozen.last_lsn());
    assert!(store.checkpoint_due() && !store.is_overloaded());
}

#[test]
fn what_is_queued_for_the_log_has_a_bound() {
    let mut store = ShardStore::new(StoreLimits { memtable_bytes_max: 1 << 20, ..LIMITS }, Lsn(0), 0, true);
    while !store.is_overloaded() {
        append(&mut store, 1, Bytes::from(vec![0; 1000]));
    }
    assert!(store.stats().pending_bytes <= LIMITS.pending_bytes_max as u64 + 2000);
    commit(&mut store);
    assert!(!store.is_overloaded());
}

#[test]
fn written_entries_settle_into_the_cache_with_the_next_appends() {
    let mut store = ShardStore::new(LIMITS, Lsn(0), 0, true);
    (0..8).for_each(|key| {
        append(&mut store, key, Bytes::from(vec![key; 600]));
    });
    commit(&mut store);
    let frozen = store.freeze().expect("durable");
    let upto = frozen.last_lsn();
    drop(frozen);
    store.checkpointed(upto);
    append(&mut store, 99, Bytes::from_static(b"x"));
    append(&mut store, 99, Bytes::from_static(b"y"));
    assert_eq!(store.stats().memtable_frozen_bytes, 0);
    assert_eq!(store.lookup(token(3), &[3]), Lookup::Hit { object: Bytes::from(vec![3; 600]), lsn: Lsn(0) });
}
