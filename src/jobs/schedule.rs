//! The scrub that nobody has to think of: one every so many hours, with a small share.
//!
//! When the last one was stands in a file of the data directory, so that a node that is restarted every night still has
//! its turn. If the file is missing or makes no sense, the count begins now.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{JobKind, Jobs, NotBegun, ScrubOrder, unix_millis};
use crate::limits::SCRUB_LOOK_INTERVAL;

/// The file's name in the data directory.
const LAST: &str = "last-scrub";

/// When and how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ScrubSchedule {
    /// From one scrub to the next; none if zero.
    pub(crate) interval: Duration,
    /// How much of the companions' time, 1 to 100.
    pub(crate) share_percent: u8,
}

/// Begins a scrub whenever one is due, on a thread of its own, until the process ends.
pub(crate) fn start(jobs: Arc<Jobs>, data: PathBuf, schedule: ScrubSchedule) -> io::Result<()> {
    let begun_at = unix_millis() / 1000;
    let follow = move || {
        let mut noted = 0;
        loop {
            std::thread::sleep(SCRUB_LOOK_INTERVAL);
            let last = jobs.totals().scrub_ended_at();
            if last > noted {
                noted = last;
                note(&data, last);
            }
            let before = last.max(read(&data).unwrap_or(begun_at));
            if is_due(unix_millis() / 1000, before, schedule.interval) {
                begin(&jobs, schedule);
            }
        }
    };
    std::thread::Builder::new().name("scrub-schedule".to_owned()).spawn(follow).map(drop)
}

fn begin(jobs: &Jobs, schedule: ScrubSchedule) {
    match jobs.scrub(ScrubOrder { share_percent: Some(schedule.share_percent) }) {
        Ok(id) => tracing::info!(job = id, "the scheduled scrub has begun"),
        // The next look tries again.
        Err(NotBegun::Running { kind: JobKind::Scrub, .. } | NotBegun::NotServing) => {}
        Err(error) => tracing::warn!(?error, "the scheduled scrub could not begin"),
    }
}

/// A clock that was set back does not make it due.
fn is_due(now: u64, last: u64, interval: Duration) -> bool {
    !interval.is_zero() && interval.as_secs() <= now.saturating_sub(last)
}

fn read(data: &Path) -> Option<u64> {
    std::fs::read_to_string(data.join(LAST)).ok()?.trim().parse().ok()
}

fn note(data: &Path, last: u64) {
    if let Err(error) = std::fs::write(data.join(LAST), format!("{last}\n")) {
        tracing::warn!(%error, "when the last scrub was could not be noted; after a restart the next one comes later");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrub_is_due_when_its_interval_has_passed_and_never_without_one() {
        let hour = Duration::from_secs(3600);
        assert!(!is_due(10_000, 9_000, hour));
        assert!(is_due(12_600, 9_000, hour));
        assert!(!is_due(5_000, 9_000, hour), "the clock was set back");
        assert!(!is_due(1_000_000, 0, Duration::ZERO));
    }

    #[test]
    fn what_was_noted_is_read_and_nonsense_is_not() {
        let data = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(read(data.path()), None);
        note(data.path(), 77);
        assert_eq!(read(data.path()), Some(77));
        std::fs::write(data.path().join(LAST), "yesterday").expect("writable");
        assert_eq!(read(data.path()), None);
    }
}
