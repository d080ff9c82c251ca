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
    /// Answer the client request that came from `origin`.
    Reply { origin: Origin, reply: DataReply },
    /// Send to the shard of a peer. May be lost; the core never relies on it.
    Send { to: PeerShard, message: PeerMessage },
    /// Look the key up; answer with [`crate::Event::Loaded`].
    Load { ticket: Ticket, key: ObjectKey },
    /// Append to the log and put into the memtable at once, so that later loads see it. `lsn` counts up by one.
    Append { lsn: Lsn, record: Record },
    /// Close the links to a node whose messages make no sense.
    Disconnect { peer: PeerShard },
}

/// What the log keeps.
#[derive(Clone, Debug)]
pub enum Record {
    /// The whole object of a key, replacing what was there.
    Object { key: ObjectKey, object: EncodedObject },
    /// The clock may hand out times up to this one; after a restart it starts no lower.
    HlcBound(Hlc),
}
