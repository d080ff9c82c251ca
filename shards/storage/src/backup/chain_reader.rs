//! A chain of backups read as one: the newest record of each key, in ring order, and what cannot be read on the way.
//!
//! Records of one lineage are numbered, so of several the one with the highest number is the newest; which backup or run
//! it stands in does not matter.
//!
//! A damaged place costs the records in it and no others. An increment has what was written since its parent, so where a
//! place of the increment is damaged the parent may hold an old version, or what was deleted since: such a record is withheld.

use super::chain::Chain;
use super::cursor::{Place, RunCursor, RunGap};
use super::error::BackupError;
use super::losses::{Losses, LostPart, LostPlace};
use super::manifest::{DataFile, Run};
use super::reader::DataReader;
use crate::limits::BACKUP_LOSSES_MAX;
use crate::sorted_store::ScanEntry;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// One file of the chain.
#[derive(Debug)]
struct ChainFile {
    directory: PathBuf,
    entry: DataFile,
    /// Which backup of the chain it is of: what a later one holds is newer.
    link: usize,
    /// Why nothing can be read of it.
    lost: Option<String>,
}

/// A run being read.
#[derive(Debug)]
struct Source {
    cursor: RunCursor,
    /// The place of its file.
    file: usize,
    link: usize,
}

/// Goes through the records of a chain.
#[derive(Debug)]
pub struct ChainReader {
    files: Vec<ChainFile>,
    /// By vnode, each with the place of its file.
    runs: VecDeque<(Run, usize)>,
    vnode_bits: u8,
    /// Of the present vnode.
    sources: Vec<Source>,
    vnode: u16,
    losses: Losses,
}

impl ChainReader {
    pub(super) fn open(chain: &Chain) -> Result<ChainReader, BackupError> {
        let (mut files, mut runs) = (Vec::new(), Vec::new());
        for (link, (directory, manifest)) in chain.links().iter().enumerate() {
            for entry in &manifest.files {
                // Looked at now, and closed again: kept open they might be too many.
                let lost = match DataReader::open(directory, entry) {
                    Ok(_) => None,
                    Err(error) if error.is_damage() => Some(error.brief()),
                    Err(error) => return Err(error),
                };
                runs.extend(entry.runs.iter().map(|&run| (run, files.len())));
                files.push(ChainFile { directory: directory.clone(), entry: entry.clone(), link, lost });
            }
        }
        // Runs of one vnode stand together; a vnode belongs to one shard.
        runs.sort_by_key(|(run, _)| run.vnode);
        let vnode_bits = chain.newest().vnode_bits;
        Ok(ChainReader {
            files,
            runs: runs.into(),
            vnode_bits,
            sources: Vec::new(),
            vnode: 0,
            losses: Losses::default(),
        })
    }

    /// What could not be read so far; all of it once [`ChainReader::next_entry`] has said `None`.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// The next key's newest record; `None` at the end. Goes on behind what is damaged, and notes it.
    ///
    /// # Errors
    /// The system refused, or the blocks are sound and do not fit to each other or to the manifest.
    pub fn next_entry(&mut self) -> Result<Option<ScanEntry>, BackupError> {
        loop {
            let is_at_end = self.sources.iter().all(|source| source.cursor.head().is_none());
            if is_at_end && !self.next_vnode()? {
                return Ok(None);
            }
            if let Some((entry, link)) = self.take_first()? {
                if !self.is_uncertain(&entry, link) {
                    return Ok(Some(entry));
                }
                self.losses.withheld += 1;
            }
        }
    }

    /// Opens all runs of the next vnode; false if there is none.
    fn next_vnode(&mut self) -> Result<bool, BackupError> {
        self.close_vnode();
        let Some(vnode) = self.runs.front().map(|(run, _)| run.vnode) else { return Ok(false) };
        self.vnode = vnode;
        while self.runs.front().is_some_and(|(run, _)| run.vnode == vnode) {
            let (run, file) = self.runs.pop_front().expect("it was there a line ago");
            let ChainFile { directory, entry, link, lost } = &self.files[file];
            let lost_cursor = |what: String| RunCursor::lost(run, self.vnode_bits, what);
            let cursor = match lost {
                Some(what) => lost_cursor(what.clone()),
                None => match DataReader::open(directory, entry) {
                    Ok(reader) => RunCursor::open(&Arc::new(reader), entry, run, self.vnode_bits)?,
                    Err(error) if error.is_damage() => lost_cursor(error.brief()),
                    Err(error) => return Err(error),
                },
            };
            self.sources.push(Source { cursor, file, link: *link });
        }
        Ok(true)
    }

    /// Notes what the runs of this vnode have lost.
    fn close_vnode(&mut self) {
        for Source { cursor, file, .. } in core::mem::take(&mut self.sources) {
            if cursor.gaps().is_empty() {
                continue;
            }
            let (records, vnode) = (cursor.records_lost(), self.vnode);
            self.losses.records += records;
            if self.losses.parts.len() < BACKUP_LOSSES_MAX {
                let ChainFile { directory, entry, .. } = &self.files[file];
                let places = cursor.gaps().iter().map(|gap| self.place_of(gap)).collect();
                self.losses.parts.push(LostPart { path: directory.join(&entry.name), vnode, records, places });
            }
        }
    }

    fn place_of(&self, gap: &RunGap) -> LostPlace {
        let shift = 128 - u32::from(self.vnode_bits);
        let first = u128::from(self.vnode).checked_shl(shift).unwrap_or(0);
        let last = first | u128::MAX.checked_shr(self.vnode_bits.into()).unwrap_or(0);
        let token = |place: &Option<Place>, or: u128| place.as_ref().map_or(or, |(token, _)| *token);
        LostPlace {
            offset: gap.offset,
            from: token(&gap.after, first),
            to: token(&gap.before, last),
            what: gap.what.clone(),
        }
    }

    /// Takes the first key's records off all runs and gives the newest, and which backup it is of.
    fn take_first(&mut self) -> Result<Option<(ScanEntry, usize)>, BackupError> {
        let heads = self.sources.iter().filter_map(|source| source.cursor.head());
        let Some(first) = heads.map(|entry| (entry.token, entry.routed.clone())).min() else { return Ok(None) };
        let mut newest: Option<(ScanEntry, usize)> = None;
        for Source { cursor, link, .. } in &mut self.sources {
            if cursor.head().is_none_or(|entry| (entry.token, &entry.routed) != (first.0, &first.1)) {
                continue;
            }
            let Some(taken) = cursor.take()? else { continue };
            if newest.as_ref().is_none_or(|(entry, _)| entry.lsn < taken.lsn) {
                newest = Some((taken, *link));
            }
        }
        Ok(newest)
    }

    /// May a newer record of that key be lost? Only in its own backup or in a later one.
    fn is_uncertain(&self, entry: &ScanEntry, link: usize) -> bool {
        let may_hide = |source: &Source| {
            let gaps = source.cursor.gaps();
            link <= source.link && gaps.iter().any(|gap| gap.covers(entry.token, &entry.routed))
        };
        self.sources.iter().any(may_hide)
    }
}
