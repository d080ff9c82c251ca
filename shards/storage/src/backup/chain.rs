//! A backup with the ones that it is an increment of, read as one: the newest record of each key, in ring order.
//!
//! Records of one lineage are numbered, so of several the one with the highest number is the newest; which backup or run
//! it stands in does not matter.

use super::error::BackupError;
use super::manifest::{BackupManifest, DataFile, Run};
use super::reader::{DataReader, RunCursor};
use super::repository::Repository;
use crate::limits::BACKUP_CHAIN_MAX;
use crate::sorted_store::ScanEntry;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// A backup and its parents, oldest first: a full one, then the increments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    links: Vec<(PathBuf, BackupManifest)>,
}

impl Chain {
    /// Follows the parents of backup `id`.
    pub fn resolve(repository: &Repository, id: &str) -> Result<Chain, BackupError> {
        let mut links = VecDeque::new();
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            if links.len() >= BACKUP_CHAIN_MAX {
                let what = format!("its chain has more than {BACKUP_CHAIN_MAX} backups");
                return Err(BackupError::Chain { id, what });
            }
            let manifest = match repository.manifest(&id) {
                Err(BackupError::NoSuchBackup { .. }) if !links.is_empty() => return Err(parent_missing(&links, &id)),
                manifest => manifest?,
            };
            if let Some((_, child)) = links.front() {
                check_link(&manifest, child)?;
            }
            next = manifest.parent.clone();
            links.push_front((repository.backup_path(&id), manifest));
        }
        let (_, first) = links.front().expect("the loop ran at least once");
        if let Some(file) = first.files.iter().find(|file| file.after > 0) {
            let what = format!("{} is an increment, but names no parent", file.name);
            return Err(BackupError::Chain { id: first.id.clone(), what });
        }
        Ok(Chain { links: links.into() })
    }

    /// The backups, oldest first, with their directories.
    pub fn links(&self) -> &[(PathBuf, BackupManifest)] {
        &self.links
    }

    /// The newest one.
    pub fn newest(&self) -> &BackupManifest {
        &self.links.last().expect("a chain has at least one backup").1
    }

    /// All records, each key once, in ring order.
    pub fn read(&self) -> Result<ChainReader, BackupError> {
        let (mut files, mut runs) = (Vec::new(), Vec::new());
        for (directory, manifest) in &self.links {
            for entry in &manifest.files {
                // Better now than half way through that one is missing; kept open they might be too many.
                DataReader::open(directory, entry, manifest.vnode_bits)?;
                runs.extend(entry.runs.iter().map(|&run| (run, files.len())));
                files.push((directory.clone(), entry.clone()));
            }
        }
        // Runs of one vnode stand together; a vnode belongs to one shard.
        runs.sort_by_key(|(run, _)| run.vnode);
        Ok(ChainReader { files, runs: runs.into(), vnode_bits: self.newest().vnode_bits, cursors: Vec::new() })
    }
}

fn parent_missing(links: &VecDeque<(PathBuf, BackupManifest)>, parent: &str) -> BackupError {
    let id = links.front().map(|(_, child)| child.id.clone()).unwrap_or_default();
    let what = format!("its parent {parent} is missing; put it back, or restore another backup");
    BackupError::Chain { id, what }
}

/// Does `child` begin where `parent` ends?
pub(super) fn check_link(parent: &BackupManifest, child: &BackupManifest) -> Result<(), BackupError> {
    let refuse = |what: String| Err(BackupError::Chain { id: child.id.clone(), what });
    let face = |of: &BackupManifest| (of.cluster.clone(), of.node.clone(), of.vnode_bits, of.files.len());
    if face(parent) != face(child) {
        return refuse(format!("its parent {} is of another node or another number of shards", parent.id));
    }
    if parent.keyspace != child.keyspace {
        return refuse(format!("its parent {} has another choice of keyspaces", parent.id));
    }
    for (before, after) in parent.files.iter().zip(&child.files) {
        if before.shard != after.shard || before.lineage != after.lineage || before.upto != after.after {
            return refuse(format!("shard {} does not go on where its parent {} ends", after.shard, parent.id));
        }
    }
    Ok(())
}

/// Goes through the records of a chain.
#[derive(Debug)]
pub struct ChainReader {
    files: Vec<(PathBuf, DataFile)>,
    /// By vnode, each with the place of its file.
    runs: VecDeque<(Run, usize)>,
    vnode_bits: u8,
    /// Of the present vnode.
    cursors: Vec<RunCursor>,
}

impl ChainReader {
    /// The next key's newest record; `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<ScanEntry>, BackupError> {
        loop {
            self.cursors.retain(|cursor| cursor.head().is_some());
            if self.cursors.is_empty() && !self.open_vnode()? {
                return Ok(None);
            }
            if let Some(entry) = self.take_first()? {
                return Ok(Some(entry));
            }
        }
    }

    /// Opens all runs of the next vnode; false if there is none.
    fn open_vnode(&mut self) -> Result<bool, BackupError> {
        let Some(vnode) = self.runs.front().map(|(run, _)| run.vnode) else { return Ok(false) };
        while self.runs.front().is_some_and(|(run, _)| run.vnode == vnode) {
            let (run, file) = self.runs.pop_front().expect("it was there a line ago");
            let (directory, entry) = &self.files[file];
            let reader = Arc::new(DataReader::open(directory, entry, self.vnode_bits)?);
            self.cursors.push(RunCursor::open(&reader, run, self.vnode_bits)?);
        }
        Ok(true)
    }

    /// Takes the first key's records off all runs and gives the newest.
    fn take_first(&mut self) -> Result<Option<ScanEntry>, BackupError> {
        let heads = self.cursors.iter().filter_map(RunCursor::head);
        let Some(first) = heads.map(|entry| (entry.token, entry.routed.clone())).min() else { return Ok(None) };
        let mut newest: Option<ScanEntry> = None;
        for cursor in &mut self.cursors {
            if cursor.head().is_none_or(|entry| (entry.token, &entry.routed) != (first.0, &first.1)) {
                continue;
            }
            let taken = cursor.take()?;
            if taken.as_ref().map(|entry| entry.lsn) > newest.as_ref().map(|entry| entry.lsn) {
                newest = taken;
            }
        }
        Ok(newest)
    }
}
