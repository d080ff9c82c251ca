//! The one sequential worker of a shard's log, as a future that is polled by hand.
//!
//! Recovery, a batch, the second half of a checkpoint: at any moment at most one of them runs, and the writer travels
//! with it. The world polls again whenever one of the disk's operations has ended.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use rondo_storage::{
    Attempt, Batch, FrozenTable, Lsn, Manifest, RecoverOptions, Recovered, StorageError, WalLimits, WalWriter,
    WriteFailure, finish_checkpoint, recover,
};

use crate::companion::SharedStore;
use crate::disk::SimDisk;

type Work<T> = Pin<Box<dyn Future<Output = T>>>;

/// Recovery under way.
pub struct Recovery(Work<Result<Recovered, StorageError>>);

/// The log of a shard that serves.
pub struct ShardLog {
    idle: Option<Idle>,
    work: Option<Work<(Idle, Done)>>,
}

struct Idle {
    writer: WalWriter<SimDisk>,
    manifest: Manifest,
}

/// What a piece of work came to.
pub enum Done {
    /// All records up to this one would survive a power cut.
    Durable(Lsn, Attempt),
    /// The disk refused the batch.
    Refused(WriteFailure, Attempt),
    /// All records up to this one are in the sorted store, and the manifest says so.
    Checkpointed(Lsn),
    /// The disk refused the manifest.
    CheckpointRefused(Arc<FrozenTable>, StorageError),
    /// The reserve was to be set aside again; whether it is there.
    Refilled(bool),
}

impl Recovery {
    /// Begins to recover a shard from its disk and sorted store.
    pub fn begin(disk: SimDisk, mut sorted: SharedStore, options: RecoverOptions) -> Recovery {
        Recovery(Box::pin(async move { recover(&disk, &mut sorted, options).await }))
    }

    /// Goes on as far as the disk allows.
    pub fn poll(&mut self) -> Option<Result<Recovered, StorageError>> {
        poll(&mut self.0)
    }
}

impl ShardLog {
    /// The log goes on where recovery left it.
    pub fn resume(disk: SimDisk, recovered: &Recovered, limits: WalLimits) -> ShardLog {
        let writer = WalWriter::resume(disk, recovered.position.clone(), limits);
        ShardLog { idle: Some(Idle { writer, manifest: recovered.manifest.clone() }), work: None }
    }

    /// May a piece of work begin?
    pub fn is_idle(&self) -> bool {
        self.idle.is_some()
    }

    /// Segments of the log, while no work runs.
    pub fn segments(&self) -> Option<usize> {
        self.idle.as_ref().map(|idle| idle.writer.segments())
    }

    /// Begins to write a batch. The log must be idle.
    pub fn write(&mut self, batch: Batch, attempt: Attempt) {
        self.begin(|mut idle| {
            Box::pin(async move {
                let written = match attempt {
                    Attempt::CommitFromReserve => idle.writer.write_from_reserve(batch).await,
                    Attempt::Commit | Attempt::Checkpoint => idle.writer.write(batch).await,
                };
                let done = match written {
                    Ok(upto) => Done::Durable(upto, attempt),
                    Err(failure) => Done::Refused(failure, attempt),
                };
                (idle, done)
            })
        });
    }

    /// Begins the second half of a checkpoint. The log must be idle.
    pub fn finish_checkpoint(&mut self, table: Arc<FrozenTable>) {
        self.begin(|mut idle| {
            Box::pin(async move {
                let done = match finish_checkpoint(&mut idle.writer, &mut idle.manifest, &table, 1).await {
                    Ok(()) => Done::Checkpointed(table.last_lsn()),
                    Err(error) => Done::CheckpointRefused(table, error),
                };
                (idle, done)
            })
        });
    }

    /// Begins to set the reserve aside. The log must be idle.
    pub fn refill_reserve(&mut self) {
        self.begin(|mut idle| {
            Box::pin(async move {
                let refilled = idle.writer.refill_reserve().await;
                (idle, Done::Refilled(matches!(refilled, Ok(true))))
            })
        });
    }

    /// Goes on as far as the disk allows.
    pub fn poll(&mut self) -> Option<Done> {
        let (idle, done) = poll(self.work.as_mut()?)?;
        self.work = None;
        self.idle = Some(idle);
        Some(done)
    }

    fn begin(&mut self, work: impl FnOnce(Idle) -> Work<(Idle, Done)>) {
        let idle = self.idle.take().expect("only an idle log is given work");
        self.work = Some(work(idle));
    }
}

fn poll<T>(work: &mut Work<T>) -> Option<T> {
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
