//! What may be sent again, and when.
//!
//! Two questions are kept apart. *May it happen twice?* decides whether a retry is safe; *does it pay?* decides whether it is
//! worth the load. The budget answers the second one for all requests of a client together: when a cluster is
//! in trouble, every client that doubles its load makes the trouble last.
//!
//! Pure: time and randomness are arguments.

use core::time::Duration;

use rondo_protocol::wire::reply::Refusal;

use crate::error::{Changed, Error};
use crate::limits::ATTEMPTS_MAX;

/// How long to wait between attempts, and how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// The longest wait before the first retry; it doubles with each further one.
    pub backoff_first: Duration,
    /// The longest wait there is.
    pub backoff_max: Duration,
    /// Attempts of one request, the first counted; 1 means never to retry.
    pub attempts_max: u32,
}

/// Whether it would do harm if the cluster carried a request out twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeats {
    /// A get, or a write whose caller said so (see [`crate::Options::repeatable`]).
    Harmless,
    /// Any other write.
    Harmful,
}

/// What to do after an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Try again after this wait, at the next target.
    Again {
        /// How long to wait before.
        after: Duration,
    },
    /// Hand the error to the caller.
    GiveUp,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            backoff_first: Duration::from_millis(10),
            backoff_max: Duration::from_secs(1),
            attempts_max: ATTEMPTS_MAX,
        }
    }
}

impl RetryPolicy {
    /// A policy that never sends anything twice.
    pub fn never() -> RetryPolicy {
        RetryPolicy { attempts_max: 1, ..RetryPolicy::default() }
    }

    /// What to do after attempt number `attempt` (the first is 1) ended in `error`; `random` is any random number.
    pub fn decide(&self, error: &Error, repeats: Repeats, attempt: u32, random: u64) -> Verdict {
        let is_safe = repeats == Repeats::Harmless || error.changed() == Changed::Nothing;
        if !is_safe || !error.is_retryable() || attempt >= self.attempts_max {
            return Verdict::GiveUp;
        }
        Verdict::Again { after: self.wait(error, attempt, random) }
    }

    /// Somewhere between nothing and the doubled backoff ("full jitter"), but no sooner than the server asked for. When
    /// another node can do at once what this one could not, the first retry does not wait.
    fn wait(&self, error: &Error, attempt: u32, random: u64) -> Duration {
        if attempt == 1 && is_the_nodes_own_trouble(error) {
            return Duration::ZERO;
        }
        let doubled = self.backoff_first.saturating_mul(1 << (attempt - 1).min(20)).min(self.backoff_max);
        let jittered = doubled.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64);
        match error {
            Error::Refused { retry_after: Some(asked), .. } => jittered.max(*asked),
            _ => jittered,
        }
    }
}

/// True if the next node may well succeed where this one failed.
fn is_the_nodes_own_trouble(error: &Error) -> bool {
    match error {
        Error::Refused { refusal, .. } => {
            matches!(
                refusal,
                Refusal::Stopping | Refusal::DiskFull | Refusal::DiskFailed | Refusal::ClockSkew | Refusal::Unreadable
            )
        }
        Error::ConnectionLost { .. } | Error::Unreachable { .. } | Error::NoAnswer { .. } => true,
        Error::Unknown { .. }
        | Error::NotSent
        | Error::Protocol { .. }
        | Error::Rejected { .. }
        | Error::BadInput(_) => false,
    }
}

/// A bucket of permissions to retry: requests fill it a little, retries empty it, and time drips a few in so that a client
/// with little traffic can retry at all.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// In thousandths of a retry, so that the arithmetic is exact.
    millis_of_retries: u64,
    last_drip: Duration,
    refused: u64,
}

/// What one first attempt pays in, in thousandths of a retry: at most one retry for five requests in the long run.
const DEPOSIT_MILLIS: u64 = 200;
/// What one retry costs.
const RETRY_MILLIS: u64 = 1_000;
/// What time pays in a second: ten retries.
const DRIP_MILLIS_PER_SECOND: u64 = 10_000;
/// The bucket's size: a node's death under full load fails as many requests as were in flight, all at once.
const BUDGET_MILLIS_MAX: u64 = 4 * 1024 * RETRY_MILLIS;

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget { millis_of_retries: BUDGET_MILLIS_MAX / 4, last_drip: Duration::ZERO, refused: 0 }
    }
}

