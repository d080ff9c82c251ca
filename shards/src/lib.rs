//! The cores at work: what `rondo-protocol` decides, done.
//!
//! Each shard is one glommio executor, pinned to one core, with its own slice of the ring, its own log and its own
//! store. This is the only crate that names glommio, and inside it only the module `runtime` does what the compiler cannot check.

pub mod config;
pub mod metrics;
pub mod node;
pub mod preflight;
pub mod status;

pub use config::{NodeConfig, NodeEntry};
pub use metrics::render_metrics;
pub use node::{Node, ShardFailure, StartError, Stopped};
pub use preflight::{PreflightError, preflight};
pub use status::{LinkStatus, NodeStatus, PeerStatus, Phase, ShardStatus, StoreStatus};
