//! Whole nodes in one process, spoken to over real sockets on loopback.
//!
//! Everything waits for a condition, with a bound far above what it takes; nothing waits for time to pass.

mod bad_input;
mod cluster;
mod jobs;
mod single;
mod talk;
mod world;
