//! What the jobs of this process have done so far, for the scrape.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Ended, JobKind, JobState, unix_millis};

/// Plain counts.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    scrubs: AtomicU64,
    scrub_objects: AtomicU64,
    scrub_bytes: AtomicU64,
    scrub_damaged: AtomicU64,
    scrub_ended_at: AtomicU64,
    backups: AtomicU64,
    backup_bytes: AtomicU64,
    backup_failures: AtomicU64,
    backup_ended_at: AtomicU64,
}

impl Totals {
    /// Counts a job that has ended.
    pub(super) fn count(&self, kind: JobKind, ended: &Ended) {
        let add = |total: &AtomicU64, field: &str| {
            total.fetch_add(ended.result[field].as_u64().unwrap_or_default(), Ordering::Relaxed);
        };
        let is_whole = matches!(ended.state, JobState::Done | JobState::Damaged);
        let now = unix_millis() / 1000;
        match kind {
            JobKind::Scrub => {
                add(&self.scrub_objects, "objects");
                add(&self.scrub_bytes, "bytes");
                add(&self.scrub_damaged, "damaged");
                if is_whole {
                    self.scrubs.fetch_add(1, Ordering::Relaxed);
                    self.scrub_ended_at.store(now, Ordering::Relaxed);
                }
            }
            JobKind::Backup if is_whole => {
                add(&self.backup_bytes, "bytes");
                self.backups.fetch_add(1, Ordering::Relaxed);
                self.backup_ended_at.store(now, Ordering::Relaxed);
            }
            JobKind::Backup => {
                self.backup_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// When the last whole scrub of this process ended, in seconds since 1970; 0 if there was none.
    pub(super) fn scrub_ended_at(&self) -> u64 {
        self.scrub_ended_at.load(Ordering::Relaxed)
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        let lines: [(&str, &str, &str, &AtomicU64); 9] = [
            ("rondo_scrub_runs_total", "counter", "Scrubs that looked at everything", &self.scrubs),
            ("rondo_scrub_objects_total", "counter", "Objects that scrubs have read", &self.scrub_objects),
            ("rondo_scrub_bytes_total", "counter", "Bytes that scrubs have read", &self.scrub_bytes),
            ("rondo_scrub_damaged_total", "counter", "Damaged places that scrubs have found", &self.scrub_damaged),
            (
                "rondo_scrub_last_end_timestamp_seconds",
                "gauge",
                "When the last whole scrub of this process ended; 0 if there was none",
                &self.scrub_ended_at,
            ),
            ("rondo_backup_runs_total", "counter", "Backups made", &self.backups),
            ("rondo_backup_bytes_total", "counter", "Bytes of the backups made", &self.backup_bytes),
            ("rondo_backup_failures_total", "counter", "Backups that failed or were cancelled", &self.backup_failures),
            (
                "rondo_backup_last_end_timestamp_seconds",
                "gauge",
                "When the last backup of this process was finished; 0 if there was none",
                &self.backup_ended_at,
            ),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in lines {
            let value = value.load(Ordering::Relaxed);
            write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
                .expect("a String takes all that is written");
        }
        text
    }
}
