//! Which key comes next.
//!
//! Uniform: all keys alike. Zipfian: key number k is asked for in proportion to 1 / k^theta, as real
//! caches see it; with theta 0.99 over a million keys, the first key takes about 7 % of all requests.
//!
//! Zipf numbers are drawn by rejection-inversion (Hörmann and Derflinger, 1996): the discrete distribution is wrapped into the
//! area under a smooth curve that can be inverted, so neither set-up nor draw depends on the number of keys.

use core::fmt;
use core::num::NonZeroU64;

use crate::random::Random;

/// How keys are chosen, as the command line says it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum KeyChoice {
    /// All alike.
    Uniform,
    /// By Zipf's law with this exponent.
    Zipfian(f64),
}

/// Draws key indices below the number of keys.
#[derive(Clone, Debug)]
pub(crate) enum KeyDistribution {
    /// All alike.
    Uniform { keys: u64 },
    /// By Zipf's law.
    Zipfian(Zipf),
}

impl core::str::FromStr for KeyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<KeyChoice, String> {
        let (name, theta) = text.split_once(':').map_or((text, None), |(name, theta)| (name, Some(theta)));
        match (name, theta) {
            ("uniform", None) => Ok(KeyChoice::Uniform),
            ("zipfian", None) => Ok(KeyChoice::Zipfian(0.99)),
            ("zipfian", Some(theta)) => match theta.parse::<f64>() {
                Ok(theta) if theta > 0.0 && theta <= 10.0 => Ok(KeyChoice::Zipfian(theta)),
                _ => Err(format!("theta is a number above 0 and at most 10, not {theta:?}")),
            },
            _ => Err(format!("{text:?} is neither uniform nor zipfian nor zipfian:THETA")),
        }
    }
}

impl fmt::Display for KeyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyChoice::Uniform => f.write_str("uniform"),
            KeyChoice::Zipfian(theta) => write!(f, "zipfian:{theta}"),
        }
    }
}

impl KeyDistribution {
    /// Over `keys` keys.
    pub(crate) fn new(choice: KeyChoice, keys: NonZeroU64) -> KeyDistribution {
        match choice {
            KeyChoice::Uniform => KeyDistribution::Uniform { keys: keys.get() },
            KeyChoice::Zipfian(theta) => KeyDistribution::Zipfian(Zipf::new(keys, theta)),
        }
    }

    /// The next key's index, counted from 0; the most frequent first.
    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        match self {
            KeyDistribution::Uniform { keys } => random.next_below(*keys),
            KeyDistribution::Zipfian(zipf) => zipf.draw(random) - 1,
        }
    }
}

/// Zipf's law over 1..=count.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    count: f64,
    theta: f64,
    /// The area's borders, and the distance within which a draw is certain without a look at the curve.
    area_first: f64,
    area_last: f64,
    certain: f64,
}

impl Zipf {
    fn new(count: NonZeroU64, theta: f64) -> Zipf {
        let count = count.get() as f64;
        let mut zipf = Zipf { count, theta, area_first: 0.0, area_last: 0.0, certain: 0.0 };
        zipf.area_first = zipf.area(1.5) - 1.0;
        zipf.area_last = zipf.area(count + 0.5);
        zipf.certain = 2.0 - zipf.area_inverse(zipf.area(2.5) - zipf.weight(2.0));
        zipf
    }

    fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.area_last + random.next_unit() * (self.area_first - self.area_last);
            let place = self.area_inverse(area);
            let rank = place.round().clamp(1.0, self.count);
            if rank - place <= self.certain || area >= self.area(rank + 0.5) - self.weight(rank) {
                return rank as u64;
            }
        }
    }

    /// How often `rank` comes, up to a common factor.
    fn weight(&self, rank: f64) -> f64 {
        (-self.theta * rank.ln()).exp()
    }

    /// The area under x^-theta from 1 to `place`.
    fn area(&self, place: f64) -> f64 {
        let log = place.ln();
        exp_m1_over((1.0 - self.theta) * log) * log
    }

    fn area_inverse(&self, area: f64) -> f64 {
        // Rounding may lead just past the pole of the logarithm.
        let scaled = (area * (1.0 - self.theta)).max(-1.0);
        (ln_1p_over(scaled) * area).exp()
    }
}

/// (e^x - 1) / x, also where x is nearly 0, which is where theta is nearly 1.
fn exp_m1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// ln(1 + x) / x, also where x is nearly 0.
fn ln_1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(choice: KeyChoice, keys: u64, draws: usize) -> Vec<usize> {
        let distribution = KeyDistribution::new(choice, NonZeroU64::new(keys).expect("not 0"));
        let mut random = Random::fork(42, 0);
        let mut counts = vec![0; keys as usize];
        for _ in 0..draws {
            counts[distribution.draw(&mut random) as usize] += 1;
        }
        counts
    }

    #[test]
    fn uniform_asks_for_all_keys_alike() {
        let counts = counts(KeyChoice::Uniform, 10, 100_000);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipfian_follows_its_law_below_at_and_above_one() {
        for theta in [0.5, 0.99, 1.0, 1.5] {
            let (keys, draws) = (100, 200_000);
            let counts = counts(KeyChoice::Zipfian(theta), keys, draws);
            let total: f64 = (1..=keys).map(|rank| (rank as f64).powf(-theta)).sum();
            for rank in [1, 2, 10, 50] {
                let wanted = (rank as f64).powf(-theta) / total * draws as f64;
                let found = counts[rank - 1] as f64;
                assert!(
                    (found - wanted).abs() < 6.0 * wanted.sqrt(),
                    "theta {theta} rank {rank}: {found} for {wanted}"
                );
            }
        }
    }

    #[test]
    fn one_key_is_always_itself() {
        assert_eq!(counts(KeyChoice::Zipfian(0.99), 1, 100), [100]);
    }

    #[test]
    fn the_command_line_names_the_choice() {
        assert_eq!("zipfian:1.2".parse(), Ok(KeyChoice::Zipfian(1.2)));
        assert_eq!("zipfian".parse(), Ok(KeyChoice::Zipfian(0.99)));
        for wrong in ["zipf", "uniform:1", "zipfian:0", "zipfian:nan", "zipfian:-1", ""] {
            assert!(wrong.parse::<KeyChoice>().is_err(), "{wrong}");
        }
    }
}
