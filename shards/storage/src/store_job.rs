//! Background work on the sorted store: scrubbing, copying, rebuilding. Done in small steps between the reads and the
//! checkpoints, with a share of the companion's time.
//!
//! A job says how it went through a channel of its own; here it is only driven. Dropped before its end, it was cancelled
//! (the shard stops): then its channel closes without a word.

use crate::limits::JOB_REST_TIMES;
use crate::sorted_store::{SortedEntry, SortedStore};
use core::fmt::Debug;

/// What a step of a job must know about its moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobMoment {
    /// No checkpoint is half applied: what the store holds now is what it held at the end of the last checkpoint.
    pub is_between_checkpoints: bool,
}

/// What is to follow a step.
pub enum JobStep {
    /// Another one.
    More,
    /// Another one, after [`crate::limits::JOB_LATER`]: whoever takes what the job makes has no room now.
    Later,
    /// The same, and no checkpoint begins before it: for a last piece that must find the store as it was, and is short.
    Hold,
    /// Nothing: the job is done (or has given up, and said so).
    Done,
    /// The job is done, and what it built takes the store's place. Only between checkpoints; everything that the old store
    /// durably holds, the new one durably holds too.
    Replace {
        /// The new store.
        store: Box<dyn SortedStore>,
        /// Its generation, for the next manifest.
        generation: u32,
    },
}

/// Work in steps of about a millisecond.
pub trait StoreJob: Send + Debug {
    /// For logs and metrics: one lower-case word.
    fn name(&self) -> &'static str;

    /// Does the next piece.
    fn step(&mut self, store: &mut dyn SortedStore, moment: JobMoment) -> JobStep;

    /// A checkpoint has just put these entries into the store, between two steps.
    fn applied(&mut self, entries: &[SortedEntry<'_>]) {
        let _ = entries;
    }

    /// After a step the store is left alone this many times as long as the step took: the job's share.
    fn rest_times(&self) -> u32 {
        JOB_REST_TIMES
    }
}
