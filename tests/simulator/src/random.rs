//! The one source of chance in a simulation.
//!
//! Think of a deck of cards shuffled by the seed: whoever draws in the same order draws the same cards. Parts that must
//! not disturb each other (the network's dice and the workload's) each get a deck of their own by [`Random::fork`].
//!
//! The generator is xoshiro256** seeded by splitmix64, written out here so that no library's next version can change
//! what a seed means.

use core::time::Duration;

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

/// How often something happens, in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Permille(pub u16);

impl Random {
    /// The deck of `seed`.
    pub fn from_seed(seed: u64) -> Random {
        let mut source = seed;
        Random { state: core::array::from_fn(|_| splitmix(&mut source)) }
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        let result = self.state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.state[1] << 17;
        self.state[2] ^= self.state[0];
        self.state[3] ^= self.state[1];
        self.state[1] ^= self.state[2];
        self.state[0] ^= self.state[3];
        self.state[2] ^= shifted;
        self.state[3] = self.state[3].rotate_left(45);
        result
    }

    /// A number from 0 to `bound` - 1. `bound` must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A place in something of `count` places, of which there must be at least one.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A time from `low` to `high`, both included.
    pub fn time(&mut self, low: Duration, high: Duration) -> Duration {
        Duration::from_nanos(self.between(low.as_nanos() as u64, high.as_nanos() as u64))
    }

    /// Does it happen this time?
    pub fn happens(&mut self, how_often: Permille) -> bool {
        // A chance of nothing draws no card, so that switching one fault off leaves the others' cards alone.
        how_often.0 > 0 && self.below(1000) < u64::from(how_often.0)
    }

    /// One of several, of which there must be at least one.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// A deck of its own for one part of the simulation.
    pub fn fork(&mut self) -> Random {
        Random::from_seed(self.draw())
    }
}

fn splitmix(source: &mut u64) -> u64 {
    *source = source.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*source ^ (*source >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_draws_the_same_cards_twice() {
        let (mut first, mut second) = (Random::from_seed(7), Random::from_seed(7));
        assert!((0..100).all(|_| first.draw() == second.draw()));
    }

    #[test]
    fn neighbouring_seeds_have_nothing_in_common() {
        let (mut first, mut second) = (Random::from_seed(7), Random::from_seed(8));
        assert!((0..100).all(|_| first.draw() != second.draw()));
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut random = Random::from_seed(1);
        let drawn: Vec<u64> = (0..1000).map(|_| random.between(3, 5)).collect();
        assert!(drawn.iter().all(|number| (3..=5).contains(number)));
        assert!((3..=5).all(|number| drawn.contains(&number)));
    }

    #[test]
    fn what_never_happens_draws_no_card() {
        let (mut first, mut second) = (Random::from_seed(7), Random::from_seed(7));
        assert!(!first.happens(Permille(0)));
        assert_eq!(first.draw(), second.draw());
    }
}
