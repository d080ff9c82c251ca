//! Each way that a store can go, with stores that fail when they are told to. Nothing here sleeps: the tests wait for
//! answers, and the stores wait for the tests.

use super::*;
use crate::limits::StoreLimits;
use crate::record::LogRecord;
use crate::shard_store::ShardStore;
use crate::sorted_store::{
    FileCheck, FileCursor, FlushTask, KeyPage, MemorySortedStore, PageLimits, ScanPage, SortedEntry, StoreSizes,
};
use std::sync::atomic::{AtomicBool, Ordering};

fn read(token: u128) -> ColdRead {
    ColdRead { tag: token as u64, token, routed: Bytes::from_static(b"k") }
}

fn frozen(keys: u64) -> Arc<FrozenTable> {
    let mut store = ShardStore::new(StoreLimits::default(), Lsn(0), 0, true);
    for key in 1..=keys {
        let object = Bytes::from(vec![key as u8; 100]);
        store.append(Lsn(key), LogRecord::Object { token: u128::from(key), routed: b"k", object });
    }
    store.committed(Lsn(keys));
    store.freeze().expect("all durable")
}

/// What a store is to do, as the test says.
#[derive(Debug, Default)]
struct Orders {
    apply_fails: AtomicBool,
    flush_fails: AtomicBool,
    read_is_damaged: AtomicBool,
    job_panics: AtomicBool,
}

fn failure(kind: FailureKind) -> SortedStoreError {
    SortedStoreError::Failed { engine: "moody", path: "here".to_owned(), what: "it was told to".to_owned(), kind }
}

/// A store in memory that fails when it is told to, and whose flushes wait for a word if there is somebody to give it.
struct Moody {
    inner: MemorySortedStore,
    orders: Arc<Orders>,
    flushes: Option<flume::Receiver<()>>,
}

impl SortedStore for Moody {
    fn engine(&self) -> &'static str {
        "moody"
    }
    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Stored>, SortedStoreError> {
        if self.orders.read_is_damaged.load(Ordering::SeqCst) {
            return Err(failure(FailureKind::Damaged));
        }
        self.inner.get(token, routed)
    }
    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError> {
        if self.orders.apply_fails.load(Ordering::SeqCst) {
            return Err(failure(FailureKind::NoSpace));
        }
        self.inner.apply(entries)
    }
    fn scan(&self, from: &[u8], token_last: u128, limits: PageLimits) -> Result<ScanPage, SortedStoreError> {
        self.inner.scan(from, token_last, limits)
    }
    fn scan_keys(&self, from: &[u8], token_last: u128, keys_max: usize) -> Result<KeyPage, SortedStoreError> {
        self.inner.scan_keys(from, token_last, keys_max)
    }
    fn flush_task(&mut self, upto: Lsn) -> FlushTask {
        if self.orders.flush_fails.load(Ordering::SeqCst) {
            return Box::new(|| Err(failure(FailureKind::Io)));
        }
        let (flush, word) = (self.inner.flush_task(upto), self.flushes.clone());
        Box::new(move || {
            // Without a word the test is over.
            let _ = word.map(|word| word.recv());
            flush()
        })
    }
    fn durable_upto(&self) -> Result<Lsn, SortedStoreError> {
        self.inner.durable_upto()
    }
    fn discard_unfinished(&mut self, upto: Lsn) -> Result<(), SortedStoreError> {
        self.inner.discard_unfinished(upto)
    }
    fn verify_files(&self, cursor: &mut FileCursor, bytes_max: u64) -> Result<FileCheck, SortedStoreError> {
        self.inner.verify_files(cursor, bytes_max)
    }
    fn sizes(&self) -> StoreSizes {
        self.inner.sizes()
    }
}

/// Opens an empty store of its own, when the test says that it is time.
struct Opener {
    orders: Arc<Orders>,
    time: flume::Receiver<bool>,
    opens: flume::Sender<(FailureKind, u32, Lsn)>,
    /// What each opening gives; an empty store when there are no more.
    results: Vec<Result<Lsn, SortedStoreError>>,
    /// Whether a rescue comes to a good end; without one to tell it there is no rescue.
    rescues: flume::Receiver<bool>,
}

