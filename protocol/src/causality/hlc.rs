//! A clock that agrees with the wall when it can and with causality always.
//!
//! Think of a diary that never takes back a date: it copies the calendar on the wall as long as that goes forward, and
//! numbers further entries under the last date when it does not. Two fences keep it sane. It never runs further ahead
//! of the wall than the cluster tolerates, and never past a bound that is already durable, so that the next life of
//! the shard, which starts at the bound, cannot give a time again.
//!
//! Pure: time comes in as an argument. Writing the bound to the log is the core's work.

use crate::limits::{CLOCK_DRIFT_MAX, HLC_BOUND_AHEAD};
use crate::now::Now;
use crate::planted::{Planted, is_planted};
use core::time::Duration;

/// Bits of the count within one millisecond.
const COUNT_BITS: u32 = 16;
/// The last millisecond that 48 bits can name.
const MILLIS_MAX: u64 = u64::MAX >> COUNT_BITS;

/// A hybrid logical time: 48 bits of Unix milliseconds, then a 16-bit count.
///
/// A count that overflows carries into the milliseconds: the clock then runs ahead of the wall, as it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first time of a millisecond; later ones than 48 bits can name (the year 10889) count as the last.
    pub fn from_millis(millis: u64) -> Hlc {
        Hlc(millis.min(MILLIS_MAX) << COUNT_BITS)
    }

    /// The millisecond.
    pub fn millis(self) -> u64 {
        self.0 >> COUNT_BITS
    }

    fn plus(self, later: Duration) -> Hlc {
        Hlc(self.0.saturating_add(Hlc::from_millis(later.as_millis() as u64).0))
    }
}

/// Why the clock gives no time. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClockError {
    /// What was seen (or given, before the wall clock was set back) is too far ahead of our wall clock. Another node
    /// may do better; this one does once its wall clock has caught up.
    #[error("a version's time is {ahead_millis} ms ahead of this node's clock")]
    TooFarAhead {
        /// By how much.
        ahead_millis: u64,
    },
    /// The durable bound must be raised first, to [`HybridClock::bound_wanted`].
    #[error("the durable bound of the clock must be raised first")]
    BoundReached,
}

/// The clock of one shard.
#[derive(Clone, Debug)]
pub struct HybridClock {
    /// The latest time given or observed.
    last: Hlc,
    bound: Hlc,
}

impl HybridClock {
    /// Starts at `bound`, the durable bound of the life before: all its times were no later.
    pub fn new(bound: Hlc) -> HybridClock {
        let last = if is_planted(Planted::HlcBackwards) { Hlc::default() } else { bound };
        HybridClock { last, bound }
    }

    /// A time later than every one given or observed, and not before the wall clock; `BoundReached` if it would pass
    /// the durable bound, `TooFarAhead` if it would pass the wall clock by more than [`CLOCK_DRIFT_MAX`] (peers would
    /// refuse it).
    pub fn tick(&mut self, now: Now) -> Result<Hlc, ClockError> {
        let next = self.next(now);
        check_drift(now, next)?;
        // At the end of time `next` stands still, and a time must not be given twice.
        if next > self.bound || next == self.last {
            return Err(ClockError::BoundReached);
        }
        self.last = next;
        Ok(next)
    }

    /// Makes later ticks later than `seen`. Refused (nothing changes) if `seen` is more than [`CLOCK_DRIFT_MAX`] ahead
    /// of the wall clock.
    ///
    /// Before a tick for a put the core observes what the put builds on: the stored object ([`EncodedObject::latest`])
    /// and the writer's context. The bound does not cover observed times, so after a restart the clock may stand
    /// before them.
    ///
    /// [`EncodedObject::latest`]: crate::object::EncodedObject::latest
    pub fn observe(&mut self, now: Now, seen: Hlc) -> Result<(), ClockError> {
        check_drift(now, seen)?;
        self.last = self.last.max(seen);
        Ok(())
    }

    /// The bound to make durable next, if less than half of [`HLC_BOUND_AHEAD`] is left of the present one. Always some
    /// after `BoundReached`.
    pub fn bound_wanted(&self, now: Now) -> Option<Hlc> {
        let next = self.next(now);
        // Not past the fence of `tick`: a node that restarts at its bound can write a millisecond later.
        let wanted = next.plus(HLC_BOUND_AHEAD).min(latest_tolerated(now));
        let is_low = self.bound < next.plus(HLC_BOUND_AHEAD / 2);
        // A clock close to the fence could raise its bound with every put; it waits until that is worth a record.
        let is_worth_it = self.bound < next || self.bound.plus(HLC_BOUND_AHEAD / 4) <= wanted;
        (is_low && is_worth_it && self.bound < wanted).then_some(wanted)
    }

    /// The latest time given or observed.
    pub fn last(&self) -> Hlc {
        self.last
    }

    /// `bound` is durable now.
    pub fn raise_bound(&mut self, bound: Hlc) {
        self.bound = self.bound.max(bound);
    }

    fn next(&self, now: Now) -> Hlc {
        Hlc(self.last.0.saturating_add(1)).max(Hlc::from_millis(now.wall_millis))
    }
}

fn latest_tolerated(now: Now) -> Hlc {
    let last_milli = Hlc::from_millis(now.wall_millis).plus(CLOCK_DRIFT_MAX);
    Hlc(last_milli.0 | ((1 << COUNT_BITS) - 1))
}

