//! The clock that gives a shard's dots, held below a bound that the log knows.
//!
//! Think of a meter with a seal: it may run up to the seal, and the seal may be set further only once that is written
//! down. After a crash it starts at the last seal written down, so it never shows a time twice.

use std::collections::VecDeque;

use crate::causality::{ActorId, ClockError, Dot, Hlc, HybridClock};
use crate::limits::HLC_BOUND_AHEAD;
use crate::now::Now;
use crate::planted::{Planted, is_planted};
use crate::ticket::Ticket;

/// Gives dots.
#[derive(Debug)]
pub(crate) struct ShardClock {
    actor: ActorId,
    clock: HybridClock,
    /// The latest time given or observed.
    observed: Hlc,
    /// The highest bound appended to the log, durable or not yet.
    bound_appended: Hlc,
    /// The highest bound that is durable.
    bound_durable: Hlc,
    /// Puts that wait for a bound to become durable.
    waiting: VecDeque<Ticket>,
    /// Dots given, for the planted bug that counts them from the start again.
    given: u64,
}

impl ShardClock {
    /// Starts at the durable `bound` of the life before.
    pub(crate) fn new(actor: ActorId, bound: Hlc) -> ShardClock {
        ShardClock {
            actor,
            clock: HybridClock::new(bound),
            // Where the clock starts.
            observed: bound,
            bound_appended: bound,
            bound_durable: bound,
            waiting: VecDeque::new(),
            given: 0,
        }
    }

    /// A dot never given before, later than all that were given or observed.
    pub(crate) fn next_dot(&mut self, now: Now) -> Result<Dot, ClockError> {
        if is_planted(Planted::DotReuseAfterRestart) {
            return Ok(self.reused_dot());
        }
        let hlc = self.clock.tick(now)?;
        self.observed = self.observed.max(hlc);
        Ok(Dot { hlc, actor: self.actor })
    }

    /// Makes later dots later than `seen`; refused if that is too far ahead of the wall clock.
    pub(crate) fn observe(&mut self, now: Now, seen: Hlc) -> Result<(), ClockError> {
        self.clock.observe(now, seen)?;
        self.observed = self.observed.max(seen);
        Ok(())
    }

    /// The bound to append to the log now, if one is wanted and the last appended does not nearly do. It counts as
    /// appended from here on. Afterwards the last appended is later than all that was given or observed.
    pub(crate) fn take_bound_to_append(&mut self, now: Now) -> Option<Hlc> {
        let wanted = self.clock.bound_wanted(now).unwrap_or_default();
        let reached = self.observed.max(Hlc::from_millis(now.wall_millis));
        let is_short = self.bound_appended <= reached;
        // While no bound is on its way the clock's wish is met: a put may wait for it. Else only if it is much higher.
        let is_on_its_way = self.bound_durable < self.bound_appended;
        let step_millis = if is_on_its_way { millis(HLC_BOUND_AHEAD) / 2 } else { 0 };
        let is_news = self.bound_appended < wanted && self.bound_appended.millis() + step_millis <= wanted.millis();
        if !(is_short || is_news) {
            return None;
        }
        self.bound_appended = wanted.max(Hlc(reached.0.saturating_add(1)));
        Some(self.bound_appended)
    }

    /// `bound` is durable.
    pub(crate) fn raise_bound(&mut self, bound: Hlc) {
        self.clock.raise_bound(bound);
        self.bound_durable = self.bound_durable.max(bound);
    }

    /// The put of `ticket` waits for the next bound.
    pub(crate) fn await_bound(&mut self, ticket: Ticket) {
        self.waiting.push_back(ticket);
    }

    /// How many puts wait for a bound.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// The put that waited longest.
    pub(crate) fn pop_waiting(&mut self) -> Option<Ticket> {
        self.waiting.pop_front()
    }

    fn reused_dot(&mut self) -> Dot {
        self.given += 1;
        Dot { hlc: Hlc(self.given), actor: self.actor }
    }
}

fn millis(duration: core::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_millis: u64) -> Now {
        Now { wall_millis, ..Now::default() }
    }

    #[test]
    fn a_put_right_after_a_restart_gets_the_bound_that_it_waits_for() {
        // The bound of the life before lies almost as far ahead as a clock may run.
        for ahead_millis in 0..500 {
            let mut clock = ShardClock::new(ActorId::default(), Hlc::from_millis(1000 + ahead_millis));
            assert_eq!(clock.next_dot(at(1000)), Err(ClockError::BoundReached), "{ahead_millis} ms ahead");
            let bound = clock.take_bound_to_append(at(1000)).expect("a put waits for it");
            assert_eq!(clock.take_bound_to_append(at(1000)), None, "one is on its way");
            clock.raise_bound(bound);
            assert!(clock.next_dot(at(1000)).is_ok());
        }
    }
}
