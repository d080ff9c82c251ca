//! Why a backup cannot be made, read or restored, each time with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why something cannot be done with a backup. Nothing outside a backup's own unfinished directory was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}{remedy}", path = path.display(), remedy = remedy_for(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is in use for something else.
    #[error("{path} is no backup directory of rondo: it holds {found:?}; name an empty directory, or one made by `rondo backup create`", path = path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// No such backup.
    #[error("there is no backup {id:?} in {path}; `rondo backup list` names those that are there", path = path.display())]
    NoSuchBackup {
        /// Which.
        id: String,
        /// The directory.
        path: PathBuf,
    },
    /// Another cluster's.
    #[error("{path} belongs to cluster {found:032x}, not to {expected:032x}; use a directory of its own for each cluster", path = path.display())]
    OtherCluster {
        /// The directory or backup.
        path: PathBuf,
        /// Found there.
        found: u128,
        /// Expected.
        expected: u128,
    },
    /// A newer version wrote it.
    #[error("{path} has format version {found}, this program knows {known}; use the version that wrote it, or a newer one", path = path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Found in it.
        found: String,
        /// Known to us.
        known: u32,
    },
    /// A file is not what was written.
    #[error("{path} is damaged{at}: {what}; use another backup, or a copy of the file", path = path.display(), at = offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, if that is known.
        offset: Option<u64>,
        /// Expected and found.
        what: String,
    },
    /// The chain of increments cannot be followed.
    #[error("backup {id} cannot be used: {what}")]
    Chain {
        /// The backup.
        id: String,
        /// What does not fit, and what to do.
        what: String,
    },
    /// The job was cancelled, or the node stops.
    #[error("it ended before it was done: it was cancelled, the node stopped, or a store failed and was opened again")]
    Cut,
    /// The store could not be read.
    #[error("the store of shard {shard} cannot be copied: {what}")]
    Store {
        /// Which shard.
        shard: u16,
        /// What it said.
        what: String,
    },
    /// The target of a restore is not empty.
    #[error("{path} is not empty (it holds {found:?}); a data directory is restored into an empty one", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
}

fn remedy_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "; free some room on that disk, or name a directory on another",
        io::ErrorKind::PermissionDenied => {
            "; give the user that rondo runs as the right to do that, or name another directory"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable, or name another directory",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "; name a directory",
        _ => "",
    }
}

impl BackupError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
        move |source| BackupError::Io { action, path: path.to_owned(), source }
    }

    /// Is a part of a backup not what was written: changed, cut off, gone, or not given back by its disk?
    pub(super) fn is_damage(&self) -> bool {
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let is_unreadable = |error: &io::Error| error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
        match self {
            BackupError::Damaged { .. } => true,
            BackupError::Io { source, .. } => is_gone(source) || is_unreadable(source),
            _ => false,
        }
    }

    /// What is wrong, where the place is said already.
    pub(super) fn brief(&self) -> String {
        match self {
            BackupError::Damaged { what, .. } => what.clone(),
            BackupError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => "it is missing".to_owned(),
            other => other.to_string(),
        }
    }

    pub(super) fn damaged(path: &Path, offset: Option<u64>, what: impl Into<String>) -> BackupError {
        BackupError::Damaged { path: path.to_owned(), offset, what: what.into() }
    }
}
