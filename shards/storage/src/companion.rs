//! The shard's second pair of hands: a thread that may wait for the sorted store.
//!
//! ```text
//! shard ──Get, Checkpoint, Run, Stop──► [bounded] ──► companion: serve reads, one piece of the checkpoint, or one step of a job, …
//!       ◄──Got, Applied, Failed─── [bounded] ◄──┘
//! ```
//! Answers come in the order in which things happened to the store; [`crate::ShardStore::loaded`] relies on it. A panic in
//! the store is caught and reported like a failure: the shard then refuses writes once its memtable is full.

use crate::checkpoint::CheckpointJob;
use crate::limits::{COMPANION_QUEUE_MAX, JOB_LATER};
use crate::sorted_store::{SortedStore, SortedStoreError, Stored};
use crate::store_job::{JobMoment, JobStep, StoreJob};
use crate::table::FrozenTable;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One cold read.
#[derive(Clone, Debug)]
pub struct ColdRead {
    /// Whatever the asker needs to find the request again.
    pub tag: u64,
    /// Where the key lies on the ring.
    pub token: u128,
    /// The key as it is routed.
    pub routed: Bytes,
}

/// What the sorted store had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ColdFound {
    /// The object.
    Object(Stored),
    /// Nothing.
    Absent,
    /// Something, but not what was written.
    Unreadable,
}

/// The outcome of one cold read: the read as it was asked, so that it can be given to [`crate::ShardStore::loaded`].
#[derive(Clone, Debug)]
pub struct ColdAnswer {
    /// The read.
    pub read: ColdRead,
    /// Its outcome.
    pub found: ColdFound,
}

/// What a companion is asked.
#[derive(Debug)]
pub enum CompanionRequest {
    /// Read these keys (at most [`crate::limits::COLD_READS_MAX`]).
    Get(Vec<ColdRead>),
    /// Write this table and make it durable. One at a time.
    Checkpoint(Arc<FrozenTable>),
    /// Do this in the background.
    Run(Box<dyn StoreJob>),
    /// Finish what was asked before, then end.
    Stop,
}

/// What a companion answers, in the order in which things happened to the store.
#[derive(Debug)]
pub enum CompanionAnswer {
    /// The outcomes of one `Get`, in its order.
    Got(Vec<ColdAnswer>),
    /// The table is durable in the sorted store: now the manifest, then [`crate::ShardStore::checkpointed`].
    Applied {
        /// The table.
        table: Arc<FrozenTable>,
        /// The generation of the store that has it, for the manifest.
        generation: u32,
    },
    /// The store failed; the companion has ended and answers nothing more.
    Failed(String),
    /// The companion has ended as asked.
    Stopped,
}

/// A handle on the companion thread. Dropping it ends the thread when it has done what it was asked.
#[derive(Debug)]
pub struct Companion {
    requests: flume::Sender<CompanionRequest>,
    answers: flume::Receiver<CompanionAnswer>,
    thread: JoinHandle<()>,
}

impl Companion {
    /// Starts the thread `name`, pinned to `core` if given. `store` has to be open already: a store opened by a pinned
    /// thread would pin its own threads too.
    pub fn spawn(
        name: String,
        store: Box<dyn SortedStore>,
        generation: u32,
        core: Option<core_affinity::CoreId>,
    ) -> io::Result<Companion> {
        let (request_sender, requests) = flume::bounded(COMPANION_QUEUE_MAX);
        let (answer_sender, answers) = flume::bounded(COMPANION_QUEUE_MAX);
        let mut work = Work::new(store, generation, requests, answer_sender);
        let body = move || {
            if let Some(core) = core
                && !core_affinity::set_for_current(core)
            {
                tracing::warn!(core = core.id, "the companion could not be pinned; it goes on unpinned");
            }
            work.run_guarded();
        };
        let thread = std::thread::Builder::new().name(name).spawn(body)?;
        Ok(Companion { requests: request_sender, answers, thread })
    }

    /// Asks without waiting; the request comes back if the queue is full or the companion has ended.
    pub fn ask(&self, request: CompanionRequest) -> Result<(), CompanionRequest> {
        self.requests.try_send(request).map_err(flume::TrySendError::into_inner)
    }

    /// Where the answers come; clone it into a task that waits with `recv_async`.
    pub fn answers(&self) -> &flume::Receiver<CompanionAnswer> {
        &self.answers
    }

    /// Has the thread ended?
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Nobody listens any more, or the work is done.
struct Ended;

struct Work {
    store: Box<dyn SortedStore>,
    requests: flume::Receiver<CompanionRequest>,
    answers: flume::Sender<CompanionAnswer>,
    generation: u32,
    checkpoint: Option<CheckpointJob>,
    jobs: Jobs,
}

/// Background work, taking turns.
#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Box<dyn StoreJob>>,
    /// When the next step may be done, so that the jobs keep to their share.
    next_at: Option<Instant>,
}