fn check_drift(now: Now, time: Hlc) -> Result<(), ClockError> {
    if time <= latest_tolerated(now) {
        return Ok(());
    }
    Err(ClockError::TooFarAhead { ahead_millis: time.millis().saturating_sub(now.wall_millis) })
}

// `BoundReached` must always be curable: what `bound_wanted` asks for lies beyond the next time.
const _: () = assert!(HLC_BOUND_AHEAD.as_millis() < CLOCK_DRIFT_MAX.as_millis());
const _: () = assert!(HLC_BOUND_AHEAD.as_millis() >= 4);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_millis: u64) -> Now {
        Now { wall_millis, ..Now::default() }
    }

    /// A clock whose bound is raised whenever it asks, as the core does.
    fn tick(clock: &mut HybridClock, wall_millis: u64) -> Result<Hlc, ClockError> {
        if let Some(bound) = clock.bound_wanted(at(wall_millis)) {
            clock.raise_bound(bound);
        }
        clock.tick(at(wall_millis))
    }

    #[test]
    fn the_clock_follows_the_wall_and_counts_within_a_millisecond() {
        let mut clock = HybridClock::new(Hlc::default());
        assert_eq!(tick(&mut clock, 1000), Ok(Hlc::from_millis(1000)));
        assert_eq!(tick(&mut clock, 1000), Ok(Hlc(Hlc::from_millis(1000).0 + 1)));
        assert_eq!(tick(&mut clock, 1001), Ok(Hlc::from_millis(1001)));
    }

    #[test]
    fn a_wall_clock_set_back_a_little_does_not_take_the_clock_back() {
        let mut clock = HybridClock::new(Hlc::default());
        let before = tick(&mut clock, 10_000).expect("in bounds");
        assert_eq!(tick(&mut clock, 9_600), Ok(Hlc(before.0 + 1)));
    }

    #[test]
    fn a_wall_clock_set_back_far_stops_the_writes_until_it_catches_up() {
        let mut clock = HybridClock::new(Hlc::default());
        let before = tick(&mut clock, 60_000).expect("in bounds");
        assert_eq!(tick(&mut clock, 10_000), Err(ClockError::TooFarAhead { ahead_millis: 50_000 }));
        assert!(tick(&mut clock, 59_500).expect("within the drift") > before);
    }

    #[test]
    fn a_full_count_carries_into_the_milliseconds() {
        let mut clock = HybridClock::new(Hlc::default());
        clock.observe(at(5), Hlc(Hlc::from_millis(6).0 - 1)).expect("near");
        assert_eq!(tick(&mut clock, 5), Ok(Hlc::from_millis(6)));
    }

    #[test]
    fn no_time_passes_the_durable_bound() {
        let mut clock = HybridClock::new(Hlc::default());
        assert_eq!(clock.tick(at(1000)), Err(ClockError::BoundReached));
        let bound = clock.bound_wanted(at(1000)).expect("nothing is left");
        clock.raise_bound(bound);
        assert_eq!(clock.bound_wanted(at(1000)), None, "all of it is left");
        assert_eq!(clock.bound_wanted(at(1150)), None, "more than half is left");
        assert!(clock.bound_wanted(at(1250)).is_some(), "less than half is left");
        assert_eq!(clock.tick(at(1401)), Err(ClockError::BoundReached));
        assert_eq!(clock.tick(at(1399)), Ok(Hlc::from_millis(1399)));
    }

    #[test]
    fn the_next_life_starts_after_every_time_of_this_one_and_can_write_soon() {
        let mut clock = HybridClock::new(Hlc::default());
        // As far ahead of the wall as a clock can be.
        clock.observe(at(1000), Hlc::from_millis(1500)).expect("just within the drift");
        let last = tick(&mut clock, 1000).expect("just within the drift");
        let mut reborn = HybridClock::new(clock.bound);
        let first = tick(&mut reborn, 1001).expect("the bound is no further ahead than the drift");
        assert!(last < first);
    }

    #[test]
    fn what_was_observed_comes_before_what_is_given() {
        let mut clock = HybridClock::new(Hlc::default());
        let seen = Hlc(Hlc::from_millis(1300).0 + 7);
        assert_eq!(clock.observe(at(1000), seen), Ok(()));
        assert_eq!(tick(&mut clock, 1000), Ok(Hlc(seen.0 + 1)));
    }

    #[test]
    fn a_time_from_the_far_future_is_refused_and_leaves_no_trace() {
        let mut clock = HybridClock::new(Hlc::default());
        let seen = Hlc::from_millis(1501);
        assert_eq!(clock.observe(at(1000), seen), Err(ClockError::TooFarAhead { ahead_millis: 501 }));
        assert_eq!(tick(&mut clock, 1000), Ok(Hlc::from_millis(1000)));
    }

    #[test]
    fn at_the_end_of_time_the_clock_stops_rather_than_repeat_itself() {
        let mut clock = HybridClock::new(Hlc(u64::MAX - 1));
        assert_eq!(tick(&mut clock, u64::MAX), Ok(Hlc(u64::MAX)));
        assert_eq!(tick(&mut clock, u64::MAX), Err(ClockError::BoundReached));
    }
}
