//! What happens next: one heap of (time, sequence) for the whole world.
//!
//! Time stands still while something is done and jumps to the next thing when it is done. Two things planned for the
//! same moment happen in the order in which they were planned, so nothing is ever left to luck.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use rondo_protocol::now::Instant;

/// The simulated time and all that is planned.
#[derive(Debug)]
pub struct Schedule<T> {
    now: Instant,
    sequence: u64,
    planned: BinaryHeap<Reverse<Planned<T>>>,
}

#[derive(Debug)]
struct Planned<T> {
    at: Instant,
    sequence: u64,
    what: T,
}

impl<T> Schedule<T> {
    /// Nothing planned, at time zero.
    pub fn new() -> Schedule<T> {
        Schedule { now: Instant(0), sequence: 0, planned: BinaryHeap::new() }
    }

    /// The present moment.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Plans `what` for `at`, or for this moment if that is past.
    pub fn at(&mut self, at: Instant, what: T) {
        self.sequence += 1;
        self.planned.push(Reverse(Planned { at: at.max(self.now), sequence: self.sequence, what }));
    }

    /// Plans `what` for `later` from now.
    pub fn after(&mut self, later: Duration, what: T) {
        self.at(self.now + later, what);
    }

    /// Moves on to the next thing, unless it is later than `limit`; then time moves to `limit` and there is none.
    pub fn next_until(&mut self, limit: Instant) -> Option<T> {
        let due = self.planned.peek().is_some_and(|Reverse(planned)| planned.at <= limit);
        if !due {
            self.now = self.now.max(limit);
            return None;
        }
        let Reverse(planned) = self.planned.pop()?;
        self.now = planned.at;
        Some(planned.what)
    }

    /// How much is planned.
    pub fn planned(&self) -> usize {
        self.planned.len()
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Schedule<T> {
        Schedule::new()
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Planned<T>) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl<T> Eq for Planned<T> {}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Planned<T>) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Planned<T>) -> core::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREVER: Instant = Instant(u64::MAX);

    #[test]
    fn things_happen_in_the_order_of_their_time() {
        let mut schedule = Schedule::new();
        schedule.at(Instant(20), "second");
        schedule.at(Instant(10), "first");
        assert_eq!(schedule.next_until(FOREVER), Some("first"));
        assert_eq!(schedule.now(), Instant(10));
        assert_eq!(schedule.next_until(FOREVER), Some("second"));
    }

    #[test]
    fn things_of_one_moment_happen_in_the_order_of_their_planning() {
        let mut schedule = Schedule::new();
        for name in ["first", "second", "third"] {
            schedule.at(Instant(5), name);
        }
        let happened: Vec<_> = std::iter::from_fn(|| schedule.next_until(FOREVER)).collect();
        assert_eq!(happened, ["first", "second", "third"]);
    }

    #[test]
    fn time_stops_at_the_limit_and_what_is_later_stays_planned() {
        let mut schedule = Schedule::new();
        schedule.at(Instant(20), "late");
        assert_eq!(schedule.next_until(Instant(15)), None);
        assert_eq!(schedule.now(), Instant(15));
        assert_eq!(schedule.planned(), 1);
    }

    #[test]
    fn what_is_planned_for_the_past_happens_now() {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.next_until(Instant(15)), None);
        schedule.at(Instant(3), "overdue");
        assert_eq!(schedule.next_until(FOREVER), Some("overdue"));
        assert_eq!(schedule.now(), Instant(15));
    }
}
