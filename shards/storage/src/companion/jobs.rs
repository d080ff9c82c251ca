//! Background work on the store, taking turns.

use super::work::panic_text;
use crate::limits::JOB_LATER;
use crate::sorted_store::{SortedEntry, SortedStore};
use crate::store_job::{JobMoment, JobStep, StoreJob};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The jobs that are not done.
#[derive(Default)]
pub(super) struct Jobs {
    waiting: VecDeque<Box<dyn StoreJob>>,
    /// When the next step may be done, so that the jobs keep to their share.
    next_at: Option<Instant>,
    /// The first of them is at a piece that no checkpoint may come between.
    is_holding: bool,
}

impl Jobs {
    /// How long until the next step may be done; `None` if there is nothing to do.
    pub(super) fn wait(&self) -> Option<Duration> {
        let next_at = self.next_at.filter(|_| !self.waiting.is_empty());
        next_at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    pub(super) fn push(&mut self, job: Box<dyn StoreJob>) {
        self.waiting.push_back(job);
        self.next_at.get_or_insert_with(Instant::now);
    }

    /// The store that they worked on is gone: they are cancelled.
    pub(super) fn cancel(&mut self) {
        self.waiting.clear();
        self.is_holding = false;
    }

    /// Must checkpoints wait?
    pub(super) fn is_holding(&self) -> bool {
        self.is_holding
    }

    /// A checkpoint has just put these entries into the store.
    pub(super) fn applied(&mut self, entries: &[SortedEntry<'_>]) {
        self.waiting.iter_mut().for_each(|job| job.applied(entries));
    }

    /// One step of the job whose turn it is; afterwards the store rests from jobs so long that they keep to their share. A job
    /// that panics is over, and its owner notices that its channel closed.
    pub(super) fn step(&mut self, store: &mut Box<dyn SortedStore>, generation: &mut u32) {
        let Some(mut job) = self.waiting.pop_front() else { return };
        let began = Instant::now();
        // Steps are done between checkpoints only.
        let moment = JobMoment { is_between_checkpoints: true };
        let (mut rest_times, mut rest_min) = (job.rest_times(), Duration::ZERO);
        self.is_holding = false;
        match catch_unwind(AssertUnwindSafe(|| job.step(&mut **store, moment))) {
            Ok(JobStep::More) => self.waiting.push_back(job),
            Ok(JobStep::Later) => {
                (rest_times, rest_min) = (0, JOB_LATER);
                self.waiting.push_back(job);
            }
            Ok(JobStep::Hold) => {
                (rest_times, rest_min) = (0, JOB_LATER);
                self.is_holding = true;
                self.waiting.push_front(job);
            }
            Ok(JobStep::Done) => tracing::debug!(job = job.name(), "a background job has ended"),
            Ok(JobStep::Replace { store: built, generation: next }) => {
                *store = built;
                *generation = next;
            }
            Err(panic) => tracing::error!(job = job.name(), panic = panic_text(&*panic), "a background job panicked"),
        }
        let ended = Instant::now();
        self.next_at = Some(ended + rest_min.max((ended - began) * rest_times));
    }
}
