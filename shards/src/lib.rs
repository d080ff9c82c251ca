//! The cores at work: what `rondo-protocol` decides, done.
//!
//! Each shard is one glommio executor, pinned to one core, with its own slice of the ring, its own log and its own
//! store. This is the only crate that names glommio, and inside it only the module `runtime` does what the compiler cannot check.

mod boot;
mod clock;
mod cold;
mod commit_loop;
pub mod config;
mod deadline_loop;
mod directory;
mod executor;
mod facts;
mod free_space;
pub mod jobs;
pub mod limits;
mod memory;
mod mesh;
pub mod metrics;
mod net;
pub mod node;
mod node_status;
mod numbered;
pub mod preflight;
mod runtime;
mod shard;
pub mod start_error;
pub mod status;
mod upkeep;
mod watch;
mod wounded;

pub use config::{NodeConfig, NodeEntry, StoreRewrite};
pub use directory::{OnStep, StartStep};
pub use jobs::{JobStart, ShardJob};
pub use memory::{MemoryBound, memory_of_machine};
pub use metrics::render_metrics;
pub use node::{Node, Stopped};
pub use preflight::{PreflightError, preflight};
pub use rondo_storage::DiskCondition;
pub use rondo_storage::{Engine, sorted_store::UnknownEngine};
pub use start_error::{ShardFailure, StartError};
pub use status::{LinkStatus, NodeStatus, PeerStatus, Phase, ShardStatus, StoreStatus};
pub use wounded::WoundStatus;
