//! What waits for the disk.
//!
//! Nothing is said before it is durable: acknowledgements, replies and answers to reads park here under the log
//! record that they speak of, and leave in its order when the log says that it would survive a power cut.

use std::collections::VecDeque;

use crate::causality::Hlc;
use crate::planted::{Planted, is_planted};
use crate::ticket::{Lsn, Ticket};

/// Who waits for a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiter {
    /// A flight that has something to say about it.
    Flight(Ticket),
    /// The clock, which may go up to this bound.
    Bound(Hlc),
}

/// The end of the log, how much of it is durable, and who waits for the rest.
#[derive(Debug)]
pub(crate) struct Durability {
    appended: Lsn,
    durable: Lsn,
    parked: VecDeque<(Lsn, Waiter)>,
    has_failed: bool,
}

impl Durability {
    /// All up to `recovered` is durable.
    pub(crate) fn new(recovered: Lsn) -> Durability {
        Durability { appended: recovered, durable: recovered, parked: VecDeque::new(), has_failed: false }
    }

    /// The number of the record appended next.
    pub(crate) fn count_append(&mut self) -> Lsn {
        assert!(!self.has_failed, "an append after the log had failed");
        self.appended = self.appended.next();
        self.appended
    }

    /// May it be spoken of?
    #[inline]
    pub(crate) fn is_durable(&self, lsn: Lsn) -> bool {
        lsn <= self.durable || is_planted(Planted::AckBeforeDurable)
    }

    /// `waiter` leaves when `lsn` is durable. Writers come in the order of the log, so this is a push; only the read
    /// of a record that is on its way to the disk goes in between.
    pub(crate) fn park(&mut self, lsn: Lsn, waiter: Waiter) {
        match self.parked.back() {
            Some((last, _)) if lsn < *last => {
                let place = self.parked.partition_point(|(parked, _)| *parked <= lsn);
                self.parked.insert(place, (lsn, waiter));
            }
            Some(_) | None => self.parked.push_back((lsn, waiter)),
        }
    }

    /// The log is durable up to and with `upto`.
    pub(crate) fn advance(&mut self, upto: Lsn) {
        assert!(upto <= self.appended, "the log claims {upto} durable, but only {} was appended", self.appended);
        if !self.has_failed {
            self.durable = self.durable.max(upto);
        }
    }

    /// The next waiter whose record is durable.
    pub(crate) fn pop_durable(&mut self) -> Option<Waiter> {
        let (lsn, _) = self.parked.front()?;
        if self.durable < *lsn {
            return None;
        }
        self.parked.pop_front().map(|(_, waiter)| waiter)
    }

    /// Nothing more will become durable.
    pub(crate) fn fail(&mut self) {
        self.has_failed = true;
    }

    /// Has the log failed?
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The next waiter in vain, after the log has failed.
    pub(crate) fn pop_in_vain(&mut self) -> Option<Waiter> {
        assert!(self.has_failed, "waiters are turned away though the log is well");
        self.parked.pop_front().map(|(_, waiter)| waiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(index: u32) -> Waiter {
        Waiter::Flight(Ticket { index, generation: 0 })
    }

    #[test]
    fn waiters_leave_in_the_order_of_the_log_even_if_a_read_came_late() {
        let mut durability = Durability::new(Lsn(0));
        for _ in 0..3 {
            durability.count_append();
        }
        durability.park(Lsn(1), flight(1));
        durability.park(Lsn(3), flight(3));
        durability.park(Lsn(1), flight(10));
        durability.park(Lsn(2), flight(2));
        durability.advance(Lsn(2));
        assert_eq!(durability.pop_durable(), Some(flight(1)));
        assert_eq!(durability.pop_durable(), Some(flight(10)));
        assert_eq!(durability.pop_durable(), Some(flight(2)));
        assert_eq!(durability.pop_durable(), None);
    }

    #[test]
    fn nothing_becomes_durable_after_the_log_has_failed() {
        let mut durability = Durability::new(Lsn(0));
        let lsn = durability.count_append();
        durability.park(lsn, flight(1));
        durability.fail();
        durability.advance(lsn);
        assert!(!durability.is_durable(lsn));
        assert_eq!(durability.pop_in_vain(), Some(flight(1)));
    }
}
