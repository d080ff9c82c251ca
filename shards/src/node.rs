//! A node: its shards, started together and stopped together.

use core::time::Duration;
use std::path::PathBuf;

use rondo_protocol::node::ShardIndex;

use crate::config::NodeConfig;
use crate::preflight::PreflightError;
use crate::status::NodeStatus;

/// Why a node did not start. Nothing is served; nothing that was durable is lost.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine does not allow it.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The configuration contradicts itself.
    #[error("{reason}")]
    Config {
        /// What contradicts what, and the remedy.
        reason: String,
    },
    /// Somebody else uses the data directory.
    #[error("the data directory {path} is in use by another process; stop it or choose another directory")]
    DataLocked {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory belongs to something else, or is of a newer format.
    #[error("the data directory {path} is not for this node: {reason}")]
    DataForeign {
        /// The directory.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The store of a shard could not be opened.
    #[error("shard {shard:?}: {reason}")]
    Store {
        /// Which.
        shard: ShardIndex,
        /// What the store said.
        reason: String,
    },
    /// An executor did not start.
    #[error("executor {shard:?} did not start: {reason}")]
    Executor {
        /// Which.
        shard: ShardIndex,
        /// What glommio said.
        reason: String,
    },
}

/// An executor ended though nobody had asked it to. The node cannot go on; the process should end soon.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("shard {shard:?} ended unexpectedly: {reason}")]
pub struct ShardFailure {
    /// Which.
    pub shard: ShardIndex,
    /// As far as it is known.
    pub reason: String,
}

/// How a stop went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// True if everything acknowledged is durable and the data directory says so: the next start keeps the incarnation.
    pub is_clean: bool,
    /// Requests that were still unanswered when the limit passed.
    pub cut_short: usize,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    failures: flume::Receiver<ShardFailure>,
}

impl Node {
    /// Locks the data directory, recovers every shard, starts the executors and returns when all of them serve.
    ///
    /// Call it from a thread that is not pinned: the threads of the stores inherit its cores.
    pub fn start(config: NodeConfig) -> Result<Node, StartError> {
        todo!("{config:?}")
    }

    /// How it is.
    pub fn status(&self) -> NodeStatus {
        todo!()
    }

    /// Time since each executor last ran its tick, in the order of the shards: beyond a second it is stalled.
    pub fn tick_ages(&self) -> Vec<Duration> {
        todo!()
    }

    /// Where shards that end unexpectedly are reported.
    pub fn failures(&self) -> &flume::Receiver<ShardFailure> {
        &self.failures
    }

    /// Takes no new connections and refuses new requests, and returns when those in flight are answered or `limit` has
    /// passed, with the number of those that are left. The node still answers peers; [`Node::stop`] ends it.
    pub fn drain(&self, limit: Duration) -> usize {
        todo!("{limit:?}")
    }

    /// Makes everything durable, closes every connection and joins the executors; drains first, for at most `limit`, if
    /// that was not done.
    pub fn stop(self, limit: Duration) -> Stopped {
        todo!("{limit:?}")
    }
}
