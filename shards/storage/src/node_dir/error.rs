//! Why a data directory cannot be used, each time with what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a data directory cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum NodeDirError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}. {remedy}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The path is a file.
    #[error("{path} is not a directory; name another with --data", path = path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Another process holds the directory.
    #[error("{path} is in use by another process; stop that node first, or name another directory with --data", path = path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The directory holds files but no identity.
    #[error("{path} holds {found} but no identity file: it is no data directory of rondo, or its identity was lost; name an empty directory with --data, or restore the file", path = path.display())]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// One of the files.
        found: String,
    },
    /// The identity file is damaged.
    #[error(
        "the identity file of the data directory is damaged: {what}; restore it from a backup, or start with an empty directory and let the replicas fill it"
    )]
    Damaged {
        /// Expected and found.
        what: String,
    },
    /// A newer program wrote the directory.
    #[error(
        "the data directory has format version {found}, this program knows up to {known}; start the version that wrote it, or a newer one"
    )]
    NewerFormat {
        /// Found on disk.
        found: u16,
        /// Known to us.
        known: u16,
    },
    /// Another cluster's directory.
    #[error(
        "the data directory belongs to cluster {found:032x}, not to {expected:032x}; check --data and the cluster id"
    )]
    OtherCluster {
        /// Found on disk.
        found: u128,
        /// Asked for.
        expected: u128,
    },
    /// Another node's directory.
    #[error("the data directory belongs to node {found}, not to {expected}; check --data and --name")]
    OtherName {
        /// Found on disk.
        found: String,
        /// Asked for.
        expected: String,
    },
    /// The number of shards differs.
    #[error("the data directory has {found} shards, not {expected}; start with --shards {found}")]
    OtherShards {
        /// Found on disk.
        found: u16,
        /// Asked for.
        expected: u16,
    },
    /// The name does not fit.
    #[error("a node name has 1 to {max} bytes, not {bytes}; choose another with --name")]
    BadName {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
}
