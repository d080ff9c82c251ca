//! Why a data directory cannot be used, each time with what to do about it.

use crate::error::StorageError;
use crate::sorted_store::Engine;
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
    /// A damaged file could not be set aside.
    #[error(transparent)]
    SetAside(#[from] StorageError),
    /// The path is a file.
    #[error("{path} is not a directory; name another with --data", path = path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The path is a link to nothing.
    #[error("{path} is a link to {target}, which is not there: mount or create what it means, or correct the link", path = path.display(), target = target.display())]
    DanglingLink {
        /// The path.
        path: PathBuf,
        /// What the link says.
        target: PathBuf,
    },
    /// There is no directory, and whoever asks does not make one.
    #[error("{path} is not there; name the data directory of a node with --data", path = path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The directory is empty: no node has ever used it.
    #[error("{path} is empty: no node has used it yet; name the data directory of a node with --data", path = path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// Everybody may write there.
    #[error(
        "everybody on this machine may write into {path} (mode {mode:04o}), and so change or destroy what is stored: chmod 700 {path}, or name a directory inside it with --data, which is then created for this user alone",
        path = path.display()
    )]
    OthersMayWrite {
        /// The path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
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
    /// Both copies of the identity are damaged.
    #[error(
        "the identity of the data directory is damaged ({what}); restore the files identity and identity.copy from a backup, or start with an empty directory and let the replicas fill it"
    )]
    Damaged {
        /// Expected and found.
        what: String,
    },
    /// A newer program wrote the directory.
    #[error(
        "the data directory has format version {found}, this program knows version {known}; start the version that wrote it, or a newer one"
    )]
    NewerFormat {
        /// Found on disk.
        found: u16,
        /// Known to us.
        known: u16,
    },
    /// An older program wrote the directory, in a format that is no longer read.
    #[error(
        "the data directory has format version {found}, which this program (version {known}) does not read; start the version that wrote it, or begin with an empty directory"
    )]
    OlderFormat {
        /// Found on disk.
        found: u16,
        /// Known to us.
        known: u16,
    },
    /// Another cluster's directory.
    #[error(
        "the data directory belongs to cluster {found:032x}, not to {expected:032x}; check --data and the cluster's name"
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
    /// Its objects lie in another engine.
    #[error(
        "the data directory keeps its objects in {found}, not in {expected}: start with --engine {found}, or convert it with the node stopped: rondo engine migrate --data DIR --to {expected}"
    )]
    OtherEngine {
        /// Found on disk.
        found: Engine,
        /// Asked for.
        expected: Engine,
    },
    /// The ring is cut otherwise.
    #[error(
        "the data directory was made with vnode-bits = {found}, not {expected}: the number is fixed when a cluster is created; set vnode-bits = {found}"
    )]
    OtherVnodeBits {
        /// Found on disk.
        found: u8,
        /// Asked for.
        expected: u8,
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