impl Jobs {
    /// How long until the next step may be done; `None` if there is nothing to do.
    fn wait(&self) -> Option<Duration> {
        let next_at = self.next_at.filter(|_| !self.waiting.is_empty());
        next_at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn push(&mut self, job: Box<dyn StoreJob>) {
        self.waiting.push_back(job);
        self.next_at.get_or_insert_with(Instant::now);
    }
}

impl Work {
    fn new(
        store: Box<dyn SortedStore>,
        generation: u32,
        requests: flume::Receiver<CompanionRequest>,
        answers: flume::Sender<CompanionAnswer>,
    ) -> Work {
        Work { store, requests, answers, generation, checkpoint: None, jobs: Jobs::default() }
    }

    /// The store is not used after a panic, so nobody sees it half changed.
    fn run_guarded(&mut self) {
        let last = match catch_unwind(AssertUnwindSafe(|| self.run())) {
            Ok(Ok(Ended)) => CompanionAnswer::Stopped,
            Ok(Err(error)) => CompanionAnswer::Failed(error.to_string()),
            Err(panic) => CompanionAnswer::Failed(format!("the sorted store panicked: {}", panic_text(&*panic))),
        };
        // Nobody may be listening any more; then nobody needs the answer.
        let _ = self.answers.send(last);
    }

    fn run(&mut self) -> Result<Ended, SortedStoreError> {
        let mut is_stopping = false;
        loop {
            let request = if self.checkpoint.is_some() || is_stopping {
                self.requests.try_recv().ok()
            } else if let Some(wait) = self.jobs.wait() {
                match self.requests.recv_timeout(wait) {
                    Err(flume::RecvTimeoutError::Timeout) => {
                        self.step_job();
                        continue;
                    }
                    request => Some(request.unwrap_or(CompanionRequest::Stop)),
                }
            } else {
                // An error means that the handle is gone: the same as Stop.
                Some(self.requests.recv().unwrap_or(CompanionRequest::Stop))
            };
            match request {
                Some(CompanionRequest::Get(reads)) => {
                    if self.serve(reads)?.is_some() {
                        return Ok(Ended);
                    }
                }
                Some(CompanionRequest::Checkpoint(table)) => {
                    assert!(self.checkpoint.is_none(), "one checkpoint at a time");
                    self.checkpoint = Some(CheckpointJob::new(table));
                }
                Some(CompanionRequest::Run(job)) => self.jobs.push(job),
                Some(CompanionRequest::Stop) => is_stopping = true,
                None if self.checkpoint.is_none() => return Ok(Ended),
                None => {
                    if self.step()?.is_some() {
                        return Ok(Ended);
                    }
                }
            }
        }
    }

    /// One damaged object is an answer; a store that cannot go on is the end.
    fn serve(&self, reads: Vec<ColdRead>) -> Result<Option<Ended>, SortedStoreError> {
        let mut answers = Vec::with_capacity(reads.len());
        for read in reads {
            let found = match self.store.get(read.token, &read.routed) {
                Ok(Some(object)) => ColdFound::Object(object),
                Ok(None) => ColdFound::Absent,
                Err(SortedStoreError::Unreadable { what }) => {
                    tracing::error!(token = format!("{:032x}", read.token), what, "a stored object is damaged");
                    ColdFound::Unreadable
                }
                Err(error @ SortedStoreError::Failed { .. }) => return Err(error),
            };
            answers.push(ColdAnswer { read, found });
        }
        Ok(self.answer(CompanionAnswer::Got(answers)))
    }

    fn step(&mut self) -> Result<Option<Ended>, SortedStoreError> {
        let Some(checkpoint) = &mut self.checkpoint else { return Ok(None) };
        let jobs = &mut self.jobs.waiting;
        if !checkpoint.step_watched(&mut *self.store, |entries| jobs.iter_mut().for_each(|job| job.applied(entries)))? {
            return Ok(None);
        }
        let table = self.checkpoint.take().map(CheckpointJob::into_table).expect("the checkpoint was there a line ago");
        Ok(self.answer(CompanionAnswer::Applied { table, generation: self.generation }))
    }

    /// One step of the job whose turn it is; afterwards the store rests from jobs so long that they keep to their share.
    fn step_job(&mut self) {
        let Some(mut job) = self.jobs.waiting.pop_front() else { return };
        let began = Instant::now();
        let moment = JobMoment { is_between_checkpoints: self.checkpoint.is_none() };
        let (mut rest_times, mut rest_min) = (job.rest_times(), Duration::ZERO);
        match job.step(&mut *self.store, moment) {
            JobStep::More => self.jobs.waiting.push_back(job),
            JobStep::Later => {
                (rest_times, rest_min) = (0, JOB_LATER);
                self.jobs.waiting.push_back(job);
            }
            JobStep::Done => tracing::debug!(job = job.name(), "a background job has ended"),
            JobStep::Replace { store, generation } => {
                assert!(moment.is_between_checkpoints, "{} replaced the store amid a checkpoint", job.name());
                self.store = store;
                self.generation = generation;
            }
        }
        let ended = Instant::now();
        self.jobs.next_at = Some(ended + rest_min.max((ended - began) * rest_times));
    }

