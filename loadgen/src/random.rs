//! Random numbers from a seed: the same seed gives the same load.
//!
//! SplitMix64: one addition and a few shifts, good enough to choose keys and to fill values that no disk can compress.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

/// 2^64 divided by the golden ratio, odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// A stream of its own for part number `part`.
    pub(crate) fn fork(seed: u64, part: u64) -> Random {
        Random { state: mix(seed ^ mix(part.wrapping_add(STEP))) }
    }

    /// Any number.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number in [0, 1).
    pub(crate) fn next_unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `bound` (which is not 0); the bias is below `bound` / 2^64.
    pub(crate) fn next_below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// Spreads each bit of a number over all.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_load_and_forks_differ() {
        let (mut one, mut same) = (Random::fork(7, 1), Random::fork(7, 1));
        assert_eq!(one.next_u64(), same.next_u64());
        assert_ne!(Random::fork(7, 1).next_u64(), Random::fork(7, 2).next_u64());
    }

    #[test]
    fn bounds_are_kept() {
        let mut random = Random::fork(1, 0);
        for bound in [1, 2, 3, 1000, u64::MAX] {
            assert!((0..1000).all(|_| random.next_below(bound) < bound));
        }
        assert!((0..1000).map(|_| random.next_unit()).all(|unit| (0.0..1.0).contains(&unit)));
    }
}
