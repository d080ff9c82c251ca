//! What a core is told.

use bytes::Bytes;

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
    /// A client's request for a key whose vnode this shard owns inside its node. `arrived` is when its frame was read:
    /// the timeout counts from there.
    Request { origin: Origin, arrived: Instant, request: DataRequest },
    /// A peer's message, from the link of `from`. `epoch` and `clock_millis` (the sender's wall clock when it sent)
    /// are those of its envelope.
    Message { from: PeerShard, epoch: u64, clock_millis: u64, message: PeerMessage },
    /// What the store holds for the key of an earlier [`crate::Effect::Load`].
    Loaded { ticket: Ticket, found: Found },
    /// All appended records up to and with `upto` would survive a power cut.
    Durable { upto: Lsn },
    /// The log can take no more writes; nothing after the last `Durable` is certain. Reads go on.
    DiskFailed { reason: Bytes },
    /// The link to a node came up (with the number of shards it has) or went down.
    LinkChanged { node: NodeId, shards: Option<core::num::NonZeroU16> },
    /// The cluster looks different from now on.
    ViewChanged { view: Arc<ClusterView> },
}

/// The outcome of a load.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing was ever stored (or it is not stored any more).
    Nothing,
    /// The canonical bytes, and the log record they came from (`Lsn(0)` if they are in the sorted store, hence durable).
    Object { object: EncodedObject, lsn: Lsn },
    /// The store could not say: the bytes are damaged or the disk does not answer.
    Unreadable,
}
