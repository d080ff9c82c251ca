//! The shard's second pair of hands: a thread that may wait for the sorted store.
use crate::sorted_store::SortedStore;
use crate::table::FrozenTable;
use bytes::Bytes;
use std::sync::Arc;

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
    Object(Bytes),
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
    /// Write this table and make it durable.
    Checkpoint(Arc<FrozenTable>),
    /// Finish what was asked before, then end.
    Stop,
}

/// What a companion answers, in the order in which things happened to the store.
#[derive(Debug)]
pub enum CompanionAnswer {
    /// The outcomes of one `Get`, in its order.
    Got(Vec<ColdAnswer>),
    /// The table is durable in the sorted store: now the manifest, then [`crate::ShardStore::checkpointed`].
    Applied(Arc<FrozenTable>),
    /// The store failed; the companion has ended and answers nothing more.
    Failed(String),
    /// The companion has ended as asked.
    Stopped,
}

/// A handle on the companion thread. Dropping it stops the thread without waiting for it.
#[derive(Debug)]
pub struct Companion {
    requests: flume::Sender<CompanionRequest>,
    answers: flume::Receiver<CompanionAnswer>,
}

impl Companion {
    /// Starts the thread `name`, pinned to `core` if given.
    pub fn spawn(
        name: String,
        store: Box<dyn SortedStore>,
        core: Option<core_affinity::CoreId>,
    ) -> std::io::Result<Companion> {
        let _ = (name, store, core);
        todo!()
    }
    /// Asks without waiting; the request comes back if the queue is full or the companion has ended.
    pub fn ask(&self, request: CompanionRequest) -> Result<(), CompanionRequest> {
        self.requests.try_send(request).map_err(flume::TrySendError::into_inner)
    }
    /// Where the answers come; clone it into a task that waits with `recv_async`.
    pub fn answers(&self) -> &flume::Receiver<CompanionAnswer> {
        &self.answers
    }
}
