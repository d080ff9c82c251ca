//! The record of what the cluster has acknowledged, so that nobody has to believe it.
//!
//! A text file that only grows: `A key sequence` for an acknowledged write, `U key sequence` for one whose outcome is
//! unknown. Each key is written by one thread, one write at a time, with rising sequences; so after the
//! run a key must hold its latest acknowledged write, or a later one, or one of the unknown ones, which may appear at any time.
//! Lines lost from the end (the generator was killed) make the check weaker and never wrong.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ahash::AHashMap;

use crate::value::{BadValue, Stamp};

/// The first line.
const TITLE: &str = "rondo-loadgen record 1";

/// What is known of one key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct KeyRecord {
    /// The latest acknowledged write.
    pub(crate) acknowledged: Option<u64>,
    /// Writes whose outcome is unknown.
    pub(crate) unknown: Vec<u64>,
}

/// What is known of all keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Record {
    keys: AHashMap<u64, KeyRecord>,
}

/// What reading a key back has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    /// What the record promises.
    Right,
    /// An acknowledged write is gone: the key holds nothing.
    Missing,
    /// An acknowledged write is gone: the key holds an earlier one.
    Stale,
    /// The value is damaged.
    Damaged,
    /// The value belongs to another key.
    OfOtherKey,
}

impl Finding {
    /// One word for tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Finding::Right => "right",
            Finding::Missing => "missing",
            Finding::Stale => "stale",
            Finding::Damaged => "damaged",
            Finding::OfOtherKey => "of_other_key",
        }
    }
}

impl Record {
    /// Adds an acknowledged write.
    pub(crate) fn acknowledge(&mut self, key_index: u64, sequence: u64) {
        let key = self.keys.entry(key_index).or_default();
        key.acknowledged = key.acknowledged.max(Some(sequence));
    }

    /// Adds a write whose outcome is unknown.
    pub(crate) fn suspect(&mut self, key_index: u64, sequence: u64) {
        self.keys.entry(key_index).or_default().unknown.push(sequence);
    }

    /// The keys that must hold something, or may.
    pub(crate) fn key_indices(&self) -> Vec<u64> {
        let mut indices: Vec<u64> = self.keys.keys().copied().collect();
        indices.sort_unstable();
        indices
    }

    /// How many keys have an acknowledged write.
    pub(crate) fn acknowledged_keys(&self) -> u64 {
        self.keys.values().filter(|key| key.acknowledged.is_some()).count() as u64
    }

    /// Compares what was read back (each value with its stamp, all of them where there are siblings) with what was acknowledged.
    pub(crate) fn judge(&self, key_index: u64, values: &[Result<Option<Stamp>, BadValue>]) -> Finding {
        for value in values {
            match value {
                Err(BadValue::Damaged) | Ok(None) => return Finding::Damaged,
                Err(BadValue::OfOtherKey) => return Finding::OfOtherKey,
                Ok(Some(_)) => {}
            }
        }
        let Some(key) = self.keys.get(&key_index) else { return Finding::Right };
        let Some(acknowledged) = key.acknowledged else { return Finding::Right };
        let is_right = |stamp: &Stamp| stamp.sequence >= acknowledged || key.unknown.contains(&stamp.sequence);
        match values {
            [] => Finding::Missing,
            values if values.iter().flatten().flatten().any(is_right) => Finding::Right,
            _ => Finding::Stale,
        }
    }

    /// Reads a record file. A last line without its end is left out: the generator was killed while it wrote it.
    pub(crate) fn read(path: &Path) -> io::Result<Record> {
        let mut reader = BufReader::new(File::open(path)?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim_end() != TITLE {
            return Err(broken(1, "the first line is not that of a record"));
        }
        let mut record = Record::default();
        for number in 2.. {
            line.clear();
            reader.read_line(&mut line)?;
            let Some(whole) = line.strip_suffix('\n') else { break };
            record
                .take_line(whole)
                .ok_or_else(|| broken(number, "not of the form `A KEY SEQUENCE` or `U KEY SEQUENCE`"))?;
        }
        Ok(record)
    }

    fn take_line(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split(' ');
        let (what, key, sequence) = (fields.next()?, fields.next()?, fields.next()?);
        let (key, sequence) = (key.parse().ok()?, sequence.parse().ok()?);
        match (what, fields.next()) {
            ("A", None) => self.acknowledge(key, sequence),
            ("U", None) => self.suspect(key, sequence),
            _ => return None,
        }
        Some(())
    }
}

fn broken(line: usize, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {why}"))
}

/// The open file; lines come ready made from the threads.
#[derive(Debug)]
pub(crate) struct RecordFile {
    file: BufWriter<File>,
}

impl RecordFile {
    /// Opens `path` to append to it, or begins it. A last line that was cut is ended first, so that it stays the only loss.
    pub(crate) fn open(path: &Path) -> io::Result<RecordFile> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if file.metadata()?.len() == 0 {
            writeln!(file, "{TITLE}")?;
        } else {
            Record::read(path)?;
            cut_unfinished_line(&mut file)?;
        }
        Ok(RecordFile { file: BufWriter::new(file) })
    }

