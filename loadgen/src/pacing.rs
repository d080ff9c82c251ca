//! When the next request is due.
//!
//! An open loop is a crowd at a counter: people come when they come, whether or not the clerk is slow. So the moments are
//! laid down in advance, latency counts from them, and a backlog is worked off in order, never skipped. A load
//! generator that waits for slow answers before it asks again would hide exactly what it is to measure.
//!
//! Pure: time and randomness are arguments, in nanoseconds since the start of the run.

use crate::random::Random;

/// How the moments lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Even,
    /// At random, independent of each other, as many callers together do.
    Poisson,
}

/// The schedule of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Pacing {
    arrivals: Arrivals,
    /// Mean distance in nanoseconds.
    interval: f64,
    /// When the first one is due.
    phase: f64,
    due: f64,
    taken: u64,
}

impl Pacing {
    /// `rate` requests a second by this thread, which is number `thread` of `threads`: they are out of step, so that together
    /// they are even as well.
    pub(crate) fn new(arrivals: Arrivals, rate: f64, thread: usize, threads: usize) -> Pacing {
        assert!(rate > 0.0, "the command line refuses a rate of {rate}");
        let interval = 1e9 / rate;
        let phase = interval * thread as f64 / threads as f64;
        Pacing { arrivals, interval, phase, due: phase, taken: 0 }
    }

    /// When the next request is due.
    pub(crate) fn next_due(&self) -> u64 {
        self.due as u64
    }

    /// The intended start of the next request, if that is `now` or before; the one after it is then next.
    pub(crate) fn take_due(&mut self, now: u64, random: &mut Random) -> Option<u64> {
        let intended = self.next_due();
        if intended > now {
            return None;
        }
        self.taken += 1;
        self.due = match self.arrivals {
            // From the count, not by adding up: a day of additions would drift.
            Arrivals::Even => self.phase + self.taken as f64 * self.interval,
            Arrivals::Poisson => self.due - (1.0 - random.next_unit()).ln() * self.interval,
        };
        Some(intended)
    }

    /// About how many requests are due and not taken.
    pub(crate) fn backlog(&self, now: u64) -> u64 {
        let late = now as f64 - self.due;
        if late < 0.0 { 0 } else { (late / self.interval) as u64 + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn take_all(pacing: &mut Pacing, now: u64) -> Vec<u64> {
        let mut random = Random::fork(3, 0);
        core::iter::from_fn(|| pacing.take_due(now, &mut random)).collect()
    }

    #[test]
    fn requests_are_due_at_equal_distances() {
        let mut pacing = Pacing::new(Arrivals::Even, 4.0, 0, 1);
        assert_eq!(take_all(&mut pacing, SECOND / 2), [0, SECOND / 4, SECOND / 2]);
        assert!(take_all(&mut pacing, SECOND / 2).is_empty());
        assert_eq!(pacing.next_due(), 3 * SECOND / 4);
    }

    #[test]
    fn a_backlog_keeps_its_intended_moments() {
        let mut pacing = Pacing::new(Arrivals::Even, 1000.0, 0, 1);
        assert_eq!(pacing.backlog(5 * SECOND), 5001);
        let late = take_all(&mut pacing, 5 * SECOND);
        assert_eq!(late.len(), 5001);
        assert_eq!(late[..3], [0, 1_000_000, 2_000_000]);
        assert_eq!(pacing.backlog(5 * SECOND), 0);
    }

    #[test]
    fn threads_are_out_of_step() {
        let dues = [0, 1, 2, 3].map(|thread| Pacing::new(Arrivals::Even, 250.0, thread, 4).next_due());
        assert_eq!(dues, [0, 1_000_000, 2_000_000, 3_000_000]);
    }

    #[test]
    fn random_arrivals_keep_the_rate() {
        let mut pacing = Pacing::new(Arrivals::Poisson, 10_000.0, 0, 1);
        let taken = take_all(&mut pacing, 10 * SECOND).len();
        assert!((98_500..101_500).contains(&taken), "{taken}");
    }
}
