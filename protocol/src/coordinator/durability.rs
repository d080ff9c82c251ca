//! What waits for the disk.
//!
//! Nothing is said before it is durable: acknowledgements, replies and answers to reads park here under the log
//! record that they speak of, and leave in its order when the log says that it would survive a power cut. While the
//! disk fails nothing leaves and nobody is turned away: the same records are tried again, and may become durable yet.

use std::collections::VecDeque;

use crate::causality::Hlc;
use crate::event::DiskState;
use crate::planted::{Planted, is_planted};
use crate::ticket::{Lsn, Ticket};
use crate::wire::reply::Refusal;

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
    disk: DiskState,
}

impl Durability {
    /// All up to `recovered` is durable.
    pub(crate) fn new(recovered: Lsn) -> Durability {
        Durability { appended: recovered, durable: recovered, parked: VecDeque::new(), disk: DiskState::Writable }
    }

    /// The number of the record appended next.
    pub(crate) fn count_append(&mut self) -> Lsn {
        assert_ne!(self.disk, DiskState::Failing, "an append while the disk fails");
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
        self.durable = self.durable.max(upto);
    }

    /// The next waiter whose record is durable.
    pub(crate) fn pop_durable(&mut self) -> Option<Waiter> {
        let (lsn, _) = self.parked.front()?;
        if self.durable < *lsn {
            return None;
        }
        self.parked.pop_front().map(|(_, waiter)| waiter)
    }

    /// The disk takes other writes than before.
    pub(crate) fn change_disk(&mut self, state: DiskState) {
        self.disk = state;
    }

    /// Does nothing become durable for now?
    #[inline]
    pub(crate) fn is_failing(&self) -> bool {
        self.disk == DiskState::Failing
    }

    /// May a record of this kind be appended? A tombstone may where a value may not.
    #[inline]
    pub(crate) fn check_append(&self, is_tombstone: bool) -> Result<(), Refusal> {
        match self.disk {
            DiskState::Writable => Ok(()),
            DiskState::Full if is_tombstone => Ok(()),
            DiskState::Full => Err(Refusal::DiskFull),
            DiskState::Failing => Err(Refusal::DiskFailed),
        }
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
    fn a_disk_that_fails_takes_nothing_back_and_promises_nothing() {
        let mut durability = Durability::new(Lsn(0));
        let lsn = durability.count_append();
        durability.park(lsn, flight(1));
        durability.change_disk(DiskState::Failing);
        assert_eq!(durability.check_append(true), Err(Refusal::DiskFailed));
        assert!(!durability.is_durable(lsn));
        assert_eq!(durability.pop_durable(), None);
        durability.advance(lsn);
        assert_eq!(durability.pop_durable(), Some(flight(1)));
    }

    #[test]
    fn a_full_disk_takes_what_makes_room() {
        let mut durability = Durability::new(Lsn(0));
        durability.change_disk(DiskState::Full);
        assert_eq!(durability.check_append(true), Ok(()));
        assert_eq!(durability.check_append(false), Err(Refusal::DiskFull));
        durability.change_disk(DiskState::Writable);
        assert_eq!(durability.check_append(false), Ok(()));
    }
}