    /// Appends whole lines.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)
    }

    /// Hands everything to the system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Takes a last line without its end off the file.
fn cut_unfinished_line(file: &mut File) -> io::Result<()> {
    // No line is longer: a letter, two numbers of at most 20 digits, two spaces.
    const LINE_BYTES_MAX: u64 = 64;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let kept = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    file.set_len(from + kept as u64)
}

/// The line of an acknowledged write.
pub(crate) fn acknowledged_line(stamp: Stamp, out: &mut Vec<u8>) {
    writeln!(out, "A {} {}", stamp.key_index, stamp.sequence).expect("writing to memory cannot fail");
}

/// The line of a write whose outcome is unknown.
pub(crate) fn unknown_line(stamp: Stamp, out: &mut Vec<u8>) {
    writeln!(out, "U {} {}", stamp.key_index, stamp.sequence).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let mut record = Record::default();
        record.acknowledge(1, 10);
        record.acknowledge(1, 12);
        record.suspect(1, 11);
        record.suspect(2, 5);
        record
    }

    fn check(key_index: u64, sequences: &[u64], finding: Finding) {
        let values: Vec<_> = sequences.iter().map(|&sequence| Ok(Some(Stamp { key_index, sequence }))).collect();
        assert_eq!(record().judge(key_index, &values), finding, "key {key_index} holding {sequences:?}");
    }

    #[test]
    fn the_latest_acknowledged_write_or_a_later_one_must_be_there() {
        check(1, &[12], Finding::Right);
        check(1, &[13], Finding::Right);
        check(1, &[10], Finding::Stale);
        check(1, &[], Finding::Missing);
    }

    #[test]
    fn an_unknown_write_may_appear_at_any_time_or_never() {
        check(1, &[11], Finding::Right);
        check(2, &[5], Finding::Right);
        check(2, &[], Finding::Right);
    }

    #[test]
    fn one_right_sibling_is_enough() {
        check(1, &[10, 12], Finding::Right);
        check(1, &[9, 10], Finding::Stale);
    }

    #[test]
    fn a_damaged_value_is_never_right() {
        assert_eq!(record().judge(1, &[Err(BadValue::Damaged)]), Finding::Damaged);
        assert_eq!(record().judge(3, &[Err(BadValue::OfOtherKey)]), Finding::OfOtherKey);
        assert_eq!(record().judge(1, &[Ok(None)]), Finding::Damaged);
    }

    #[test]
    fn a_record_goes_on_in_the_same_file_after_a_cut_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let stamp = |sequence| Stamp { key_index: 1, sequence };
        let mut lines = Vec::new();
        acknowledged_line(stamp(10), &mut lines);
        lines.extend_from_slice(b"A 1 9999");
        let mut file = RecordFile::open(&path).expect("opens");
        file.append(&lines).expect("appends");
        drop(file);
        let mut file = RecordFile::open(&path).expect("opens again");
        lines.clear();
        unknown_line(stamp(11), &mut lines);
        acknowledged_line(stamp(12), &mut lines);
        acknowledged_line(Stamp { key_index: 7, sequence: 1 }, &mut lines);
        file.append(&lines).expect("appends");
        file.flush().expect("flushes");
        let read = Record::read(&path).expect("reads");
        assert_eq!(read.keys[&1], KeyRecord { acknowledged: Some(12), unknown: vec![11] });
        assert_eq!((read.acknowledged_keys(), read.key_indices()), (2, vec![1, 7]));
    }

    #[test]
    fn a_file_that_is_no_record_is_refused_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        for (text, line) in [("something\n", "line 1"), ("rondo-loadgen record 1\nA 1 2\nB 1 2\n", "line 3")] {
            std::fs::write(&path, text).expect("writes");
            let error = Record::read(&path).expect_err("no record");
            assert!(error.to_string().contains(line), "{error}");
        }
    }
}
