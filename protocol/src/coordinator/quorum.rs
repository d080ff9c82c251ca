//! Quorum arithmetic as a value with questions.
//!
//! Think of a show of hands: each of N replicas has one hand, raising it twice changes nothing, and one that left the
//! room may still come back and raise it. What the hands are for is the flows' business.

use super::marks::Marks;

/// How far a request is from the replicas that it requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quorum {
    required: u8,
    replicas: u8,
    answered: Marks,
    failed: Marks,
}

impl Quorum {
    /// Nobody of `replicas` has answered; `required` must.
    ///
    /// # Panics
    /// Unless 1 <= `required` <= `replicas` <= 16: requests are checked before they come here.
    pub fn new(required: u8, replicas: u8) -> Quorum {
        assert!(1 <= required, "a quorum of nobody");
        assert!(required <= replicas, "a quorum of {required} among {replicas}");
        assert!(usize::from(replicas) <= crate::limits::REPLICAS_MAX, "{replicas} replicas");
        Quorum { required, replicas, answered: Marks::NONE, failed: Marks::NONE }
    }

    /// The replica at `place` answered (or acknowledged). An answer after a failure counts.
    pub fn record_answer(&mut self, place: usize) {
        self.answered.set(place);
        self.failed.clear(place);
    }

    /// The replica at `place` refused or cannot be reached. After an answer this changes nothing.
    pub fn record_failure(&mut self, place: usize) {
        if !self.answered.has(place) {
            self.failed.set(place);
        }
    }

    /// Have as many answered as are required?
    #[inline]
    pub fn is_reached(&self) -> bool {
        self.answered() >= self.required
    }

    /// Would it be reached if all answered that have not failed?
    #[inline]
    pub fn can_still_be_reached(&self) -> bool {
        self.replicas - self.failed.count() >= self.required
    }

    /// How many have answered.
    #[inline]
    pub fn answered(&self) -> u8 {
        self.answered.count()
    }

    /// R or W as a number.
    pub fn required(&self) -> u8 {
        self.required
    }

    /// N.
    pub fn replicas(&self) -> u8 {
        self.replicas
    }

    /// Who failed and has not answered since.
    pub fn failed(&self) -> Marks {
        self.failed
    }

    /// Who answered.
    pub fn who_answered(&self) -> Marks {
        self.answered
    }

    /// Counts again: only the answers of `kept` stand.
    pub fn recount(&mut self, kept: Marks) {
        self.answered = self.answered.and(kept);
    }

    /// One answer less is enough from now on: for the planted bug that reports a write too early.
    pub(crate) fn require_one_less(&mut self) {
        self.required = self.required.saturating_sub(1).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replica_counts_once_however_often_it_answers() {
        let mut quorum = Quorum::new(2, 3);
        quorum.record_answer(0);
        quorum.record_answer(0);
        assert!(!quorum.is_reached());
        quorum.record_answer(2);
        assert!(quorum.is_reached());
    }

    #[test]
    fn hope_ends_when_too_many_have_failed_and_returns_with_a_late_answer() {
        let mut quorum = Quorum::new(2, 3);
        quorum.record_failure(0);
        assert!(quorum.can_still_be_reached());
        quorum.record_failure(1);
        assert!(!quorum.can_still_be_reached());
        quorum.record_answer(1);
        assert!(quorum.can_still_be_reached());
    }

    #[test]
    fn a_failure_after_an_answer_takes_nothing_back() {
        let mut quorum = Quorum::new(1, 1);
        quorum.record_answer(0);
        quorum.record_failure(0);
        assert!(quorum.is_reached() && quorum.can_still_be_reached());
    }

    #[test]
    fn a_recount_keeps_only_the_answers_that_still_stand() {
        let mut quorum = Quorum::new(2, 3);
        quorum.record_answer(0);
        quorum.record_answer(1);
        quorum.recount(Marks::of(0));
        assert_eq!(quorum.answered(), 1);
    }
}
