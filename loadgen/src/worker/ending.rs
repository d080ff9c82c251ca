//! How operations end: answered, tried again, or failed; and what is noted of each.

use core::time::Duration;

use rondo_client::retry::{Repeats, Verdict};
use rondo_client::session::Completed;
use rondo_client::{Changed, Error, Get, Outcome};

use super::Worker;
use crate::operation::{Operation, Retry, outcome_of};
use crate::plan::Work;
use crate::record::{Finding, acknowledged_line, unknown_line};
use crate::tally::Kind;
use crate::value::read_value;

impl Worker {
    /// An answer came.
    pub(crate) fn completed(&mut self, completed: Completed<Operation>, now: u64) {
        let operation = completed.tag;
        match outcome_of(completed.answer) {
            Ok(Outcome::Get(get)) => self.got(operation, &get, now),
            Ok(Outcome::Written(_)) => {
                if self.plan.is_recording {
                    acknowledged_line(operation.stamp, &mut self.record_lines);
                }
                self.done(operation, now);
            }
            Err(error) => self.failed(operation, &error, now),
        }
    }

    fn got(&mut self, operation: Operation, get: &Get, now: u64) {
        let key_index = operation.stamp.key_index;
        let values: Vec<_> = get.values.iter().map(|value| read_value(value, key_index)).collect();
        if let Work::Verify { record, .. } = &self.plan.work {
            let finding = match record {
                Some(record) => record.judge(key_index, &values),
                None if values.is_empty() => Finding::Missing,
                None if values.iter().any(Result::is_err) => Finding::Damaged,
                None => Finding::Right,
            };
            if finding != Finding::Right {
                self.bad_keys.push((key_index, finding.name()));
            }
        } else if values.iter().any(Result::is_err) {
            return self.end_failed(operation, "damaged_value");
        }
        if !get.is_found() && self.is_measured(operation) {
            self.measured.not_found += 1;
        }
        self.done(operation, now);
    }

    fn done(&mut self, operation: Operation, now: u64) {
        let latency = Duration::from_nanos(now.saturating_sub(operation.intended));
        self.recent.record_done(operation.kind, latency);
        if self.is_measured(operation) {
            self.measured.record_done(operation.kind, latency);
        }
        self.end(operation);
    }

    /// An attempt failed: the next one is planned, if it may be made and there is time for it.
    pub(super) fn failed(&mut self, mut operation: Operation, error: &Error, now: u64) {
        let is_put = operation.kind == Kind::Put;
        if is_put && error.changed() == Changed::Perhaps && !operation.is_suspect {
            operation.is_suspect = true;
            if self.plan.is_recording {
                unknown_line(operation.stamp, &mut self.record_lines);
            }
        }
        let is_harmless = !is_put || self.plan.retries_unknown;
        let repeats = if is_harmless { Repeats::Harmless } else { Repeats::Harmful };
        let random = self.workload.random().next_u64();
        match self.policy.decide(error, repeats, operation.attempt, random) {
            Verdict::Again { after } if now + (after.as_nanos() as u64) < operation.retry_until => {
                operation.attempt += 1;
                self.recent.retries += 1;
                if self.is_measured(operation) {
                    self.measured.retries += 1;
                }
                self.retries.push(Retry { at: now + after.as_nanos() as u64, operation });
            }
            Verdict::Again { .. } | Verdict::GiveUp => self.end_failed(operation, error.kind()),
        }
    }

    pub(super) fn end_failed(&mut self, operation: Operation, failure: &'static str) {
        self.recent.record_failed(operation.kind, failure);
        if self.is_measured(operation) {
            self.measured.record_failed(operation.kind, failure);
        }
        if matches!(self.plan.work, Work::Verify { .. }) {
            self.bad_keys.push((operation.stamp.key_index, "unread"));
        }
        self.end(operation);
    }

    fn end(&mut self, operation: Operation) {
        self.active -= 1;
        if operation.kind == Kind::Put {
            self.workload.written(operation.stamp.key_index);
        }
    }

    fn is_measured(&self, operation: Operation) -> bool {
        let (start, end) = self.plan.window();
        (start..end).contains(&operation.intended)
    }
}
