//! The directory of a node: who it belongs to, and that nobody else has it open.
//!
//! A start without a clean stop before it takes a new incarnation: peers may hold dots that this node's log has lost, and a
//! dot must never be given twice. Whether the stop was clean is a mark in the identity, durably cleared before the
//! node serves and durably set after everything has stopped. A directory that somebody copied or restored takes a new one
//! too: the other may go on in the old one.

mod copies;
mod error;
pub(crate) mod identity;
mod layouts;
mod notice;
mod place;

pub use error::NodeDirError;
pub use notice::DirNotice;

use crate::sorted_store::Engine;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

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
    /// What the objects are kept in.
    pub engine: Engine,
    /// The ring has 2^b virtual nodes: the first b bits of a token.
    pub vnode_bits: u8,
    /// Which layout counts: the directory `layout-%04` holds the shards. Moving vnodes to other cores, or objects to another
    /// engine, builds the next one beside it.
    pub layout: u32,
}

impl Identity {
    /// Reads whose directory this is, without holding it: a node may be running on it.
    pub fn read(path: &Path) -> Result<Identity, NodeDirError> {
        let path = place::resolve(path)?.ok_or_else(|| NodeDirError::Missing { path: path.to_owned() })?;
        place::refuse_strangers(&path)?;
        let found = copies::read(&path)?.ok_or(NodeDirError::Empty { path })?;
        Ok(found.identity)
    }

    /// Which of the two files in a directory that a node may be running on is damaged, and how. The next start mends it.
    ///
    /// # Errors
    /// Both are damaged, or cannot be read.
    pub fn damaged_copies(path: &Path) -> Result<Vec<(&'static str, String)>, NodeDirError> {
        let found = copies::read(path)?.ok_or_else(|| NodeDirError::Empty { path: path.to_owned() })?;
        Ok(found.bad)
    }
}

/// Who wants to use a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeDirOptions {
    /// The cluster.
    pub cluster_id: u128,
    /// The node's name, 1 to 255 bytes.
    pub node_name: String,
    /// Shards of a directory that is new. What an old one has says its [`Identity`]; [`crate::relayout()`] changes it.
    pub shards: u16,
    /// The engine that it keeps its objects in.
    pub engine: Engine,
    /// The ring has 2^b virtual nodes.
    pub vnode_bits: u8,
    /// The wall clock, in seconds since 1970: a new incarnation is never below it.
    pub unix_seconds: u64,
}

