//! The records of one run of a data file, in stored order, and what of it is lost.
//!
//! Blocks are numbered over the whole file, so a run knows which numbers it must have. Where the next one is not there, the
//! cursor looks for a later one behind it: between the last record that was read and the next that can be lies a gap, and
//! how many records are missing in all is what the manifest counts less what was read.

use super::error::BackupError;
use super::format::take_record;
use super::manifest::{DataFile, Run};
use super::reader::{Block, DataReader};
use crate::limits::BACKUP_GAPS_MAX;
use crate::sorted_store::ScanEntry;
use bytes::Bytes;
use core::ops::Range;
use std::sync::Arc;

/// Where a stored key stands: its token, then its routed key.
pub(super) type Place = (u128, Bytes);

/// A stretch of a run that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RunGap {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Expected and found.
    pub(super) what: String,
    /// The last key before it; none if it begins with the run.
    pub(super) after: Option<Place>,
    /// The first key behind it; none if it goes to the end of the run.
    pub(super) before: Option<Place>,
}

/// Goes through the records of one run.
#[derive(Debug)]
pub(super) struct RunCursor {
    /// `None` if the file as a whole is lost.
    reader: Option<Arc<DataReader>>,
    run: Run,
    vnode_bits: u8,
    offset: u64,
    /// Where the next run begins, or the file ends.
    end: u64,
    /// Numbers of the blocks that are still to come.
    blocks: Range<u64>,
    records_read: u64,
    /// Records of the present block.
    payload: Bytes,
    in_block: u32,
    head: Option<ScanEntry>,
    last: Option<Place>,
    gaps: Vec<RunGap>,
}

impl RunGap {
    /// May a record of that key be missing here?
    pub(super) fn covers(&self, token: u128, routed: &[u8]) -> bool {
        let key = (token, routed);
        let is_after = self.after.as_ref().is_none_or(|(token, routed)| (*token, &routed[..]) < key);
        is_after && self.before.as_ref().is_none_or(|(token, routed)| key < (*token, &routed[..]))
    }
}

impl RunCursor {
    /// Stands at the first record of `run` in the file of `entry`.
    pub(super) fn open(
        reader: &Arc<DataReader>,
        entry: &DataFile,
        run: Run,
        vnode_bits: u8,
    ) -> Result<RunCursor, BackupError> {
        let before = entry.runs.iter().filter(|other| other.offset < run.offset);
        let first = before.map(|other| other.blocks).fold(0, u64::saturating_add);
        let behind = entry.runs.iter().map(|other| other.offset).filter(|offset| run.offset < *offset);
        let mut cursor = RunCursor {
            reader: Some(Arc::clone(reader)),
            blocks: first..first.saturating_add(run.blocks),
            end: behind.min().unwrap_or(u64::MAX).min(reader.bytes()),
            ..RunCursor::empty(run, vnode_bits)
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The cursor of a run whose file is lost.
    pub(super) fn lost(run: Run, vnode_bits: u8, what: String) -> RunCursor {
        let gap = RunGap { offset: 0, what, after: None, before: None };
        RunCursor { gaps: vec![gap], ..RunCursor::empty(run, vnode_bits) }
    }

    fn empty(run: Run, vnode_bits: u8) -> RunCursor {
        RunCursor {
            reader: None,
            run,
            vnode_bits,
            offset: run.offset,
            end: 0,
            blocks: 0..0,
            records_read: 0,
            payload: Bytes::new(),
            in_block: 0,
            head: None,
            last: None,
            gaps: Vec::new(),
        }
    }

    /// The record where it stands; `None` at the end.
    pub(super) fn head(&self) -> Option<&ScanEntry> {
        self.head.as_ref()
    }

    /// What was not read on the way so far.
    pub(super) fn gaps(&self) -> &[RunGap] {
        &self.gaps
    }

    /// Records that are missing, once the end is reached.
    pub(super) fn records_lost(&self) -> u64 {
        self.run.records.saturating_sub(self.records_read)
    }

    /// Takes that record and goes on.
    pub(super) fn take(&mut self) -> Result<Option<ScanEntry>, BackupError> {
        let taken = self.head.take();
        if let Some(before) = &taken {
            self.last = Some((before.token, before.routed.clone()));
            self.advance()?;
            if let Some(after) = &self.head
                && (after.token, &after.routed) <= (before.token, &before.routed)
            {
                return Err(self.damaged("records out of order"));
            }
        }
        Ok(taken)
    }

    fn advance(&mut self) -> Result<(), BackupError> {
        while self.in_block == 0 {
            if !self.payload.is_empty() {
                return Err(self.damaged("bytes behind the last record of a block"));
            }
            let Some(block) = self.next_block()? else {
                if self.gaps.is_empty() && self.records_read != self.run.records {
                    return Err(self
                        .damaged(format!("{} records, the manifest counts {}", self.records_read, self.run.records)));
                }
                return Ok(());
            };
            (self.in_block, self.payload) = (block.records, block.payload);
            self.offset = block.next;
        }
        let entry = take_record(&mut self.payload).map_err(|what| self.damaged(what))?;
        if (entry.token >> (128 - u32::from(self.vnode_bits))) as u16 != self.run.vnode {
            return Err(self.damaged("a record of another vnode"));
        }
        self.in_block -= 1;
        self.records_read += 1;
        if let Some(open) = self.gaps.last_mut().filter(|gap| gap.before.is_none()) {
            open.before = Some((entry.token, entry.routed.clone()));
        }
        self.head = Some(entry);
        Ok(())
    }

    /// The next good block of the run; `None` when no more come. Blocks that are left out become a gap.
    fn next_block(&mut self) -> Result<Option<Block>, BackupError> {
        let Some(reader) = self.reader.as_ref().filter(|_| !self.blocks.is_empty()) else { return Ok(None) };
        let expected = self.blocks.start;
        let what = match reader.block(self.offset) {
            Ok(block) if (block.place.vnode, block.place.index) == (self.run.vnode, expected) => {
                self.blocks.start += 1;
                return Ok(Some(block));
            }
            Ok(block) => format!("block {} of vnode {} stands here", block.place.index, block.place.vnode),
            Err(error) if error.is_damage() => error.brief(),
            Err(error) => return Err(error),
        };
        let is_hopeless = BACKUP_GAPS_MAX <= self.gaps.len() + 1;
        let within = if is_hopeless { self.end..self.end } else { self.offset..self.end };
        let found = reader.seek(within, self.run.vnode, &self.blocks);
        let next = found.as_ref().map_or(self.blocks.end, |block| block.place.index);
        if expected < next {
            self.gaps.push(RunGap { offset: self.offset, what, after: self.last.clone(), before: None });
        }
        self.blocks.start = (next + 1).min(self.blocks.end);
        Ok(found)
    }

    fn damaged(&self, what: impl Into<String>) -> BackupError {
        let path = self.reader.as_ref().map(|reader| reader.path().to_owned()).unwrap_or_default();
        BackupError::damaged(&path, Some(self.offset), what)
    }
}
