//! What rondo's nodes say to each other, and what they decide.
//!
//! Everything here is pure: no input or output, no clock, no thread, no randomness of its own. Two verbs stand at the
//! border: events are delivered in ([`ShardCore::handle`]), effects come out ([`Effect`]) for somebody else to perform.

#![forbid(unsafe_code)]

pub mod causality;
pub mod coordinator;
pub mod effect;
pub mod event;
pub mod limits;
pub mod node;
pub mod now;
pub mod object;
pub mod planted;
pub mod replica;
pub mod ring;
pub mod shard_core;
pub mod stats;
pub mod ticket;
pub mod update;
pub mod view;
pub mod wire;

pub use effect::{Effect, Effects};
pub use event::Event;
pub use shard_core::ShardCore;
