//! Placeholder.
mod key_distribution;
mod pacing;
mod random;
mod record;
mod server_cpu;
mod slo;
mod tally;
mod value;
fn main() {}
