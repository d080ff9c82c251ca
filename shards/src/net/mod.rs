//! Sockets: those of clients, and those between nodes.
//!
//! ```text
//! listener ─► arrival ─ first frame ─┬─► client connection          read batch ─► turn ─► one send
//!  (shard 0)   (handshake)           ├─► inlet (a peer's link to us)
//!                                    └─► travels to the shard it asked for, and goes on there
//! peer link ─► connect ─► PeerHello ─► Welcome ─► outbox             ours to a peer's shard; reconnects for ever
//! ```

mod calls;
mod connection;
mod frames;
mod handshake;
mod inlet;
mod listener;
mod outbox;
mod peer_link;
mod peers;
mod reader;
mod socket;
mod verdict;

pub(crate) use calls::Destination;
pub(crate) use connection::{Calls, Clients};
pub(crate) use handshake::Arrivals;
pub(crate) use listener::{Door, accept_loop};
pub(crate) use peer_link::start_links;
pub(crate) use peers::Peers;
pub(crate) use reader::{Port, read_loop};
pub(crate) use socket::Socket;