/// A data directory that this process holds; dropped, it is free again, with the clean mark cleared.
#[derive(Debug)]
pub struct NodeDir {
    path: PathBuf,
    identity: Identity,
    /// Of the identity as it stands on the disk.
    sequence: u64,
    /// The mark that was found may be set again by a tool that changed nothing of what was acknowledged.
    may_stay_clean: bool,
    notices: Vec<DirNotice>,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl NodeDir {
    /// Locks `path` (created for this user alone if it is not there), checks that it belongs to this node, renews the
    /// incarnation unless the last shutdown was clean, and durably clears the clean mark.
    pub fn open(path: &Path, options: &NodeDirOptions) -> Result<NodeDir, NodeDirError> {
        let bytes = options.node_name.len();
        if bytes == 0 || bytes > identity::NAME_BYTES_MAX {
            return Err(NodeDirError::BadName { bytes, max: identity::NAME_BYTES_MAX });
        }
        let path = place::resolve(path)?.map_or_else(|| place::create(path), Ok)?;
        let held = Held::take(path)?;
        if let Some(found) = &held.found {
            check(&found.identity, options)?;
        }
        let fresh = Identity {
            cluster_id: options.cluster_id,
            node_name: options.node_name.clone(),
            incarnation: 0,
            is_clean: false,
            shards: options.shards,
            engine: options.engine,
            vnode_bits: options.vnode_bits,
            layout: 1,
        };
        let incarnation = match &held.found {
            Some(found) if found.identity.is_clean && !found.is_copy => found.identity.incarnation,
            Some(found) => next_incarnation(found.identity.incarnation, options.unix_seconds),
            None => next_incarnation(0, options.unix_seconds),
        };
        let identity = held.found.as_ref().map_or(fresh, |found| found.identity.clone());
        held.open_as(Identity { incarnation, is_clean: false, ..identity }, options.unix_seconds)
    }

    /// Locks a directory that a node has used, for a tool: the identity stays, the incarnation too, and the clean mark is
    /// durably cleared until [`NodeDir::close_as_found`].
    pub fn open_for_tool(path: &Path, unix_seconds: u64) -> Result<NodeDir, NodeDirError> {
        let path = place::resolve(path)?.ok_or_else(|| NodeDirError::Missing { path: path.to_owned() })?;
        let held = Held::take(path)?;
        let Some(found) = &held.found else { return Err(NodeDirError::Empty { path: held.path }) };
        let identity = Identity { is_clean: false, ..found.identity.clone() };
        held.open_as(identity, unix_seconds)
    }

    /// Who it belongs to, with the incarnation to use.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where it lies; links are resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the operator should know about the directory.
    pub fn notices(&self) -> &[DirNotice] {
        &self.notices
    }

    /// Takes a new incarnation durably: a shard has lost something, and a dot that it gave must not be given again.
    pub fn renew_incarnation(&mut self, unix_seconds: u64) -> Result<u32, NodeDirError> {
        let incarnation = next_incarnation(self.identity.incarnation, unix_seconds);
        self.replace_identity(Identity { incarnation, is_clean: false, ..self.identity.clone() })?;
        Ok(incarnation)
    }

    /// From now on another layout is in force. Durable and all at once: after an error the old one or the new one is.
    pub(crate) fn switch_layout(&mut self, layout: u32, shards: u16, engine: Engine) -> Result<(), NodeDirError> {
        self.replace_identity(Identity { layout, shards, engine, ..self.identity.clone() })
    }

    /// Durably sets the clean mark and gives the directory back. Call it when all shards have stopped and everything they
    /// appended is durable.
    pub fn close_clean(mut self) -> Result<(), NodeDirError> {
        self.replace_identity(Identity { is_clean: true, ..self.identity.clone() })
    }

    /// Gives the directory back after the work of a tool: the clean mark is set again if it was, unless something was lost.
    pub fn close_as_found(self, has_lost: bool) -> Result<(), NodeDirError> {
        if self.may_stay_clean && !has_lost { self.close_clean() } else { Ok(()) }
    }

    fn replace_identity(&mut self, identity: Identity) -> Result<(), NodeDirError> {
        let sequence = self.sequence + 1;
        copies::write(&self.path, &identity, sequence)?;
        (self.identity, self.sequence) = (identity, sequence);
        Ok(())
    }
}

/// A directory that is locked and was looked at; nothing in it was changed.
struct Held {
    path: PathBuf,
    lock: File,
    found: Option<copies::Found>,
    notices: Vec<DirNotice>,
}

impl Held {
    fn take(path: PathBuf) -> Result<Held, NodeDirError> {
        let mut notices = Vec::from_iter(place::check_permissions(&path)?);
        place::refuse_strangers(&path)?;
        let lock = place::lock(&path)?;
        let found = copies::read(&path)?;
        notices.extend(found.as_ref().and_then(|found| found.is_copy.then_some(DirNotice::Copied)));
        notices.extend(found.as_ref().and_then(|found| found.is_lonely.then_some(DirNotice::IdentityMissing)));
        Ok(Held { path, lock, found, notices })
    }

    /// Goes on as `identity`.
    fn open_as(mut self, identity: Identity, unix_seconds: u64) -> Result<NodeDir, NodeDirError> {
        let mut sequence = 1;
        let mut may_stay_clean = false;
        if let Some(found) = &self.found {
            self.notices.extend(copies::set_bad_aside(&self.path, found, unix_seconds)?);
            sequence = found.sequence + 1;
            may_stay_clean = found.identity.is_clean && !found.is_copy;
        }
        copies::write(&self.path, &identity, sequence)?;
        let Held { path, lock, notices, .. } = self;
        Ok(NodeDir { path, identity, sequence, may_stay_clean, notices, _lock: lock })
    }
}

/// It grows, and never falls behind the clock, so that a directory that was lost or restored does not get an old one again.
fn next_incarnation(found: u32, unix_seconds: u64) -> u32 {
    let clock = u32::try_from(unix_seconds).unwrap_or(u32::MAX);
    clock.max(found.saturating_add(1))
}

fn check(found: &Identity, options: &NodeDirOptions) -> Result<(), NodeDirError> {
    if found.cluster_id != options.cluster_id {
        return Err(NodeDirError::OtherCluster { found: found.cluster_id, expected: options.cluster_id });
    }
    if found.node_name != options.node_name {
        let (found, expected) = (found.node_name.clone(), options.node_name.clone());
        return Err(NodeDirError::OtherName { found, expected });
    }
    if found.vnode_bits != options.vnode_bits {
        return Err(NodeDirError::OtherVnodeBits { found: found.vnode_bits, expected: options.vnode_bits });
    }
    if found.engine != options.engine {
        return Err(NodeDirError::OtherEngine { found: found.engine, expected: options.engine });
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
            io::ErrorKind::QuotaExceeded => "Free some of the quota there, or have it raised",
            io::ErrorKind::ReadOnlyFilesystem => "Mount it writable, or name another directory with --data",
            _ => "Check the disk",
        };
        NodeDirError::Io { action, path: path.to_owned(), source, remedy }
    }
}

fn sync_directory(path: &Path) -> Result<(), NodeDirError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io_error("sync", path))
}
