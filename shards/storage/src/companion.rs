//! The shard's second pair of hands: a thread that may wait for the sorted store.
//!
//! ```text
//! shard ──Get, Checkpoint, Run, Stop──► [bounded] ──► companion: serve reads, one piece of the checkpoint, or one step of a job, …
//!       ◄──Got, Applied, Down, Reopened── [bounded] ◄──┘  │
//!                                                       hands: flush, look whether it is time, open again
//! ```
//! Answers come in the order in which things happened to the store; [`crate::ShardStore::loaded`] relies on it. What takes
//! long and touches no reader is done by a third thread, so that reads go on: the slow part of a flush, and opening the
//! store again.
//!
//! ```text
//! up ──a write or flush fails──► down: reads from the old handle, if it still answers ──it is time──► opening ──► up
//!                                 └── it is damaged ──► a rescue: what the old handle gives goes into a new store ──► up
//! ```
//! A store that came back may have lost what was not flushed, so the checkpoint under way begins anew: every entry may be
//! applied twice.

mod hands;
mod jobs;
#[cfg(test)]
mod tests;
mod work;

use crate::limits::COMPANION_QUEUE_MAX;
use crate::record::Lsn;
use crate::sorted_store::{FailureKind, SortedStore, SortedStoreError, Stored};
use crate::store_job::StoreJob;
use crate::table::FrozenTable;
use crate::wounds::Wound;
use bytes::Bytes;
use core::fmt;
use hands::Hands;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use work::Work;

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
    /// Finish what was asked before, then end. What a failed store owes is left to the log.
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
    /// The store failed and will be opened again. Until then reads may be unreadable, and the checkpoint under way rests.
    Down {
        /// What it said.
        reason: String,
        /// Whether waiting may help.
        kind: FailureKind,
    },
    /// The store is open again.
    Reopened {
        /// Its generation: another one if it had to be built anew.
        generation: u32,
        /// What could not be saved, for [`crate::ShardStore::add_wounds`].
        wounds: Vec<Wound>,
    },
    /// The companion itself has ended unexpectedly and answers nothing more.
    Failed(String),
    /// The companion has ended as asked.
    Stopped,
}

/// A store that was opened again.
pub struct ReopenedStore {
    /// The store.
    pub store: Box<dyn SortedStore>,
    /// Its generation.
    pub generation: u32,
    /// What could not be saved: the shard has to note it durably before its manifest names this store.
    pub wounds: Vec<Wound>,
}

impl fmt::Debug for ReopenedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, wounds, store } = self;
        f.debug_struct("ReopenedStore")
            .field("engine", &store.engine())
            .field("generation", generation)
            .field("wounds", wounds)
            .finish()
    }
}

/// Knows how to open the store of a shard again. May wait: it has a thread of its own, which is not pinned.
pub trait ReopenStore: Send {
    /// Is there any point in opening it now? Asked every so often while the old handle still serves reads.
    fn is_time(&mut self, kind: FailureKind, generation: u32) -> bool;
    /// Begins to save what can be read of the damaged store of `generation` through its old handle, which stays where it is and
    /// serves reads meanwhile. `None`: the store is to be opened again instead.
    fn rescue(&mut self, generation: u32, upto: Lsn) -> Result<Option<Box<dyn StoreRescue>>, SortedStoreError> {
        let _ = (generation, upto);
        Ok(None)
    }
    /// Opens the store of `generation`, which failed with `kind` and durably held all records up to `upto`. Nobody else has
    /// it open.
    fn reopen(&mut self, kind: FailureKind, generation: u32, upto: Lsn) -> Result<ReopenedStore, SortedStoreError>;
}

/// Carries what can be read of a damaged store into a new one, between the reads of others.
pub trait StoreRescue: Send {
    /// The next piece, a few milliseconds of work; the new store at the end. `old` is the same each time, and nobody writes to
    /// it. After an error it is of no use any more; a [`FailureKind::Damaged`] one says that `old` gives nothing.
    fn step(&mut self, old: &dyn SortedStore) -> Result<Option<ReopenedStore>, SortedStoreError>;
}

/// A handle on the companion thread. Dropping it ends the thread when it has done what it was asked.
#[derive(Debug)]
pub struct Companion {
    requests: flume::Sender<CompanionRequest>,
    answers: flume::Receiver<CompanionAnswer>,
    thread: JoinHandle<()>,
}

impl Companion {
    /// Starts the thread `name`, pinned to `core` if given. `store` has to be open already, and this must be called from a
    /// thread that is not pinned: a store opened by a pinned thread would pin its own threads too.
    pub fn spawn(
        name: String,
        store: Box<dyn SortedStore>,
        generation: u32,
        core: Option<core_affinity::CoreId>,
        reopen: Box<dyn ReopenStore>,
    ) -> io::Result<Companion> {
        let (request_sender, requests) = flume::bounded(COMPANION_QUEUE_MAX);
        let (answer_sender, answers) = flume::bounded(COMPANION_QUEUE_MAX);
        // Before the companion is pinned: stores that are opened there inherit where it may run.
        let hands = Hands::start(format!("{name}-hands"), reopen)?;
        let mut work = Work::new(store, generation, requests, answer_sender, hands);
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
