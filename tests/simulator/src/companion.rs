//! The shard's second pair of hands, without a thread.
//!
//! Works off the same requests as the real companion, one piece at a time and each piece after a while, over a sorted
//! store that loses in a power cut what it had not flushed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rondo_storage::sorted_store::{FileCheck, FileCursor, FlushTask, KeyPage, ScanPage, StoreSizes};
use rondo_storage::{
    CheckpointJob, ColdAnswer, ColdFound, ColdRead, CompanionAnswer, CompanionRequest, KeyFilter, Lsn,
    MemorySortedStore, PageLimits, SortedEntry, SortedStore, SortedStoreError, Stored,
};

use crate::random::{Permille, Random};

/// A sorted store that outlives the lives of its node.
#[derive(Clone, Debug, Default)]
pub struct SharedStore(Arc<Mutex<MemorySortedStore>>);

/// What is asked of the sorted store, in order.
#[derive(Debug)]
pub struct Companion {
    store: SharedStore,
    requests: VecDeque<CompanionRequest>,
    checkpoint: Option<CheckpointJob>,
}

impl SharedStore {
    /// A power cut: each change that was not flushed is kept or lost on its own.
    pub fn crash(&self, kept: Permille, random: &mut Random) {
        self.store().crash(|_| random.happens(kept));
    }

    fn store(&self) -> MutexGuard<'_, MemorySortedStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Companion {
    /// A companion with nothing to do.
    pub fn new(store: SharedStore) -> Companion {
        Companion { store, requests: VecDeque::new(), checkpoint: None }
    }

    /// Asks; true if the companion was idle, so that its first piece of work must be planned.
    pub fn ask(&mut self, request: CompanionRequest) -> bool {
        let was_idle = self.is_idle();
        self.requests.push_back(request);
        was_idle
    }

    /// Is there nothing left to do?
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.checkpoint.is_none()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// Does one piece of work: reads that wait go before the next piece of a checkpoint.
    pub fn step(&mut self) -> Result<Option<CompanionAnswer>, SortedStoreError> {
        match self.requests.pop_front() {
            Some(CompanionRequest::Get(reads)) => {
                Ok(Some(CompanionAnswer::Got(reads.into_iter().map(|read| self.read(read)).collect())))
            }
            Some(CompanionRequest::Checkpoint(table)) => {
                assert!(self.checkpoint.is_none(), "one checkpoint at a time");
                self.checkpoint = Some(CheckpointJob::new(table));
                Ok(None)
            }
            Some(CompanionRequest::Run(job)) => unreachable!("{job:?}: no shard of the simulator has background jobs"),
            Some(CompanionRequest::Stop) => Ok(Some(CompanionAnswer::Stopped)),
            None => self.step_checkpoint(),
        }
    }

    fn step_checkpoint(&mut self) -> Result<Option<CompanionAnswer>, SortedStoreError> {
        let Some(mut job) = self.checkpoint.take() else { return Ok(None) };
        if job.step(&mut *self.store.store())? {
            return Ok(Some(CompanionAnswer::Applied { table: job.into_table(), generation: 1 }));
        }
        self.checkpoint = Some(job);
        Ok(None)
    }

    fn read(&self, read: ColdRead) -> ColdAnswer {
        let found = match self.store.get(read.token, &read.routed) {
            Ok(Some(stored)) => ColdFound::Object(stored),
            Ok(None) => ColdFound::Absent,
            Err(_) => ColdFound::Unreadable,
        };
        ColdAnswer { read, found }
    }
}

impl SortedStore for SharedStore {
    fn engine(&self) -> &'static str {
        self.store().engine()
    }
    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Stored>, SortedStoreError> {
        self.store().get(token, routed)
    }
    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError> {
        self.store().apply(entries)
    }
    fn scan(&self, from: &[u8], token_last: u128, limits: PageLimits) -> Result<ScanPage, SortedStoreError> {
        self.store().scan(from, token_last, limits)
    }
    fn scan_keys(&self, from: &[u8], token_last: u128, keys_max: usize) -> Result<KeyPage, SortedStoreError> {
        self.store().scan_keys(from, token_last, keys_max)
    }
    fn flush_task(&mut self, upto: Lsn) -> FlushTask {
        self.store().flush_task(upto)
    }
    fn durable_upto(&self) -> Result<Lsn, SortedStoreError> {
        self.store().durable_upto()
    }
    fn discard_unfinished(&mut self, upto: Lsn) -> Result<(), SortedStoreError> {
        self.store().discard_unfinished(upto)
    }
    fn key_filter(&self, vnode_bits: u8, bytes_max: usize) -> Result<Option<KeyFilter>, SortedStoreError> {
        self.store().key_filter(vnode_bits, bytes_max)
    }
    fn verify_files(&self, cursor: &mut FileCursor, bytes_max: u64) -> Result<FileCheck, SortedStoreError> {
        self.store().verify_files(cursor, bytes_max)
    }
    fn sizes(&self) -> StoreSizes {
        self.store().sizes()
    }
}
