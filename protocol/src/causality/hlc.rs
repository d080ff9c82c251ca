//! A clock that agrees with the wall when it can and with causality always.

use crate::now::Now;

/// A hybrid logical time: 48 bits of Unix milliseconds, then a 16-bit count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first time of a millisecond.
    pub fn from_millis(millis: u64) -> Hlc {
        Hlc(millis << 16)
    }

    /// The millisecond.
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }
}

/// Why the clock gives no time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClockError {
    /// What was seen is too far ahead of our wall clock.
    #[error("a version's time is {ahead_millis} ms ahead of this node's clock")]
    TooFarAhead {
        /// By how much.
        ahead_millis: u64,
    },
    /// The durable bound must be raised first.
    #[error("the durable bound of the clock must be raised first")]
    BoundReached,
}

/// The clock of one shard.
#[derive(Clone, Debug)]
pub struct HybridClock {
    last: Hlc,
    bound: Hlc,
}

impl HybridClock {
    /// Starts at or above `bound`, the durable bound of the life before.
    pub fn new(bound: Hlc) -> HybridClock {
        HybridClock { last: bound, bound }
    }

    /// A time later than every one given or observed, and not before the wall clock; `BoundReached` if it would pass
    /// the durable bound.
    pub fn tick(&mut self, now: Now) -> Result<Hlc, ClockError> {
        todo!("{now:?}")
    }

    /// Makes later ticks later than `seen`. Refused (nothing changes) if `seen` is more than
    /// [`crate::limits::CLOCK_DRIFT_MAX`] ahead of the wall clock.
    pub fn observe(&mut self, now: Now, seen: Hlc) -> Result<(), ClockError> {
        todo!("{now:?}{seen:?}")
    }

    /// The bound to make durable next, if less than half of [`crate::limits::HLC_BOUND_AHEAD`] is left of the present one.
    pub fn bound_wanted(&self, now: Now) -> Option<Hlc> {
        todo!("{now:?}")
    }

    /// `bound` is durable now.
    pub fn raise_bound(&mut self, bound: Hlc) {
        self.bound = self.bound.max(bound);
    }
}
