//! What is missing from the log, as exactly as its directories tell.

use crate::limits::LOST_RECORDS_MAX;
use crate::record::{LogRecord, Lsn};
use crate::wal::RecordHead;
use crate::wounds::{Wound, WoundCause};
use std::collections::HashMap;

/// A key, as far as the head of a damaged record tells: its token, and length and checksum of its name.
type LostKey = (u128, usize, u32);

/// Records that cannot be read any more.
#[derive(Debug, Default)]
pub(super) struct Losses {
    keys: HashMap<LostKey, (Lsn, String)>,
    ranges: Vec<Wound>,
    records: u64,
}

impl Losses {
    /// The record of a known key.
    pub(super) fn lose_record(&mut self, lsn: Lsn, head: &RecordHead, what: String) {
        if !head.is_object() {
            self.records += 1; // A clock bound: no key misses anything.
        } else if self.keys.len() < LOST_RECORDS_MAX {
            self.records += 1;
            self.keys.insert((head.token, head.routed_bytes, head.routed_crc), (lsn, what));
        } else {
            self.lose_range(lsn, lsn, WoundCause::LogRot, &what);
        }
    }

    /// Records of which nothing is known but their numbers.
    pub(super) fn lose_range(&mut self, from: Lsn, to: Lsn, cause: WoundCause, what: &str) {
        let records = to.0 - from.0 + 1;
        self.records += records;
        let what = format!("{records} records, lsn {} to {}, are missing: {what}", from.0, to.0);
        self.push_range(to, cause, what);
    }

    /// Records may be missing, and nobody knows how many.
    pub(super) fn lose_unknown(&mut self, from: Lsn, upto: Lsn, cause: WoundCause, what: &str) {
        self.records += 1;
        let what = format!("records from lsn {} on are missing, nobody knows how many: {what}", from.0);
        self.push_range(upto, cause, what);
    }

    fn push_range(&mut self, upto: Lsn, cause: WoundCause, what: String) {
        let wound = Wound { from: 0, to: u128::MAX, upto, keys: None, cause, what, found_at_unix: 0 };
        self.ranges.push(wound);
    }

    /// A later record of a lost key has survived: nothing of that key is missing.
    pub(super) fn heal(&mut self, record: &LogRecord<'_>) {
        let LogRecord::Object { token, routed, .. } = record else { return };
        if !self.keys.is_empty() {
            self.keys.remove(&(*token, routed.len(), crc32c::crc32c(routed)));
        }
    }

    /// How many records are gone, healed ones included.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// What it means for the keys.
    pub(super) fn into_wounds(self, unix_seconds: u64) -> Vec<Wound> {
        let keys = self.keys.into_iter().map(|((token, ..), (upto, what))| Wound {
            from: token,
            to: token,
            upto,
            keys: Some(1),
            cause: WoundCause::LogRot,
            what,
            found_at_unix: 0,
        });
        let mut wounds: Vec<Wound> = keys.chain(self.ranges).collect();
        wounds.sort_by_key(|wound| (wound.from, wound.upto));
        wounds.iter_mut().for_each(|wound| wound.found_at_unix = unix_seconds);
        wounds
    }
}
