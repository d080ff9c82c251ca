//! Power cuts on a real file system.

pub mod child;
pub mod image;
pub mod load;
pub mod node;
pub mod node_rounds;
pub mod record;
pub mod shard_rounds;
pub mod store_cuts;
pub mod summary;
