//! What can go wrong with a node as a whole.

use std::io;
use std::net::SocketAddr;

use rondo_protocol::node::ShardIndex;
use rondo_storage::{NodeDirError, RelayoutError};

use crate::preflight::PreflightError;

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
    /// The data directory is in use, or not for this node.
    #[error(transparent)]
    Directory(#[from] NodeDirError),
    /// The vnodes could not be moved to as many shards as were asked for.
    #[error("cannot move the vnodes of {from} shards to {to}: {error}. Start with --shards {from} to go on as before")]
    Move {
        /// Shards that the directory has.
        from: u16,
        /// Shards asked for.
        to: u16,
        /// Why.
        error: Box<RelayoutError>,
    },
    /// Whoever started it does not want it any more.
    #[error("stopped before it served")]
    Interrupted,
    /// A port could not be listened on after all.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
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
