//! The fault matrix: every fault we can make, with what it meets and what becomes of it.
//!
//! Three tables: damage (counted by `rondo-faults damage`), power cuts (counted by `rondo-faults power-cuts`), and the
//! troubles of a disk that still tells the truth, each with the test that makes it. `docs/faults.md` keeps the last full
//! run; a test compares its rows with what the code knows.

pub mod disk_rows;
pub mod document;
pub mod power_rows;
