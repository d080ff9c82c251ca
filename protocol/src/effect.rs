//! What a core wants done.

use crate::causality::hlc::Hlc;
use crate::node::PeerShard;
use crate::object::EncodedObject;
use crate::ring::ObjectKey;
use crate::ticket::{Lsn, Origin, Ticket};
use crate::wire::peer::PeerMessage;
use crate::wire::reply::DataReply;

/// The effects of one step, in order for each kind; the caller owns and reuses the buffer.
pub type Effects = Vec<Effect>;

/// One thing to do. Effects of one kind keep their order; between kinds there is none.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answer a client. Each request is answered exactly once.
    Reply {
        /// Where the request came from.
        origin: Origin,
        /// The answer.
        reply: DataReply,
    },
    /// Send to the shard of a peer. May be lost; the core never relies on it.
    Send {
        /// To whom.
        to: PeerShard,
        /// What, in an envelope of [`crate::ShardCore::epoch`] and the wall clock.
        message: PeerMessage,
    },
    /// Look a key up; answer with [`crate::Event::Loaded`].
    Load {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The key.
        key: ObjectKey,
    },
    /// Append to the log and put into the memtable at once, so that later loads see it.
    Append {
        /// Counts up by one.
        lsn: Lsn,
        /// What to keep.
        record: Record,
    },
    /// Close the links to a node whose messages make no sense.
    Disconnect {
        /// Whose message it was.
        peer: PeerShard,
    },
}

/// What the log keeps.
#[derive(Clone, Debug)]
pub enum Record {
    /// The whole object of a key, replacing what was there.
    Object {
        /// The key.
        key: ObjectKey,
        /// What it holds now.
        object: EncodedObject,
    },
    /// The clock may hand out times up to this one; after a restart it starts no lower.
    HlcBound(Hlc),
}
