//! Every bound of the load generator, with its unit and its reason.

use core::time::Duration;

/// Bytes that may wait to be written on a connection; beyond it another connection is taken.
pub(crate) const OUT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes read from a socket at a time.
pub(crate) const READ_BYTES: usize = 128 * 1024;
/// The first wait before another attempt.
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(2);
/// The longest wait before another attempt: short, because a load generator is to see how soon a cluster recovers.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_millis(200);
/// Time to open a connection and shake hands.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait before a lost connection is opened again.
pub(crate) const RECONNECT_AFTER: Duration = Duration::from_millis(100);
/// Time within which the threads must have their first connection.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(10);
/// How often a thread looks at its clock, at least: retries and overdue answers are due at no better grain.
pub(crate) const TICK: Duration = Duration::from_millis(2);
/// The shortest sleep between requests that are due: a timer is no more exact than this, and what is due together goes out together.
pub(crate) const SLEEP_MIN: Duration = Duration::from_micros(50);
/// How often the pacemaker wakes each executor (see `executor`).
pub(crate) const PACE: Duration = Duration::from_millis(5);
/// Reports of threads that may wait to be read.
pub(crate) const REPORTS_MAX: usize = 1024;
/// Keys that are named when something is wrong with them; the others are counted.
pub(crate) const BAD_KEYS_SHOWN: usize = 20;
/// How long a thread may be silent at the end before the run is given up: longer than any timeout and retry.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Executors that are started for one thread before it is given up.
pub(crate) const BEGIN_ATTEMPTS: usize = 5;
/// How long one of them may take to run its first task: many times what it needs.
pub(crate) const BEGIN_WITHIN: Duration = Duration::from_secs(1);
