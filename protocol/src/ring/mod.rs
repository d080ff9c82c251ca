//! Where a key lives.
//!
//! Think of a clock face cut into 2^b equal slices, the virtual nodes. A key's token points at one slice; the slice
//! has an owner; the replicas are the owner and whoever comes next around the face, distinct nodes, distinct racks first.

pub mod object_key;
mod preference_list;
mod seating;
pub mod shard_of;
pub mod token;
mod topology;
pub mod vnode;

pub use object_key::ObjectKey;
pub use shard_of::shard_of;
pub use token::Token;
pub use topology::{Ring, RingError, RingNode, RingShare};
pub use vnode::{VNode, VNodeBits};
