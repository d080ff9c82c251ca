//! Why a move did not happen.

use crate::error::StorageError;
use crate::node_dir::NodeDirError;
use crate::relayout::Tally;
use std::path::PathBuf;

/// Why a move did not happen. The layout that was in force is in force.
#[derive(Debug, thiserror::Error)]
pub enum RelayoutError {
    /// A shard of the old layout could not be read.
    #[error("cannot read shard {shard} of the old layout: {error}")]
    Source {
        /// Which.
        shard: u16,
        /// Why.
        error: StorageError,
    },
    /// A shard of the new layout could not be written.
    #[error("cannot write shard {shard} of the new layout (the old one stays in force): {error}")]
    Target {
        /// Which.
        shard: u16,
        /// Why.
        error: StorageError,
    },
    /// Both layouts lie side by side until the new one is complete, and there is no room for that.
    #[error(
        "about {needed} bytes are needed beside what is there, and {path} has {available} left: make room on that disk; \
         nothing was changed", path = path.display()
    )]
    NoRoom {
        /// The data directory.
        path: PathBuf,
        /// About as much is needed, in bytes.
        needed: u64,
        /// So much is there, in bytes.
        available: u64,
    },
    /// What was read back is not what was written.
    #[error(
        "shard {shard} of the new layout holds {found:?}, but {expected:?} was written: check the disk and the memory; \
         the old layout stays in force"
    )]
    Mismatch {
        /// Which.
        shard: u16,
        /// What was written.
        expected: Tally,
        /// What was read.
        found: Tally,
    },
    /// Whoever asked for it has stopped it.
    #[error("interrupted; the old layout stays in force, and the next call begins again")]
    Interrupted,
    /// The directory as a whole.
    #[error(transparent)]
    Directory(#[from] NodeDirError),
    /// A belief of ours was wrong.
    #[error("{what} panicked (the message stands above); the old layout stays in force")]
    Panicked {
        /// What was being done.
        what: &'static str,
    },
}

impl RelayoutError {
    pub(super) fn source(shard: u16) -> impl Fn(StorageError) -> RelayoutError {
        move |error| RelayoutError::Source { shard, error }
    }

    pub(super) fn target(shard: u16) -> impl Fn(StorageError) -> RelayoutError {
        move |error| RelayoutError::Target { shard, error }
    }
}
