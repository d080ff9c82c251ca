//! A backup with the ones that it is an increment of.

use super::chain_reader::ChainReader;
use super::error::BackupError;
use super::manifest::BackupManifest;
use super::repository::Repository;
use crate::limits::BACKUP_CHAIN_MAX;
use std::collections::VecDeque;
use std::path::PathBuf;

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
        ChainReader::open(self)
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