impl RetryBudget {
    /// A first attempt was made.
    pub fn deposit(&mut self) {
        self.add(DEPOSIT_MILLIS);
    }

    /// True if a retry may be made at `now` (since some fixed start); it is then paid for.
    pub fn withdraw(&mut self, now: Duration) -> bool {
        let waited = now.saturating_sub(self.last_drip).min(Duration::from_secs(3600));
        self.last_drip = self.last_drip.max(now);
        self.add(waited.as_millis() as u64 * DRIP_MILLIS_PER_SECOND / 1_000);
        if self.millis_of_retries < RETRY_MILLIS {
            self.refused += 1;
            return false;
        }
        self.millis_of_retries -= RETRY_MILLIS;
        true
    }

    /// Retries that could be made now, without what time has paid since the last one.
    pub fn retries_left(&self) -> u64 {
        self.millis_of_retries / RETRY_MILLIS
    }

    /// How often the bucket was empty.
    pub fn refused_total(&self) -> u64 {
        self.refused
    }

    fn add(&mut self, millis: u64) {
        self.millis_of_retries = (self.millis_of_retries + millis).min(BUDGET_MILLIS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_protocol::wire::reply::Receipt;

    const HALF: u64 = 1 << 63;

    fn refused(refusal: Refusal, retry_after: Option<Duration>) -> Error {
        Error::Refused { refusal, retry_after }
    }

    fn unknown() -> Error {
        Error::Unknown { receipt: Receipt::default() }
    }

    fn check(error: &Error, repeats: Repeats, attempt: u32, wanted: Option<u64>) {
        let wanted = match wanted {
            Some(millis) => Verdict::Again { after: Duration::from_millis(millis) },
            None => Verdict::GiveUp,
        };
        assert_eq!(RetryPolicy::default().decide(error, repeats, attempt, HALF), wanted, "{error} attempt {attempt}");
    }

    #[test]
    fn a_refusal_is_retried_even_for_writes_because_nothing_happened() {
        check(&refused(Refusal::NotEnoughReplicas, None), Repeats::Harmful, 1, Some(5));
        check(&refused(Refusal::Stopping, None), Repeats::Harmful, 1, Some(0));
        check(&refused(Refusal::DiskFull, None), Repeats::Harmful, 1, Some(0));
    }

    #[test]
    fn an_unknown_write_is_never_sent_again_unless_the_caller_said_that_it_does_no_harm() {
        check(&unknown(), Repeats::Harmful, 1, None);
        check(&unknown(), Repeats::Harmless, 1, Some(5));
    }

    #[test]
    fn what_is_wrong_with_the_request_stays_wrong() {
        check(&refused(Refusal::BadContext, None), Repeats::Harmless, 1, None);
        check(&refused(Refusal::UnknownKeyspace, None), Repeats::Harmless, 1, None);
    }

    #[test]
    fn waits_double_up_to_the_largest_and_attempts_end() {
        let busy = refused(Refusal::Busy, None);
        for (attempt, millis) in [(1, 5), (2, 10), (3, 20), (7, 320), (8, 500), (15, 500)] {
            check(&busy, Repeats::Harmful, attempt, Some(millis));
        }
        check(&busy, Repeats::Harmful, ATTEMPTS_MAX, None);
    }

    #[test]
    fn a_server_that_says_when_to_return_is_not_asked_sooner() {
        check(&refused(Refusal::Busy, Some(Duration::from_millis(40))), Repeats::Harmful, 1, Some(40));
    }

    #[test]
    fn an_empty_budget_says_no_until_requests_or_time_fill_it() {
        let mut budget = RetryBudget::default();
        let now = Duration::from_secs(5);
        while budget.withdraw(now) {}
        assert_eq!((budget.retries_left(), budget.refused_total()), (0, 1));
        for _ in 0..5 {
            budget.deposit();
        }
        assert!(budget.withdraw(now));
        assert!(!budget.withdraw(now));
        assert!(budget.withdraw(now + Duration::from_millis(100)));
        assert!(!budget.withdraw(now + Duration::from_millis(100)));
    }

    #[test]
    fn a_budget_never_grows_past_its_size() {
        let mut budget = RetryBudget::default();
        assert!(budget.withdraw(Duration::from_secs(1_000_000)));
        assert_eq!(budget.retries_left(), BUDGET_MILLIS_MAX / RETRY_MILLIS - 1);
    }
}
