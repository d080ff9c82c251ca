//! The client of rondo: finds the core that owns a key, asks it, and says clearly what came of it.
//!
//! Three layers, each usable without the one above:
//! - [`session`]: the protocol of one connection as a state machine without input, output or clock. The load generator and
//!   the simulator drive it themselves.
//! - [`routing`] and [`retry`]: which core of which node owns a key, and what may be sent again, when. Pure as well.
//! - [`Client`] on tokio and [`blocking::Client`] without: connections on demand, pipelining, timeouts.

#![forbid(unsafe_code)]

mod batch;
pub mod blocking;
pub mod client;
mod connection;
pub mod error;
#[cfg(feature = "fake-server")]
pub mod fake_server;
pub mod limits;
pub mod options;
pub mod outcome;
mod pool;
pub mod retry;
pub mod routing;
pub mod session;

pub use client::{Client, ClientBuilder};
pub use error::{BadInput, Changed, Error};
pub use options::Options;
pub use outcome::{Context, Get, Operation, Outcome, Written};
pub use rondo_protocol::wire::reply::{Receipt, Refusal};
pub use rondo_protocol::wire::request::Level;
pub use routing::Routing;
