//! One simulated client: the real session over simulated connections, one request at a time.
//!
//! It remembers the context of the last answer about each key, and carries it with its next write when the workload says
//! that the writer is to be an informed one.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

use rondo_client::session::{RequestId, Session};
use rondo_protocol::causality::{CausalContext, VersionVector};
use rondo_protocol::now::Instant;
use rondo_protocol::wire::request::RequestOptions;

use crate::fault::Seat;
use crate::history::{Key, Kind, OpId};

/// A shard of a node, as a client names it.
pub type Target = (Seat, u16);

/// What a client is to ask next.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What, of which keys: one, or several of one kind as a batch.
    pub items: Vec<(Key, Kind)>,
    /// Levels and timeout.
    pub options: RequestOptions,
    /// R or W as a number.
    pub required: u8,
    /// Does it carry the context of the last answer about its key?
    pub informed: bool,
    /// Whom to ask.
    pub target: Target,
}

/// One client.
pub struct SimClient {
    /// Its number.
    pub number: usize,
    /// Connections, by whom they lead to.
    pub links: BTreeMap<Target, ClientLink>,
    /// What it will ask, in order.
    pub wishes: VecDeque<Wish>,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// Wakings that were planned before this number are void.
    pub wakings: u64,
    contexts: BTreeMap<Key, (Bytes, VersionVector)>,
}

/// A connection.
pub struct ClientLink {
    /// Its number.
    pub connection: u64,
    /// The node's life that it leads to.
    pub life: u64,
    /// The real session.
    pub session: Session<Vec<OpId>>,
    /// When the last byte on its way to the node arrives there.
    pub last_to_server: Instant,
}

/// A request under way.
pub struct Waiting {
    /// On which connection.
    pub target: Target,
    /// Its number there; `None` while the connection is being made.
    pub request: Option<RequestId>,
    /// The operations.
    pub operations: Vec<OpId>,
    /// When it is given up.
    pub until: Instant,
}

impl SimClient {
    /// A client without connections.
    pub fn new(number: usize) -> SimClient {
        SimClient {
            number,
            links: BTreeMap::new(),
            wishes: VecDeque::new(),
            waiting: None,
            wakings: 0,
            contexts: BTreeMap::new(),
        }
    }

    /// Has it nothing to do?
    pub fn is_idle(&self) -> bool {
        self.waiting.is_none() && self.wishes.is_empty()
    }

    /// The context of the last answer about `key`, as bytes and as what it covers; empty if there was none.
    pub fn context(&self, key: Key) -> (Bytes, VersionVector) {
        self.contexts.get(&key).cloned().unwrap_or_default()
    }

    /// Remembers the context of an answer about `key`, and says what it covers. `None`: it is no context of this key.
    pub fn remember(&mut self, key: Key, context: &[u8]) -> Option<VersionVector> {
        let seen = decode(key, context)?;
        self.contexts.insert(key, (Bytes::copy_from_slice(context), seen.clone()));
        Some(seen)
    }
}

/// What a context of `key` covers; the empty one covers nothing. `None`: it is no context of this key.
pub fn decode(key: Key, context: &[u8]) -> Option<VersionVector> {
    CausalContext::decode(context, key.object_key().token()).ok().map(|context| context.seen)
}
