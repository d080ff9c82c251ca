//! What happened before what.

pub mod actor;
pub mod context;
pub mod dot;
pub(crate) mod encoded_vector;
pub mod hlc;
pub mod version_vector;

pub use actor::{ActorId, Incarnation};
pub use context::{CausalContext, ContextError};
pub use dot::Dot;
pub use hlc::{ClockError, Hlc, HybridClock};
pub use version_vector::VersionVector;