    fn answer(&self, answer: CompanionAnswer) -> Option<Ended> {
        self.answers.send(answer).err().map(|_| Ended)
    }
}

fn panic_text(panic: &(dyn core::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::StoreLimits;
    use crate::record::{LogRecord, Lsn};
    use crate::shard_store::ShardStore;
    use crate::sorted_store::{
        FileCheck, FileCursor, FlushTask, KeyPage, MemorySortedStore, PageLimits, ScanPage, StoreSizes,
    };

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

    fn next(companion: &Companion) -> CompanionAnswer {
        companion.answers().recv().expect("an answer")
    }

    /// What a companion answers to requests that were all there when it began.
    fn answers_to(requests: Vec<CompanionRequest>) -> Vec<CompanionAnswer> {
        let (request_sender, request_receiver) = flume::unbounded();
        let (answers, answer_receiver) = flume::unbounded();
        requests.into_iter().for_each(|request| request_sender.send(request).expect("open"));
        let store = Box::new(MemorySortedStore::new());
        Work::new(store, 1, request_receiver, answers).run_guarded();
        answer_receiver.drain().collect()
    }

    #[test]
    fn a_read_does_not_wait_for_a_checkpoint_and_stop_does() {
        let checkpoint = CompanionRequest::Checkpoint(frozen(5000));
        let answers =
            answers_to(vec![checkpoint, CompanionRequest::Get(vec![read(1), read(9999)]), CompanionRequest::Stop]);
        let [CompanionAnswer::Got(reads), CompanionAnswer::Applied { table, .. }, CompanionAnswer::Stopped] =
            &answers[..]
        else {
            panic!("{answers:?}")
        };
        assert_eq!((reads.len(), reads[1].found.clone()), (2, ColdFound::Absent));
        assert_eq!(table.last_lsn(), Lsn(5000));
    }

    #[test]
    fn a_read_after_a_checkpoint_sees_it() {
        let companion = Companion::spawn("companion-test".to_owned(), Box::new(MemorySortedStore::new()), 1, None);
        let companion = companion.expect("a thread");
        companion.ask(CompanionRequest::Checkpoint(frozen(500))).expect("room");
        assert!(matches!(next(&companion), CompanionAnswer::Applied { generation: 1, .. }));
        companion.ask(CompanionRequest::Get(vec![read(500)])).expect("room");
        let CompanionAnswer::Got(answers) = next(&companion) else { panic!("no read") };
        assert!(
            matches!(&answers[0].found, ColdFound::Object(found) if found.object.len() == 100 && found.lsn == Lsn(500))
        );
        companion.ask(CompanionRequest::Stop).expect("room");
        assert!(matches!(next(&companion), CompanionAnswer::Stopped));
    }

    #[derive(Debug)]
    struct Broken;

    impl SortedStore for Broken {
        fn engine(&self) -> &'static str {
            "broken"
        }
        fn get(&self, _: u128, _: &[u8]) -> Result<Option<Stored>, SortedStoreError> {
            panic!("a flipped bit")
        }
        fn apply(&mut self, _: &[crate::SortedEntry<'_>]) -> Result<(), SortedStoreError> {
            Ok(())
        }
        fn scan(&self, _: &[u8], _: u128, _: PageLimits) -> Result<ScanPage, SortedStoreError> {
            Ok(ScanPage::default())
        }
        fn scan_keys(&self, _: &[u8], _: u128, _: usize) -> Result<KeyPage, SortedStoreError> {
            Ok(KeyPage::default())
        }
        fn flush_task(&mut self, _: Lsn) -> FlushTask {
            Box::new(|| Ok(()))
        }
        fn durable_upto(&self) -> Result<Lsn, SortedStoreError> {
            Ok(Lsn(0))
        }
        fn discard_unfinished(&mut self, _: Lsn) -> Result<(), SortedStoreError> {
            Ok(())
        }
        fn verify_files(&self, _: &mut FileCursor, _: u64) -> Result<FileCheck, SortedStoreError> {
            Ok(FileCheck::default())
        }
        fn sizes(&self) -> StoreSizes {
            StoreSizes::default()
        }
    }

    #[test]
    fn a_store_that_panics_is_reported_and_the_thread_ends() {
        let companion = Companion::spawn("companion-test".to_owned(), Box::new(Broken), 1, None).expect("a thread");
        companion.ask(CompanionRequest::Get(vec![read(1)])).expect("room");
        let CompanionAnswer::Failed(why) = next(&companion) else { panic!("not reported") };
        assert!(why.contains("a flipped bit"), "{why}");
        assert!(companion.answers().recv().is_err(), "nothing more is answered");
    }
}
