//! What was measured: latencies by kind, failures by kind, and the rest that a reader of the result wants to know.
//!
//! Each thread fills its own; the sum of all is the result. Latencies are kept with three digits from 100 ns to 10 minutes.

use core::time::Duration;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::slo::Quantile;

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// Reads.
    Get,
    /// Writes.
    Put,
}

/// What happened in some time.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    gets: Histogram<u64>,
    puts: Histogram<u64>,
    failures: BTreeMap<(Kind, &'static str), u64>,
    /// Gets that found nothing (they are done, not failed).
    pub(crate) not_found: u64,
    /// Attempts beyond the first.
    pub(crate) retries: u64,
    /// Answers that came after their requester had given up.
    pub(crate) late_answers: u64,
    /// Connections that ended while they were in use.
    pub(crate) connections_lost: u64,
}

/// Latencies in nanoseconds below this are counted as this.
const NANOS_MIN: u64 = 100;
/// Latencies above this are counted as this: longer than any timeout and any outage worth waiting for.
const NANOS_MAX: u64 = 600_000_000_000;

impl Kind {
    /// As the command line and the report say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Put => "put",
        }
    }
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Tally {
        let empty = || Histogram::new_with_bounds(NANOS_MIN, NANOS_MAX, 3).expect("the bounds are constants that fit");
        Tally {
            gets: empty(),
            puts: empty(),
            failures: BTreeMap::new(),
            not_found: 0,
            retries: 0,
            late_answers: 0,
            connections_lost: 0,
        }
    }

    /// An operation was answered after `latency`.
    pub(crate) fn record_done(&mut self, kind: Kind, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let histogram = match kind {
            Kind::Get => &mut self.gets,
            Kind::Put => &mut self.puts,
        };
        histogram.saturating_record(nanos.clamp(NANOS_MIN, NANOS_MAX));
    }

    /// An operation ended in an error, all retries counted.
    pub(crate) fn record_failed(&mut self, kind: Kind, failure: &'static str) {
        *self.failures.entry((kind, failure)).or_default() += 1;
    }

    /// Adds what another thread, or another second, has measured.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.gets.add(&other.gets).expect("all histograms have the same bounds");
        self.puts.add(&other.puts).expect("all histograms have the same bounds");
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
        self.not_found += other.not_found;
        self.retries += other.retries;
        self.late_answers += other.late_answers;
        self.connections_lost += other.connections_lost;
    }

    /// Starts again from nothing, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.gets.reset();
        self.puts.reset();
        self.failures.clear();
        (self.not_found, self.retries, self.late_answers, self.connections_lost) = (0, 0, 0, 0);
    }

    /// Operations of a kind that were answered.
    pub(crate) fn done(&self, kind: Kind) -> u64 {
        self.histogram(kind).len()
    }

    /// Operations of a kind that failed.
    pub(crate) fn failed(&self, kind: Kind) -> u64 {
        self.failures.iter().filter(|((of, _), _)| *of == kind).map(|(_, count)| count).sum()
    }

    /// Operations of both kinds that were answered.
    pub(crate) fn done_total(&self) -> u64 {
        self.done(Kind::Get) + self.done(Kind::Put)
    }

    /// Operations of both kinds that failed.
    pub(crate) fn failed_total(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The failures by kind and name.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (Kind, &'static str, u64)> {
        self.failures.iter().map(|((kind, failure), count)| (*kind, *failure, *count))
    }

    /// Failed operations as a share of all; `None` if there were none at all.
    pub(crate) fn error_share(&self) -> Option<f64> {
        let all = self.done_total() + self.failed_total();
        (all != 0).then(|| self.failed_total() as f64 / all as f64)
    }

    /// A point of the latency distribution of one kind, or of both; `None` if nothing was answered.
    pub(crate) fn latency(&self, kind: Option<Kind>, quantile: Quantile) -> Option<Duration> {
        let both;
        let histogram = match kind {
            Some(kind) => self.histogram(kind),
            None => {
                let mut sum = self.gets.clone();
                sum.add(&self.puts).expect("both histograms have the same bounds");
                both = sum;
                &both
            }
        };
        let nanos = match quantile {
            Quantile::Share(share) => histogram.value_at_quantile(share),
            Quantile::Max => histogram.max(),
        };
        (!histogram.is_empty()).then(|| Duration::from_nanos(nanos))
    }

    /// The mean latency of a kind; `None` if nothing was answered.
    pub(crate) fn mean(&self, kind: Kind) -> Option<Duration> {
        let histogram = self.histogram(kind);
        (!histogram.is_empty()).then(|| Duration::from_nanos(histogram.mean() as u64))
    }

    fn histogram(&self, kind: Kind) -> &Histogram<u64> {
        match kind {
            Kind::Get => &self.gets,
            Kind::Put => &self.puts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_threads_is_what_one_thread_would_have_measured() {
        let (mut one, mut left, mut right) = (Tally::new(), Tally::new(), Tally::new());
        for micros in 1..=10_000u64 {
            let latency = Duration::from_micros(micros);
            one.record_done(Kind::Get, latency);
            let half = if micros % 2 == 0 { &mut left } else { &mut right };
            half.record_done(Kind::Get, latency);
        }
        right.record_failed(Kind::Put, "busy");
        left.add(&right);
        for share in [0.5, 0.9, 0.99, 0.999] {
            let quantile = Quantile::Share(share);
            assert_eq!(left.latency(Some(Kind::Get), quantile), one.latency(Some(Kind::Get), quantile));
        }
        assert_eq!((left.done(Kind::Get), left.failed(Kind::Put)), (10_000, 1));
    }

    #[test]
    fn a_latency_beyond_the_bounds_is_counted_and_not_lost() {
        let mut tally = Tally::new();
        tally.record_done(Kind::Put, Duration::ZERO);
        tally.record_done(Kind::Put, Duration::from_secs(100_000));
        assert_eq!(tally.done(Kind::Put), 2);
        assert!(tally.latency(None, Quantile::Max) >= Some(Duration::from_secs(599)));
    }

    #[test]
    fn nothing_measured_is_not_zero() {
        assert_eq!(Tally::new().latency(None, Quantile::Max), None);
        assert_eq!(Tally::new().error_share(), None);
    }

    #[test]
    fn a_cleared_tally_is_a_new_one() {
        let mut tally = Tally::new();
        tally.record_done(Kind::Get, Duration::from_millis(1));
        tally.record_failed(Kind::Get, "busy");
        tally.clear();
        assert_eq!((tally.done_total(), tally.failed_total()), (0, 0));
    }
}
