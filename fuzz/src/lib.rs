//! The bodies of the fuzz targets. Each takes any bytes, and panics if a law is broken.
//!
//! `cargo fuzz` runs them for hours behind a compiler that watches which way they take; the test below runs every one of
//! them for seconds, on the stable compiler, with inputs drawn from a seed.

mod client_body;
mod client_frame;
mod context;
mod disk_format;
mod object;
mod peer_body;
mod reply_body;
mod seeds;
mod wal_segment;

pub use client_body::client_body;
pub use client_frame::client_frame;
pub use context::context;
pub use disk_format::{disk_format, disk_samples};
pub use object::object;
pub use peer_body::peer_body;
pub use reply_body::reply_body;
pub use seeds::{Target, targets};
pub use wal_segment::wal_segment;

#[cfg(test)]
mod tests {
    use super::targets;
    use std::panic::{self, AssertUnwindSafe};

    /// Changed inputs for each seed of a target.
    const CHANGES: usize = 4000;

    /// Marsaglia's xorshift: the same numbers in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }

    /// One to four bytes become others, or bytes go, come, or are doubled.
    fn change(input: &mut Vec<u8>, random: &mut Random) {
        const ODD: [u8; 8] = [0, 1, 2, 0x10, 0x7F, 0x80, 0xFE, 0xFF];
        for _ in 0..=random.below(4) {
            let at = random.below(input.len() + 1);
            match (random.below(8), input.len() - at) {
                (0, _) => input.truncate(at),
                (1, left) => drop(input.drain(at..at + random.below(left.min(16) + 1))),
                (2, _) => input.insert(at, ODD[random.below(ODD.len())]),
                (3, left) => {
                    let again = input[at..at + random.below(left.min(64) + 1)].to_vec();
                    input.splice(at..at, again);
                }
                (4 | 5, 1..) => input[at] = ODD[random.below(ODD.len())],
                (_, 1..) => input[at] = random.below(256) as u8,
                (_, _) => {}
            }
        }
    }

    #[test]
    fn no_target_breaks_on_its_seeds_and_on_what_becomes_of_them() {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for target in targets() {
            assert!(!target.seeds.is_empty(), "{} has nothing to begin from", target.name);
            for (name, seed) in &target.seeds {
                (target.body)(seed);
                for _ in 0..CHANGES {
                    let mut input = seed.clone();
                    change(&mut input, &mut random);
                    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.body)(&input)));
                    assert!(outcome.is_ok(), "{} breaks on a change of {name}: {}", target.name, hex(&input));
                }
            }
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
