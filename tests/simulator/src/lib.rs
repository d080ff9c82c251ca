//! A whole cluster in one thread, in simulated time, with everything that can go wrong.
//!
//! Real are the cores, the stores with their log and recovery, the wire codecs and the client's session. Simulated are
//! time, the network, the disks and the clocks, all drawn from one seed, so that what happened once happens again.
//!
//! - [`profile`] and [`nemesis`] draw from the seed what a run is like and what goes wrong when.
//! - [`world`] lets it happen; [`simulation`] leads through faults, healing and verdict.
//! - [`checkers`] hold what clients were told against the promises.
//! - [`scenario`] plays stories from text files; [`planted`] proves that the checkers bite.
//!
//! Nothing here knows the glue: what the real one does with sockets and rings is done here with a heap of times.

#![forbid(unsafe_code)]

pub mod checkers;
pub mod client;
pub mod cluster;
pub mod companion;
pub mod coverage;
pub mod disk;
pub mod fault;
pub mod history;
pub mod nemesis;
pub mod network;
pub mod node;
pub mod planted;
pub mod profile;
pub mod random;
pub mod scenario;
pub mod schedule;
pub mod server;
pub mod shard;
pub mod shard_log;
pub mod simulation;
pub mod trace;
pub mod workload;
pub mod world;
