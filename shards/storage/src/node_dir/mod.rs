//! The directory of a node: who it belongs to, and that nobody else has it open.
//!
//! A start without a clean stop before it takes a new incarnation: peers may hold dots that this node's log has lost, and a
//! dot must never be given twice. Whether the stop was clean is a mark in the identity file, durably cleared before the
//! node serves and durably set after everything has stopped.

mod error;
mod identity;

pub use error::NodeDirError;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "LOCK";
const IDENTITY: &str = "identity";
const IDENTITY_NEW: &str = "identity.new";

/// Who a data directory belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: u128,
    /// The node's name.
    pub node_name: String,
    /// The incarnation in use.
    pub incarnation: u32,
    /// Was the node shut down cleanly, with nothing after?
    pub is_clean: bool,
    /// Shards of the directory.
    pub shards: u16,
    /// Which layout counts: the directory `layout-%04` holds the shards. Moving vnodes to other cores, or objects to another
    /// engine, builds the next one beside it.
    pub layout: u32,
}

/// Who wants to use a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeDirOptions {
    /// The cluster.
    pub cluster_id: u128,
    /// The node's name, 1 to 255 bytes.
    pub node_name: String,
    /// Shards it runs with.
    pub shards: u16,
    /// The wall clock, in seconds since 1970: a new incarnation is never below it.
    pub unix_seconds: u64,
}

/// A data directory that this process holds; dropped, it is free again, with the clean mark cleared.
#[derive(Debug)]
pub struct NodeDir {
    path: PathBuf,
    identity: Identity,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl NodeDir {
    /// Locks `path` (created if it is not there), checks that it belongs to this node, renews the incarnation unless the last
    /// shutdown was clean, and durably clears the clean mark.
    pub fn open(path: &Path, options: &NodeDirOptions) -> Result<NodeDir, NodeDirError> {
        let bytes = options.node_name.len();
        if bytes == 0 || bytes > identity::NAME_BYTES_MAX {
            return Err(NodeDirError::BadName { bytes, max: identity::NAME_BYTES_MAX });
        }
        let lock = lock(path)?;
        let found = read_identity(path)?;
        if let Some(found) = &found {
            check(found, options)?;
        }
        let identity = Identity {
            cluster_id: options.cluster_id,
            node_name: options.node_name.clone(),
            incarnation: next_incarnation(found.as_ref(), options.unix_seconds),
            is_clean: false,
            shards: options.shards,
            layout: found.as_ref().map_or(1, |found| found.layout),
        };
        write_identity(path, &identity)?;
        Ok(NodeDir { path: path.to_owned(), identity, _lock: lock })
    }

    /// Who it belongs to, with the incarnation to use.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The directory of a shard: `layout-0001/shard-000`. Not created.
    pub fn shard_path(&self, shard: u16) -> PathBuf {
        self.path.join(format!("layout-{:04}", self.identity.layout)).join(format!("shard-{shard:03}"))
    }

    /// Durably sets the clean mark and gives the directory back. Call it when all shards have stopped and everything they
    /// appended is durable.
    pub fn close_clean(mut self) -> Result<(), NodeDirError> {
        self.identity.is_clean = true;
        write_identity(&self.path, &self.identity)
    }
}

/// After a clean stop the incarnation stays; otherwise it grows, and never falls behind the clock, so that a directory that
/// was lost or restored does not get an old one again.
fn next_incarnation(found: Option<&Identity>, unix_seconds: u64) -> u32 {
    let clock = u32::try_from(unix_seconds).unwrap_or(u32::MAX);
    match found {
        Some(found) if found.is_clean => found.incarnation,
        Some(found) => clock.max(found.incarnation.saturating_add(1)),
        None => clock.max(1),
    }
}

fn check(found: &Identity, options: &NodeDirOptions) -> Result<(), NodeDirError> {
    if found.cluster_id != options.cluster_id {
        return Err(NodeDirError::OtherCluster { found: found.cluster_id, expected: options.cluster_id });
    }
    if found.node_name != options.node_name {
        let (found, expected) = (found.node_name.clone(), options.node_name.clone());
        return Err(NodeDirError::OtherName { found, expected });
    }
    if found.shards != options.shards {
        return Err(NodeDirError::OtherShards { found: found.shards, expected: options.shards });
    }
    Ok(())
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NodeDirError {
    move |source| {
        let remedy = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "Give this user the right to write there, or name another directory with --data"
            }
            io::ErrorKind::StorageFull => "Free some room on that disk",
            io::ErrorKind::ReadOnlyFilesystem => "Mount it writable, or name another directory with --data",
            _ => "Check the disk",
        };
        NodeDirError::Io { action, path: path.to_owned(), source, remedy }
    }
}

fn lock(path: &Path) -> Result<File, NodeDirError> {
    if path.exists() && !path.is_dir() {
        return Err(NodeDirError::NotADirectory { path: path.to_owned() });
    }
    fs::create_dir_all(path).map_err(io_error("create", path))?;
    let lock_path = path.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
    let lock = opened.map_err(io_error("open", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(NodeDirError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &lock_path)(error)),
    }
}

fn read_identity(path: &Path) -> Result<Option<Identity>, NodeDirError> {
    let identity_path = path.join(IDENTITY);
    match fs::read(&identity_path) {
        Ok(bytes) => identity::decode(&bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => refuse_strangers(path).map(|()| None),
        Err(error) => Err(io_error("read", &identity_path)(error)),
    }
}

/// A directory without identity must be empty (a crash while it was created may have left the lock and a half identity).
fn refuse_strangers(path: &Path) -> Result<(), NodeDirError> {
    for file in fs::read_dir(path).map_err(io_error("list", path))? {
        let name = file.map_err(io_error("list", path))?.file_name();
        // Every file system has one of these at its root.
        let is_expected = [LOCK, IDENTITY_NEW, "lost+found"].iter().any(|expected| name == *expected);
        if !is_expected {
            let found = name.to_string_lossy().into_owned();
            return Err(NodeDirError::NotOurs { path: path.to_owned(), found });
        }
    }
    Ok(())
}

/// Writes the new one beside the old one, and gives it the name when it is durable.
fn write_identity(path: &Path, identity: &Identity) -> Result<(), NodeDirError> {
    let (new_path, final_path) = (path.join(IDENTITY_NEW), path.join(IDENTITY));
    let mut file = File::create(&new_path).map_err(io_error("create", &new_path))?;
    file.write_all(&identity::encode(identity)).map_err(io_error("write", &new_path))?;
    file.sync_all().map_err(io_error("sync", &new_path))?;
    fs::rename(&new_path, &final_path).map_err(io_error("replace", &final_path))?;
    let directory = File::open(path).and_then(|directory| directory.sync_all());
    directory.map_err(io_error("sync", path))
}
