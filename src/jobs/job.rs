//! One job: how far it is, whether it is to end, and how it ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rondo_storage::backup::JobProgress;
use serde_json::{Value, json};

use super::unix_millis;

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum JobKind {
    /// A copy of the node's objects.
    Backup,
    /// A look at every checksum.
    Scrub,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) state: JobState,
    /// For people; empty if there is nothing to say.
    pub(crate) message: String,
    /// For programs.
    pub(crate) result: Value,
}

/// Where a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum JobState {
    Running,
    /// Done, and all was well.
    Done,
    /// Done, but damage was met on the way.
    Damaged,
    Failed,
    Cancelled,
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) id: u64,
    pub(super) kind: JobKind,
    began_unix: u64,
    /// Set to end the parts of it that run on the shards.
    pub(crate) stop: Arc<AtomicBool>,
    is_cancelled: AtomicBool,
    /// One for each shard, once it is known how many there are.
    progress: Mutex<Vec<Arc<JobProgress>>>,
    end: Mutex<Option<(u64, Ended)>>,
}

impl Job {
    pub(super) fn new(id: u64, kind: JobKind) -> Job {
        Job {
            id,
            kind,
            began_unix: unix_millis() / 1000,
            stop: Arc::default(),
            is_cancelled: AtomicBool::new(false),
            progress: Mutex::default(),
            end: Mutex::default(),
        }
    }

    /// Asks it to end.
    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Release);
        self.stop.store(true, Ordering::Release);
    }

    /// Was it asked to end?
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// A window into the work on each of `shards` shards.
    pub(crate) fn follow(&self, shards: usize) -> Vec<Arc<JobProgress>> {
        let windows: Vec<Arc<JobProgress>> = (0..shards).map(|_| Arc::default()).collect();
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&windows);
        windows
    }

    pub(super) fn is_running(&self) -> bool {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    pub(super) fn end(&self, ended: Ended) {
        tracing::info!(
            job = self.id,
            kind = self.kind.word(),
            state = ended.state.word(),
            ended.message,
            "a job has ended"
        );
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some((unix_millis() / 1000, ended));
    }

    pub(super) fn to_json(&self) -> Value {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&JobProgress) -> u64| progress.iter().map(|shard| of(shard)).sum::<u64>();
        let done = sum(|shard| shard.done.load(Ordering::Relaxed));
        let whole = JobProgress::WHOLE * progress.len().max(1) as u64;
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let state = end.as_ref().map_or(JobState::Running, |(_, ended)| ended.state);
        json!({
            "id": self.id,
            "kind": self.kind.word(),
            "state": state.word(),
            "began_unix": self.began_unix,
            "ended_unix": end.as_ref().map(|(at, _)| at),
            "progress": {
                "share": (done as f64 / whole as f64).min(1.0),
                "keys": sum(|shard| shard.keys.load(Ordering::Relaxed)),
                "bytes": sum(|shard| shard.bytes.load(Ordering::Relaxed)),
            },
            "message": end.as_ref().map(|(_, ended)| ended.message.as_str()).unwrap_or_default(),
            "result": end.as_ref().map_or(&Value::Null, |(_, ended)| &ended.result),
        })
    }
}

/// A job whose thread panicked has ended too.
pub(super) struct EndsForSure<'a>(pub(super) &'a Job);

impl Drop for EndsForSure<'_> {
    fn drop(&mut self) {
        if self.0.is_running() {
            self.0.stop.store(true, Ordering::Release);
            self.0.end(Ended::failed("it panicked; the node's log says where"));
        }
    }
}

impl Ended {
    /// It could not be done.
    pub(crate) fn failed(message: impl ToString) -> Ended {
        Ended { state: JobState::Failed, message: message.to_string(), result: Value::Null }
    }
}

impl JobKind {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            JobKind::Backup => "backup",
            JobKind::Scrub => "scrub",
        }
    }
}

impl JobState {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Damaged => "damaged",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }
}
