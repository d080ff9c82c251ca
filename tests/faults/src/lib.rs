//! Faults made for real: power cuts under ext4, and damage to the files of a shard.
//!
//! The simulator makes faults in a world of its own; here the file system, the engines' files and the processes are the
//! real ones. Each experiment knows what it has written (`content`), so it can tell a right answer from an old, a wrong or
//! a lost one. Never built together with a release: the storage under it can have bugs planted.

#![forbid(unsafe_code)]

pub mod content;
pub mod damage;
pub mod matrix;
pub mod planted;
pub mod power;
pub mod random;
pub mod shard;
