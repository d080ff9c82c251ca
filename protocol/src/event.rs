//! What a core is told.

use crate::node::{NodeId, PeerShard};
use crate::now::Instant;
use crate::object::EncodedObject;
use crate::ticket::{Lsn, Origin, Ticket};
use crate::view::ClusterView;
use crate::wire::peer::PeerMessage;
use crate::wire::request::DataRequest;
use std::sync::Arc;

/// One thing that happened. Closed on purpose: a new kind of event must be thought about at every decision.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client's request for a key whose vnode this shard owns inside its node.
    Request {
        /// Comes back with the reply.
        origin: Origin,
        /// When its frame was read: the timeout counts from there.
        arrived: Instant,
        /// What is asked.
        request: DataRequest,
    },
    /// A peer's message.
    Message {
        /// Whose link brought it.
        from: PeerShard,
        /// The sender's topology, from the envelope.
        epoch: u64,
        /// The sender's wall clock when it sent, in Unix milliseconds, from the envelope.
        clock_millis: u64,
        /// What it says.
        message: PeerMessage,
    },
    /// The answer to an [`crate::Effect::Load`]: one for each, also where the disk failed.
    Loaded {
        /// The load's.
        ticket: Ticket,
        /// What the store holds.
        found: Found,
    },
    /// All records up to and with `upto` would survive a power cut.
    Durable {
        /// No later than the last one appended.
        upto: Lsn,
    },
    /// The disk takes other writes than before. Says nothing about what was appended already: that is durable when
    /// `Durable` says so, which may be long after, and until then it is uncertain.
    DiskChanged {
        /// What it takes from now on.
        state: DiskState,
    },
    /// The link to a node came up or went down.
    LinkChanged {
        /// The other node.
        node: NodeId,
        /// How many shards it has; `None` if the link went down.
        shards: Option<core::num::NonZeroU16>,
    },
    /// The cluster looks different from now on.
    ViewChanged {
        /// All of it.
        view: Arc<ClusterView>,
    },
}

/// Which writes the disk takes. Reads go on in every state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskState {
    /// All.
    #[default]
    Writable,
    /// Deletes only (there is a reserve for them): they are what makes room.
    Full,
    /// None: it fails, or does not answer, or even the reserve is used up.
    Failing,
}

/// The outcome of a load.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing was ever stored (or it is not stored any more).
    Nothing,
    /// Something.
    Object {
        /// The canonical bytes.
        object: EncodedObject,
        /// The log record they came from; `Lsn(0)` if they are in the sorted store, hence durable.
        lsn: Lsn,
    },
    /// The store could not say: the bytes are damaged or the disk does not answer.
    Unreadable,
}
