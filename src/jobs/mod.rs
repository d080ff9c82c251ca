//! Long work on a running node that an operator asks for: one thread each, one of a kind at a time, looked at and cancelled
//! over the admin port.
//!
//! Here is only the bookkeeping. What a backup or a scrub does stands in the files beside.

mod backup;
mod job;
mod schedule;
mod scrub;
mod totals;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::limits::JOBS_REMEMBERED;
use crate::supervisor::Lifeline;

pub(crate) use backup::BackupOrder;
pub(crate) use job::{Ended, Job, JobKind, JobState};
pub(crate) use schedule::{ScrubSchedule, start as start_scrub_schedule};
pub(crate) use scrub::ScrubOrder;
pub(crate) use totals::Totals;

/// Why a job was not begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NotBegun {
    /// One of its kind runs already.
    Running { id: u64, kind: JobKind },
    /// It cannot be right; nothing was touched.
    Bad(String),
    /// The node is starting or stopping.
    NotServing,
    /// The system gave no thread.
    NoThread(String),
}

/// All jobs of this process that are remembered.
#[derive(Debug)]
pub(crate) struct Jobs {
    lifeline: Arc<Lifeline>,
    kept: Mutex<Kept>,
    totals: Arc<Totals>,
}

#[derive(Debug, Default)]
struct Kept {
    last_id: u64,
    jobs: VecDeque<Arc<Job>>,
}

impl Jobs {
    /// None yet.
    pub(crate) fn new(lifeline: Arc<Lifeline>) -> Jobs {
        Jobs { lifeline, kept: Mutex::default(), totals: Arc::default() }
    }

    /// Begins a backup.
    pub(crate) fn backup(&self, order: BackupOrder) -> Result<u64, NotBegun> {
        let plan = backup::plan(&self.lifeline, order)?;
        let lifeline = Arc::clone(&self.lifeline);
        self.begin(JobKind::Backup, move |job| backup::run(&lifeline, plan, job))
    }

    /// Begins a scrub.
    pub(crate) fn scrub(&self, order: ScrubOrder) -> Result<u64, NotBegun> {
        let plan = scrub::plan(&self.lifeline, order)?;
        let lifeline = Arc::clone(&self.lifeline);
        self.begin(JobKind::Scrub, move |job| scrub::run(&lifeline, plan, job))
    }

    fn begin(&self, kind: JobKind, work: impl FnOnce(&Job) -> Ended + Send + 'static) -> Result<u64, NotBegun> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = kept.jobs.iter().find(|job| job.kind == kind && job.is_running()) {
            return Err(NotBegun::Running { id: running.id, kind });
        }
        kept.last_id += 1;
        let job = Arc::new(Job::new(kept.last_id, kind));
        let (at_work, totals) = (Arc::clone(&job), Arc::clone(&self.totals));
        let body = move || {
            let _ends = job::EndsForSure(&at_work);
            let ended = work(&at_work);
            totals.count(kind, &ended);
            at_work.end(ended);
        };
        let thread = std::thread::Builder::new().name(format!("job-{}", job.id)).spawn(body);
        thread.map_err(|error| NotBegun::NoThread(error.to_string()))?;
        tracing::info!(job = job.id, kind = kind.word(), "a job has begun");
        let id = job.id;
        kept.jobs.push_back(job);
        if kept.jobs.len() > JOBS_REMEMBERED
            && let Some(oldest) = kept.jobs.iter().position(|job| !job.is_running())
        {
            kept.jobs.remove(oldest);
        }
        Ok(id)
    }

    /// Asks a job to end; false if there is none of that number.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(job) = kept.jobs.iter().find(|job| job.id == id) else { return false };
        job.cancel();
        true
    }

    /// What they have done so far.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The last jobs, newest first.
    pub(crate) fn to_json(&self) -> Value {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "jobs": kept.jobs.iter().rev().map(|job| job.to_json()).collect::<Vec<_>>() })
    }

    /// The last job of a kind that has ended.
    pub(crate) fn last_ended(&self, kind: JobKind) -> Option<Value> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.jobs.iter().rev().find(|job| job.kind == kind && !job.is_running()).map(|job| job.to_json())
    }
}

/// The wall clock.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> Jobs {
        Jobs::new(Arc::new(Lifeline::starting()))
    }

    fn done() -> Ended {
        Ended { state: JobState::Done, message: String::new(), result: Value::Null }
    }

    #[test]
    fn a_second_job_of_a_kind_is_refused_while_one_runs_and_another_kind_is_not() {
        let jobs = jobs();
        let (go, wait) = flume::bounded::<()>(0);
        let id = jobs.begin(JobKind::Backup, move |_| wait.recv().map_or_else(|_| done(), |()| done())).expect("free");
        let again = jobs.begin(JobKind::Backup, |_| done());
        assert_eq!(again, Err(NotBegun::Running { id, kind: JobKind::Backup }));
        assert!(jobs.begin(JobKind::Scrub, |_| done()).is_ok());
        drop(go);
        while jobs.last_ended(JobKind::Backup).is_none() {
            std::thread::yield_now();
        }
        assert!(jobs.begin(JobKind::Backup, |_| done()).is_ok());
    }

    #[test]
    fn a_cancelled_job_is_told_and_an_unknown_one_is_not_found() {
        let jobs = jobs();
        let id = jobs.begin(JobKind::Scrub, |job| {
            while !job.is_cancelled() {
                std::thread::yield_now();
            }
            Ended { state: JobState::Cancelled, message: String::new(), result: Value::Null }
        });
        assert!(jobs.cancel(id.expect("free")));
        assert!(!jobs.cancel(77));
        let ended = loop {
            if let Some(ended) = jobs.last_ended(JobKind::Scrub) {
                break ended;
            }
            std::thread::yield_now();
        };
        assert_eq!(ended["state"], "cancelled");
    }

    #[test]
    fn a_job_that_panics_has_failed_and_the_oldest_are_forgotten() {
        let jobs = jobs();
        for _ in 0..JOBS_REMEMBERED + 3 {
            while jobs.begin(JobKind::Backup, |_| panic!("on purpose")).is_err() {
                std::thread::yield_now();
            }
        }
        let json = jobs.to_json();
        let kept = json["jobs"].as_array().expect("a list");
        assert_eq!(kept.len(), JOBS_REMEMBERED);
        assert_eq!(kept[1]["state"], "failed");
    }
}