/// Comes to the end that it is told.
struct ToldRescue {
    is_good: bool,
    orders: Arc<Orders>,
    upto: Lsn,
}

impl StoreRescue for ToldRescue {
    fn step(&mut self, old: &dyn SortedStore) -> Result<Option<ReopenedStore>, SortedStoreError> {
        assert_eq!(old.engine(), "moody");
        if !self.is_good {
            return Err(failure(FailureKind::Damaged));
        }
        let mut inner = MemorySortedStore::new();
        inner.flush_durable(self.upto)?;
        let store = Box::new(Moody { inner, orders: Arc::clone(&self.orders), flushes: None });
        Ok(Some(ReopenedStore { store, generation: 7, wounds: Vec::new() }))
    }
}

impl ReopenStore for Opener {
    fn is_time(&mut self, _: FailureKind, _: u32) -> bool {
        self.time.recv().unwrap_or(false)
    }
    fn rescue(&mut self, _: u32, upto: Lsn) -> Result<Option<Box<dyn StoreRescue>>, SortedStoreError> {
        let Ok(is_good) = self.rescues.try_recv() else { return Ok(None) };
        Ok(Some(Box::new(ToldRescue { is_good, orders: Arc::clone(&self.orders), upto })))
    }
    fn reopen(&mut self, kind: FailureKind, generation: u32, upto: Lsn) -> Result<ReopenedStore, SortedStoreError> {
        let _ = self.opens.send((kind, generation, upto));
        let result = if self.results.is_empty() { Ok(upto) } else { self.results.remove(0) };
        let mut inner = MemorySortedStore::new();
        inner.flush_durable(result?)?;
        let store = Box::new(Moody { inner, orders: Arc::clone(&self.orders), flushes: None });
        Ok(ReopenedStore { store, generation: generation + 1, wounds: Vec::new() })
    }
}

/// A companion over a moody store, and the strings to pull.
struct Play {
    companion: Companion,
    orders: Arc<Orders>,
    time: flume::Sender<bool>,
    opens: flume::Receiver<(FailureKind, u32, Lsn)>,
    flushes: flume::Sender<()>,
    rescues: flume::Sender<bool>,
}

fn play(flushes_wait: bool, results: Vec<Result<Lsn, SortedStoreError>>) -> Play {
    let orders = Arc::new(Orders::default());
    let (time, times) = flume::unbounded();
    let (open, opens) = flume::unbounded();
    let (flushes, word) = flume::unbounded();
    let (rescue, rescues) = flume::unbounded();
    let flush_words = flushes_wait.then_some(word);
    let store = Moody { inner: MemorySortedStore::new(), orders: Arc::clone(&orders), flushes: flush_words };
    let opener = Opener { orders: Arc::clone(&orders), time: times, opens: open, results, rescues };
    let companion = Companion::spawn("companion-test".to_owned(), Box::new(store), 1, None, Box::new(opener));
    Play { companion: companion.expect("a thread"), orders, time, opens, flushes, rescues: rescue }
}

impl Play {
    fn ask(&self, request: CompanionRequest) {
        self.companion.ask(request).expect("room");
    }

    fn next(&self) -> CompanionAnswer {
        self.companion.answers().recv_timeout(std::time::Duration::from_secs(60)).expect("an answer")
    }

    /// What a read of `token` finds.
    fn read(&self, token: u128) -> ColdFound {
        self.ask(CompanionRequest::Get(vec![read(token)]));
        match self.next() {
            CompanionAnswer::Got(mut answers) => answers.remove(0).found,
            other => panic!("no read: {other:?}"),
        }
    }

    fn down(&self, expected: FailureKind) {
        match self.next() {
            CompanionAnswer::Down { kind, .. } => assert_eq!(kind, expected),
            other => panic!("not down: {other:?}"),
        }
    }

    fn applied(&self, expected: u32) {
        match self.next() {
            CompanionAnswer::Applied { generation, table } => {
                assert_eq!((generation, table.last_lsn()), (expected, Lsn(500)));
            }
            other => panic!("not applied: {other:?}"),
        }
    }

    fn reopened(&self, expected: u32) {
        let answer = self.next();
        let is_so = matches!(answer, CompanionAnswer::Reopened { generation, .. } if generation == expected);
        assert!(is_so, "not reopened: {answer:?}");
    }

