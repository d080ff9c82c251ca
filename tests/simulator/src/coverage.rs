//! What a run went through: a run in which nothing happened proves nothing.
//!
//! Counts what was asked and answered, and how often each kind of fault had an *effect* (a partition that no message met
//! is no test of partitions). Many runs are added up before they are judged.

use core::fmt;
use std::collections::BTreeMap;

use crate::checkers::Violation;
use crate::fault::FaultKind;
use crate::history::{History, Outcome};

/// Fewest acknowledged writes, and fewest answered reads, of an average run.
const ANSWERS_MIN: u64 = 20;
/// In so many runs a fault must have been switched on before it is held against a sum that it had no effect.
const ENABLED_RUNS_MIN: u64 = 10;

/// The sums of one run or of many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// Runs.
    pub runs: u64,
    /// Writes answered as done.
    pub writes_acknowledged: u64,
    /// Reads answered, found or not.
    pub reads_answered: u64,
    /// Operations refused.
    pub refused: u64,
    /// Operations with an unknown outcome.
    pub unknown: u64,
    /// Dots given.
    pub dots: u64,
    /// Peer messages delivered.
    pub messages: u64,
    /// Checkpoints finished.
    pub checkpoints: u64,
    /// Recoveries that replayed at least one record.
    pub recoveries: u64,
    /// Requests that some core passed on to a replica.
    pub forwards: u64,
    /// Reads that met replicas of different minds.
    pub mismatches: u64,
    /// Tombstones that shards took while their disks were full.
    pub deletes_on_full: u64,
    /// Effects of faults, by kind.
    pub effects: BTreeMap<FaultKind, u64>,
    /// Runs in which a kind was switched on.
    pub enabled: BTreeMap<FaultKind, u64>,
}

impl Coverage {
    /// A fault of this kind had an effect.
    pub fn met(&mut self, kind: FaultKind) {
        self.met_times(kind, 1);
    }

    /// A fault of this kind had an effect so many times.
    pub fn met_times(&mut self, kind: FaultKind, times: u64) {
        if times > 0 {
            *self.effects.entry(kind).or_default() += times;
        }
    }

    /// Takes the outcomes of a history into account.
    pub fn count_history(&mut self, history: &History) {
        for (_, operation) in history.iter() {
            match operation.outcome {
                Outcome::Read { .. } => self.reads_answered += 1,
                Outcome::Written { .. } => self.writes_acknowledged += 1,
                Outcome::Refused(_) => self.refused += 1,
                Outcome::Pending | Outcome::Unknown => self.unknown += 1,
            }
        }
    }

    /// Adds another run, or a sum of them.
    pub fn add(&mut self, other: &Coverage) {
        self.runs += other.runs;
        self.writes_acknowledged += other.writes_acknowledged;
        self.reads_answered += other.reads_answered;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.dots += other.dots;
        self.messages += other.messages;
        self.checkpoints += other.checkpoints;
        self.recoveries += other.recoveries;
        self.forwards += other.forwards;
        self.mismatches += other.mismatches;
        self.deletes_on_full += other.deletes_on_full;
        for (kind, times) in &other.effects {
            *self.effects.entry(*kind).or_default() += times;
        }
        for (kind, runs) in &other.enabled {
            *self.enabled.entry(*kind).or_default() += runs;
        }
    }

    /// Refuses an empty success.
    pub fn check(&self) -> Result<(), Violation> {
        let empty = |what: String| Err(Violation::new("coverage", what));
        if self.writes_acknowledged < ANSWERS_MIN * self.runs {
            return empty(format!("only {} writes were acknowledged in {} runs", self.writes_acknowledged, self.runs));
        }
        if self.reads_answered < ANSWERS_MIN * self.runs {
            return empty(format!("only {} reads were answered in {} runs", self.reads_answered, self.runs));
        }
        for (kind, runs) in &self.enabled {
            if *runs >= ENABLED_RUNS_MIN && !self.effects.contains_key(kind) {
                return empty(format!("{kind:?} was switched on in {runs} runs and never had an effect"));
            }
        }
        let full_runs = self.enabled.get(&FaultKind::FullDisk).copied().unwrap_or_default();
        if full_runs >= ENABLED_RUNS_MIN && self.deletes_on_full == 0 {
            return empty(format!("disks were full in {full_runs} runs, and no delete was taken meanwhile"));
        }
        Ok(())
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs: {} writes acknowledged, {} reads answered, {} refused, {} unknown; {} dots, {} peer messages,",
            self.runs,
            self.writes_acknowledged,
            self.reads_answered,
            self.refused,
            self.unknown,
            self.dots,
            self.messages
        )?;
        writeln!(
            f,
            "{} forwards, {} reads with replicas of different minds, {} checkpoints, {} recoveries with a replay, {} deletes on full disks",
            self.forwards, self.mismatches, self.checkpoints, self.recoveries, self.deletes_on_full
        )?;
        write!(f, "faults that had an effect:")?;
        for (kind, times) in &self.effects {
            write!(f, " {kind:?} {times}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(runs: u64) -> Coverage {
        Coverage {
            runs,
            writes_acknowledged: ANSWERS_MIN * runs,
            reads_answered: ANSWERS_MIN * runs,
            ..Coverage::default()
        }
    }

    #[test]
    fn a_run_without_answers_is_no_success() {
        assert!(Coverage { runs: 1, ..Coverage::default() }.check().is_err());
        assert_eq!(full(1).check(), Ok(()));
    }

    #[test]
    fn a_fault_that_never_had_an_effect_is_no_test() {
        let mut coverage = full(50);
        coverage.enabled.insert(FaultKind::Crash, 25);
        assert!(coverage.check().is_err_and(|violation| violation.what.contains("Crash")));
        coverage.met(FaultKind::Crash);
        assert_eq!(coverage.check(), Ok(()));
    }

    #[test]
    fn few_runs_are_not_asked_for_every_fault() {
        let mut coverage = full(2);
        coverage.enabled.insert(FaultKind::Crash, 2);
        assert_eq!(coverage.check(), Ok(()));
    }
}
