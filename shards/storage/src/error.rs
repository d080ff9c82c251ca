//! What can go wrong between a shard and its disk.

use std::io;

/// Of what kind a disk's refusal is: it decides whether waiting or replacing helps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DiskTrouble {
    /// There is no room (or no inode, or no quota) left. It goes on by itself once there is.
    NoSpace,
    /// The disk fails, is read-only, or what it holds is uncertain.
    Failing,
}

impl DiskTrouble {
    /// What kind of trouble an error of the system is.
    pub fn of(error: &io::Error) -> DiskTrouble {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                DiskTrouble::NoSpace
            }
            _ => DiskTrouble::Failing,
        }
    }
}

/// Why the storage could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk refused. After a failed write or sync the log takes no more: see [`StorageError::Poisoned`].
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file, relative to the shard's directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or sync failed; what the file holds is uncertain. Only a restart (with its recovery) helps.
    #[error("the log is closed since an earlier failure ({first}); restart the node")]
    Poisoned {
        /// The first failure.
        first: String,
    },
    /// A file holds what was never written there. Nothing was changed; nothing was dropped.
    #[error("{path} is damaged at byte {offset}: {what}. {remedy}")]
    Damaged {
        /// The file, relative to the shard's directory.
        path: String,
        /// Where the trouble begins.
        offset: u64,
        /// Expected and found.
        what: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// A file was written by a newer version, another shard, or for another engine.
    #[error("{path}: {what}")]
    Foreign {
        /// The file, relative to the shard's directory.
        path: String,
        /// Expected, found, and the remedy.
        what: String,
    },
    /// The sorted store failed.
    #[error(transparent)]
    Sorted(#[from] crate::sorted_store::SortedStoreError),
}

impl StorageError {
    /// Of what kind the disk's refusal is; whatever is no refusal of the disk counts as failing.
    pub fn trouble(&self) -> DiskTrouble {
        match self {
            StorageError::Io { source, .. } => DiskTrouble::of(source),
            StorageError::Poisoned { .. }
            | StorageError::Damaged { .. }
            | StorageError::Foreign { .. }
            | StorageError::Sorted(_) => DiskTrouble::Failing,
        }
    }

    pub(crate) fn io(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> StorageError {
        move |source| StorageError::Io { action, path: path.to_owned(), source }
    }
}
