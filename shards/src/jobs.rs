//! Background jobs on their way from the node to the companions.
//!
//! A job that copies what was acknowledged must find it in the sorted store, so it may ask that a checkpoint be made first:
//! everything appended when it arrived is then in the store when it begins. Jobs wait here until it is, or until they are
//! cancelled.

use core::fmt;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rondo_protocol::node::ShardIndex;
use rondo_storage::{CompanionRequest, FrozenTable, Lsn, Manifest, StoreJob, Wound, Wounds};

use crate::limits::JOBS_MAX;
use crate::shard::{Shard, ShardPhase};

/// What a job is told when it begins.
#[derive(Clone, Debug)]
pub struct JobStart {
    /// The shard it runs on.
    pub shard: ShardIndex,
    /// The shard's directory.
    pub directory: PathBuf,
    /// Whose record numbers these are: numbers of another lineage cannot be compared.
    pub lineage: u64,
    /// The sorted store durably holds all records up to this one.
    pub upto: Lsn,
    /// The largest clock bound among them.
    pub hlc_bound: u64,
    /// What the shard has lost and has not been given back.
    pub wounds: Wounds,
}

type Begin = Box<dyn FnOnce(JobStart) -> Box<dyn StoreJob> + Send>;

/// A job that has not begun.
pub struct ShardJob {
    begin: Begin,
    needs_checkpoint: bool,
    is_cancelled: Arc<AtomicBool>,
}

impl ShardJob {
    /// A job that begins at once. While `is_cancelled` is true it does not begin, and is dropped.
    pub fn new(
        is_cancelled: Arc<AtomicBool>,
        begin: impl FnOnce(JobStart) -> Box<dyn StoreJob> + Send + 'static,
    ) -> ShardJob {
        ShardJob { begin: Box::new(begin), needs_checkpoint: false, is_cancelled }
    }

    /// It begins when everything that the shard had appended when it arrived is in the sorted store.
    #[must_use]
    pub fn after_checkpoint(self) -> ShardJob {
        ShardJob { needs_checkpoint: true, ..self }
    }
}

impl fmt::Debug for ShardJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardJob").field("needs_checkpoint", &self.needs_checkpoint).finish_non_exhaustive()
    }
}

/// The jobs that wait, and what they will be told.
#[derive(Debug)]
pub(crate) struct Jobs {
    /// Each with the record that must be in the sorted store first.
    waiting: VecDeque<(Lsn, ShardJob)>,
    /// Begun, but the companion's queue was full.
    begun: VecDeque<Box<dyn StoreJob>>,
    directory: PathBuf,
    lineage: u64,
    upto: Lsn,
    hlc_bound: u64,
    /// Wounds were found that no file names yet.
    pub(crate) owes_wounds: bool,
}

impl Jobs {
    /// None yet.
    pub(crate) fn new(manifest: &Manifest, directory: PathBuf) -> Jobs {
        Jobs {
            waiting: VecDeque::new(),
            begun: VecDeque::new(),
            directory,
            lineage: manifest.lineage,
            upto: manifest.upto,
            hlc_bound: manifest.hlc_bound,
            owes_wounds: false,
        }
    }

    /// Does a job wait for what only another checkpoint brings?
    pub(crate) fn want_checkpoint(&self) -> bool {
        self.waiting.iter().any(|(upto, _)| self.upto < *upto)
    }

    /// A checkpoint is in the sorted store and in the manifest.
    pub(crate) fn checkpointed(&mut self, table: &FrozenTable) {
        self.upto = table.last_lsn();
        self.hlc_bound = self.hlc_bound.max(table.hlc_bound());
    }

    /// Begins what may begin, and forgets what was cancelled.
    fn begin(&mut self, shard: ShardIndex, wounds: &Wounds) {
        let upto = self.upto;
        for (needed, job) in core::mem::take(&mut self.waiting) {
            if job.is_cancelled.load(Ordering::Acquire) {
                continue;
            }
            if upto < needed {
                self.waiting.push_back((needed, job));
                continue;
            }
            let (directory, lineage, hlc_bound) = (self.directory.clone(), self.lineage, self.hlc_bound);
            let wounds = wounds.clone();
            self.begun.push_back((job.begin)(JobStart { shard, directory, lineage, upto, hlc_bound, wounds }));
        }
    }
}

impl Shard {
    /// Takes a job from outside. Past [`JOBS_MAX`] it is dropped, which its owner notices.
    pub(crate) fn take_job(&mut self, job: ShardJob) {
        if self.jobs.waiting.len() + self.jobs.begun.len() >= JOBS_MAX || self.phase == ShardPhase::Stopping {
            return;
        }
        let needed = if job.needs_checkpoint { self.store.last_lsn() } else { Lsn(0) };
        self.jobs.waiting.push_back((needed, job));
        self.begin_checkpoint_if_due();
        self.start_jobs();
    }

    /// A scrub has found what cannot be read: from now on it is known to be lost, and soon durably.
    pub(crate) fn take_wounds(&mut self, wounds: Vec<Wound>) {
        tracing::error!(shard = self.index.0, wounds = wounds.len(), "stored objects are damaged and count as lost");
        self.store.add_wounds(wounds);
        self.jobs.owes_wounds = true;
        self.commit_bell.ring();
    }

    /// Gives the companion the jobs that wait for nothing any more.
    pub(crate) fn start_jobs(&mut self) {
        if !self.jobs.waiting.is_empty() {
            self.jobs.begin(self.index, self.store.wounds());
        }
        while let Some(job) = self.jobs.begun.pop_front() {
            if let Err(CompanionRequest::Run(job)) = self.cold.companion().ask(CompanionRequest::Run(job)) {
                self.jobs.begun.push_front(job);
                return;
            }
        }
    }
}