    fn stop(&self) {
        self.ask(CompanionRequest::Stop);
        let answer = self.next();
        assert!(matches!(answer, CompanionAnswer::Stopped), "not stopped: {answer:?}");
    }
}

#[test]
fn a_read_after_a_checkpoint_sees_it() {
    let play = play(false, Vec::new());
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.applied(1);
    let found = play.read(500);
    assert!(matches!(&found, ColdFound::Object(found) if found.object.len() == 100 && found.lsn == Lsn(500)));
    assert_eq!(play.read(9999), ColdFound::Absent);
    play.stop();
}

#[test]
fn reads_go_on_while_a_flush_takes_its_time_and_a_stop_waits_for_it() {
    let play = play(true, Vec::new());
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    // Found only once it was applied; the flush ends no sooner than the test says.
    while play.read(500) == ColdFound::Absent {}
    assert_eq!(play.read(9999), ColdFound::Absent);
    play.ask(CompanionRequest::Stop);
    play.flushes.send(()).expect("the flush waits");
    play.applied(1);
    assert!(matches!(play.next(), CompanionAnswer::Stopped));
}

#[test]
fn a_store_without_room_answers_reads_until_it_is_opened_again_and_then_has_all_of_the_checkpoint() {
    let play = play(false, Vec::new());
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.applied(1);
    play.orders.apply_fails.store(true, Ordering::SeqCst);
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.down(FailureKind::NoSpace);
    assert!(matches!(play.read(7), ColdFound::Object(_)), "the old handle still answers");
    play.time.send(false).expect("it looks");
    assert!(matches!(play.read(7), ColdFound::Object(_)));
    play.orders.apply_fails.store(false, Ordering::SeqCst);
    play.time.send(true).expect("it looks");
    play.reopened(2);
    assert_eq!(play.opens.recv(), Ok((FailureKind::NoSpace, 1, Lsn(500))));
    play.applied(2);
    assert!(matches!(play.read(7), ColdFound::Object(_)), "applied from the start, to an empty store");
    play.stop();
}

#[test]
fn a_flush_that_fails_is_never_taken_for_done_by_the_next_one() {
    let play = play(false, Vec::new());
    play.orders.flush_fails.store(true, Ordering::SeqCst);
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.down(FailureKind::Io);
    play.orders.flush_fails.store(false, Ordering::SeqCst);
    play.time.send(true).expect("it looks");
    play.reopened(2);
    play.applied(2);
    play.stop();
}

#[test]
fn an_opening_that_fails_is_tried_again_and_reads_are_unreadable_meanwhile() {
    let play = play(false, vec![Err(failure(FailureKind::NoSpace)), Ok(Lsn(0))]);
    play.orders.apply_fails.store(true, Ordering::SeqCst);
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.down(FailureKind::NoSpace);
    play.time.send(true).expect("it looks");
    play.opens.recv().expect("the first opening");
    assert_eq!(play.read(7), ColdFound::Unreadable, "there is no handle any more");
    play.orders.apply_fails.store(false, Ordering::SeqCst);
    play.time.send(true).expect("it looks");
    play.reopened(2);
    play.applied(2);
    play.stop();
}

#[test]
fn a_store_that_comes_back_with_less_than_it_had_is_damaged() {
    let play = play(false, vec![Ok(Lsn(3))]);
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.applied(1);
    play.orders.apply_fails.store(true, Ordering::SeqCst);
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.down(FailureKind::NoSpace);
    play.time.send(true).expect("it looks");
    play.down(FailureKind::Damaged);
    play.stop();
}

#[test]
fn damage_met_by_a_read_takes_the_store_down_and_the_read_is_answered() {
    let play = play(false, Vec::new());
    play.orders.read_is_damaged.store(true, Ordering::SeqCst);
    assert_eq!(play.read(7), ColdFound::Unreadable);
    play.down(FailureKind::Damaged);
    assert_eq!(play.read(7), ColdFound::Unreadable);
    play.stop();
}

