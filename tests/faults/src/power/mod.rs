//! Power cuts on a real file system.

pub mod child;
pub mod image;
pub mod record;
pub mod shard_rounds;
pub mod summary;
