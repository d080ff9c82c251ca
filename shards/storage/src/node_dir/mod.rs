//! The directory of a node: who it belongs to, and that nobody else has it open.
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
}

/// Why a data directory cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum NodeDirError {
    /// Placeholder for the variants.
    #[error("{0}")]
    Other(String),
}

/// A data directory that this process holds.
#[derive(Debug)]
pub struct NodeDir {
    path: PathBuf,
    identity: Identity,
}

/// Who wants to use a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeDirOptions {
    /// The cluster.
    pub cluster_id: u128,
    /// The node's name.
    pub node_name: String,
    /// Shards it runs with.
    pub shards: u16,
    /// The wall clock, in seconds since 1970: an incarnation is never below it.
    pub unix_seconds: u64,
}

impl NodeDir {
    /// Locks `path` (created if it is not there), checks that it belongs to this node, renews the incarnation unless the last
    /// shutdown was clean, and durably clears the clean mark.
    pub fn open(path: &Path, options: &NodeDirOptions) -> Result<NodeDir, NodeDirError> {
        let _ = (path, options);
        todo!()
    }
    /// Who it belongs to, with the incarnation to use.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
    /// The directory of a shard: `shard-000`. Not created.
    pub fn shard_path(&self, shard: u16) -> PathBuf {
        self.path.join(format!("shard-{shard:03}"))
    }
    /// Durably sets the clean mark and gives the directory back. Call it after all shards have stopped.
    pub fn close_clean(self) -> Result<(), NodeDirError> {
        todo!()
    }
}