#[test]
fn a_damaged_store_is_followed_by_what_could_be_rescued_from_its_handle() {
    let play = play(false, Vec::new());
    play.orders.read_is_damaged.store(true, Ordering::SeqCst);
    assert_eq!(play.read(7), ColdFound::Unreadable);
    play.down(FailureKind::Damaged);
    play.orders.read_is_damaged.store(false, Ordering::SeqCst);
    assert_eq!(play.read(7), ColdFound::Absent, "the old handle answers meanwhile");
    play.rescues.send(true).expect("it is asked");
    play.time.send(true).expect("it looks");
    play.reopened(7);
    assert!(play.opens.is_empty(), "nothing was opened for that");
    play.stop();
}

#[test]
fn a_rescue_in_vain_is_followed_by_an_opening() {
    let play = play(false, Vec::new());
    play.orders.read_is_damaged.store(true, Ordering::SeqCst);
    assert_eq!(play.read(7), ColdFound::Unreadable);
    play.down(FailureKind::Damaged);
    play.rescues.send(false).expect("it is asked");
    play.time.send(true).expect("it looks");
    play.time.send(true).expect("it looks again");
    play.reopened(2);
    assert_eq!(play.opens.recv(), Ok((FailureKind::Damaged, 1, Lsn(0))));
    play.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_store_that_is_down() {
    let play = play(false, Vec::new());
    play.orders.apply_fails.store(true, Ordering::SeqCst);
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.down(FailureKind::NoSpace);
    play.stop();
}

#[derive(Debug)]
struct BadJob {
    orders: Arc<Orders>,
    _owner: flume::Sender<()>,
}

impl StoreJob for BadJob {
    fn name(&self) -> &'static str {
        "bad"
    }
    fn step(&mut self, _: &mut dyn SortedStore, _: crate::store_job::JobMoment) -> crate::store_job::JobStep {
        assert!(!self.orders.job_panics.load(Ordering::SeqCst), "a job that was told to panic");
        crate::store_job::JobStep::Later
    }
}

#[test]
fn a_job_that_panics_ends_alone() {
    let play = play(false, Vec::new());
    let (owner, ended) = flume::bounded(0);
    play.orders.job_panics.store(true, Ordering::SeqCst);
    play.ask(CompanionRequest::Run(Box::new(BadJob { orders: Arc::clone(&play.orders), _owner: owner })));
    assert!(ended.recv().is_err(), "its owner notices");
    assert_eq!(play.read(7), ColdFound::Absent);
    play.stop();
}

#[test]
fn a_store_that_fails_takes_its_jobs_along() {
    let play = play(false, Vec::new());
    let (owner, ended) = flume::bounded(0);
    play.ask(CompanionRequest::Run(Box::new(BadJob { orders: Arc::clone(&play.orders), _owner: owner })));
    play.orders.apply_fails.store(true, Ordering::SeqCst);
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    play.down(FailureKind::NoSpace);
    assert!(ended.recv().is_err());
    play.stop();
}

/// Holds on until it is told to end, and tells what it finds under a key.
#[derive(Debug)]
struct HoldingJob {
    found: flume::Sender<bool>,
    end: flume::Receiver<()>,
}

impl StoreJob for HoldingJob {
    fn name(&self) -> &'static str {
        "holding"
    }
    fn step(&mut self, store: &mut dyn SortedStore, _: crate::store_job::JobMoment) -> crate::store_job::JobStep {
        let _ = self.found.send(store.get(7, b"k").expect("readable").is_some());
        if self.end.try_recv().is_ok() { crate::store_job::JobStep::Done } else { crate::store_job::JobStep::Hold }
    }
}

#[test]
fn a_checkpoint_waits_for_a_job_that_holds_on_and_reads_do_not() {
    let play = play(false, Vec::new());
    let ((found, finds), (end, ends)) = (flume::unbounded(), flume::bounded(1));
    let next_step = || finds.recv_timeout(std::time::Duration::from_secs(60)).expect("another step");
    play.ask(CompanionRequest::Run(Box::new(HoldingJob { found, end: ends })));
    assert!(!next_step());
    play.ask(CompanionRequest::Checkpoint(frozen(500)));
    // Answered after the request before it was taken.
    assert_eq!(play.read(7), ColdFound::Absent);
    finds.drain().for_each(drop);
    assert!(!next_step() && !next_step(), "the checkpoint came between");
    end.send(()).expect("it listens");
    play.applied(1);
    assert!(matches!(play.read(7), ColdFound::Object(_)));
    play.stop();
}
