//! Times, counted in buckets that grow with them.
//!
//! Each doubling of the time is cut into four equal buckets, so that a bucket is never wider than a quarter of what it
//! holds. Counting is an array index: no sample is kept, no clock is read here.

use core::time::Duration;

use crate::limits::HISTOGRAM_BUCKETS;

/// The first bucket ends at 2^10 ns, about a microsecond.
const FIRST_BITS: u32 = 10;
/// Buckets of one doubling, as a power of two.
const SPLIT_BITS: u32 = 2;

/// Counts by bucket, with their sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Histogram {
    counts: [u64; HISTOGRAM_BUCKETS],
    sum_nanos: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [0; HISTOGRAM_BUCKETS], sum_nanos: 0 }
    }
}

impl Histogram {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanos)] += 1;
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all times.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// Each bucket's upper end in seconds (the last has none) and how many were counted up to there.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let mut so_far = 0;
        self.counts.iter().enumerate().map(move |(bucket, count)| {
            so_far += count;
            (upper_end(bucket), so_far)
        })
    }
}

fn bucket_of(nanos: u64) -> usize {
    if nanos < 1 << FIRST_BITS {
        return 0;
    }
    let doubling = nanos.ilog2();
    let part = (nanos >> (doubling - SPLIT_BITS)) & ((1 << SPLIT_BITS) - 1);
    let bucket = 1 + (((doubling - FIRST_BITS) << SPLIT_BITS) as usize) + part as usize;
    bucket.min(HISTOGRAM_BUCKETS - 1)
}

/// The time in seconds below which everything in `bucket` lies; `None` for the last.
fn upper_end(bucket: usize) -> Option<f64> {
    if bucket + 1 == HISTOGRAM_BUCKETS {
        return None;
    }
    let doubling = bucket >> SPLIT_BITS;
    let part = bucket & ((1 << SPLIT_BITS) - 1);
    let parts = 1_u64 << SPLIT_BITS;
    let nanos = (1_u64 << (FIRST_BITS as usize + doubling)) / parts * (parts + part as u64);
    Some(nanos as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_below_the_end_of_its_bucket_and_not_below_that_of_the_one_before() {
        for nanos in (0..40).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1, (3 << bits) / 2]) {
            let bucket = bucket_of(nanos);
            let seconds = nanos as f64 / 1e9;
            assert!(upper_end(bucket).is_none_or(|end| seconds < end), "{nanos} ns in bucket {bucket}");
            assert!(bucket == 0 || upper_end(bucket - 1).is_some_and(|end| end <= seconds), "{nanos} ns in {bucket}");
        }
    }

    #[test]
    fn the_last_cumulative_count_is_the_count() {
        let mut histogram = Histogram::default();
        [1, 5_000, 2_000_000, u64::MAX].into_iter().for_each(|nanos| histogram.record(Duration::from_nanos(nanos)));
        let last = histogram.cumulative().last();
        assert_eq!(last, Some((None, 4)));
        assert_eq!(histogram.count(), 4);
    }
}
