//! From a key to the core that owns it.

use core::num::NonZeroU16;
use std::sync::Arc;

use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::ring::{Token, VNodeBits};

/// The topology as clients use it: immutable, replaced as a whole when the epoch changes.
#[derive(Clone, Debug)]
pub struct Routing {
    nodes: Vec<NodeRoute>,
}

/// A node as clients see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRoute {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub name: Arc<str>,
    /// Its availability zone.
    pub rack: Arc<str>,
    /// Where clients reach it, as far as the node that told us knows it.
    pub address: Option<Arc<str>>,
    /// How many shards it has, as far as known.
    pub shards: Option<NonZeroU16>,
}

/// Where to send a request.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Target {
    /// The node's address for clients.
    pub address: Arc<str>,
    /// The shard to ask for in the handshake; `None` for any.
    pub shard: Option<ShardIndex>,
}

impl Routing {
    /// Counts changes of the topology.
    pub fn epoch(&self) -> u64 {
        todo!()
    }

    /// b of the ring: it has 2^b virtual nodes.
    pub fn bits(&self) -> VNodeBits {
        todo!()
    }

    /// All members, sorted by name.
    pub fn nodes(&self) -> &[NodeRoute] {
        &self.nodes
    }

    /// The nodes that keep `token`, in preference order: the first N are its replicas.
    pub fn preference_list(&self, token: Token) -> &[NodeId] {
        todo!("{token:?}")
    }

    /// The targets for `token`, best first: the owning shards along the preference list; nodes without a known address are skipped.
    pub fn targets(&self, token: Token) -> impl Iterator<Item = Target> {
        todo!("{token:?}");
        #[expect(unreachable_code, reason = "signature only")]
        core::iter::empty()
    }
}
