//! Damage to the files of a shard: one fault at a time, then everything is read back.
//!
//! ```text
//! templates ──copy──► a directory ──one fault──► open ──► read all ──► write more ──► open again ──► read all ──► outcome
//! ```
//! The parent (`campaign`) hands numbers to worker processes, so that a fault that kills or hangs its process is an outcome
//! too. What a number means (which file, which fault, which place) is drawn from the seed and the number alone.

pub mod campaign;
pub mod cell;
pub mod examine;
pub mod fault;
pub mod files;
pub mod outcome;
pub mod table;
pub mod template;
pub mod worker;
