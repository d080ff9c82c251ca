//! Why a sorted store could not, and what may help.

use std::io;

/// Whether trying again may help.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureKind {
    /// The disk (or a quota on it) has no room. When there is room, reopening the store helps.
    NoSpace,
    /// The system refused a read, a write or a sync. Reopening the store may help.
    Io,
    /// The files hold what was never written there. Reopening does not help: they have to be set aside.
    Damaged,
}

impl FailureKind {
    /// The kind of an error of the system.
    pub fn of_io(error: &io::Error) -> FailureKind {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::NoSpace,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FailureKind::Damaged,
            _ => FailureKind::Io,
        }
    }

    /// What the operator can do.
    fn remedy(self) -> &'static str {
        match self {
            FailureKind::NoSpace => "Make room on its disk; it goes on by itself",
            FailureKind::Io => "Look at the disk and the kernel's log; it is tried again",
            FailureKind::Damaged => {
                "Its files are damaged: what can be read of them is saved, the rest has to come from the replicas"
            }
        }
    }
}

/// Why the sorted store could not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SortedStoreError {
    /// The object is there but not as it was written. Nothing else is affected.
    #[error("the stored object is damaged: {what}")]
    Unreadable {
        /// What was expected and found.
        what: String,
    },
    /// The store as a whole cannot go on.
    #[error("the sorted store {engine} at {path} failed: {what}. {}", .kind.remedy())]
    Failed {
        /// The engine's name.
        engine: &'static str,
        /// Where it lies.
        path: String,
        /// What it said.
        what: String,
        /// Whether trying again may help.
        kind: FailureKind,
    },
}
