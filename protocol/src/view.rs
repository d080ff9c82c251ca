//! The cluster as a core sees it: immutable, replaced as a whole.

use crate::node::NodeId;
use crate::ring::Ring;
use crate::wire::request::Level;

/// How concurrent versions of a key are settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ConflictPolicy {
    /// The version with the highest hybrid logical clock stays, ties broken by actor.
    Lww,
    /// All concurrent versions stay until a client merges them.
    Siblings,
}

/// A named set of keys with rules of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keyspace {
    /// 1 to [`crate::limits::KEYSPACE_NAME_BYTES_MAX`] bytes of `[a-z0-9_-]`.
    pub name: String,
    /// How many nodes hold each key: 1 to the number of nodes.
    pub replicas: u8,
    /// Answers that a read waits for when it does not say.
    pub read: Level,
    /// Durable copies that a write waits for when it does not say.
    pub write: Level,
    /// What happens to concurrent versions.
    pub policy: ConflictPolicy,
}

/// What the cluster looks like: same epoch, same contents, on every node.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Counts changes of the topology; 1 for a cluster whose members are fixed by its configuration.
    pub epoch: u64,
    /// Names the cluster: nodes of another one are refused.
    pub cluster_id: u64,
    /// This node.
    pub me: NodeId,
    /// Who owns what.
    pub ring: Ring,
    /// Sorted by name.
    pub keyspaces: Vec<Keyspace>,
}

impl ClusterView {
    /// The keyspace called `name`.
    pub fn keyspace(&self, name: &[u8]) -> Option<&Keyspace> {
        self.keyspaces.iter().find(|keyspace| keyspace.name.as_bytes() == name)
    }
}
