//! From a sealed memtable to a durable table.
//!
//! ```text
//! seal ──► table and blob files, synced ──► directory `blobs`, synced ──► version, synced: from here on it counts
//! ```
//! The crate syncs each table, the directory of the tables, each blob file, the version and the directory of the versions,
//! in this order; it leaves the directory of the blob files to us, so the two halves of its flush are called apart.

use super::compactor::Pace;
use super::{NEWEST, SortedStoreError, failed, failed_io};
use crate::record::Lsn;
use lsm_tree::{AbstractTree, AnyTree, InternalValue, Memtable};
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What a flush works on, apart from the store: it runs on another thread.
pub(super) struct Flusher {
    path: PathBuf,
    tree: AnyTree,
    pace: Arc<Pace>,
    /// Sealed and not yet durable, oldest first: more than one only after a flush that failed.
    sealed: Mutex<VecDeque<Arc<Memtable>>>,
    /// The note of the last flush that ended well. The tree itself also shows the one that is on its way.
    noted: Mutex<Result<Lsn, SortedStoreError>>,
}

impl Flusher {
    /// `noted`: what the opened tree says.
    pub(super) fn new(path: PathBuf, tree: AnyTree, pace: Arc<Pace>, noted: Result<Lsn, SortedStoreError>) -> Flusher {
        Flusher { path, tree, pace, sealed: Mutex::default(), noted: Mutex::new(noted) }
    }

    /// How far the last flush that ended well goes.
    pub(super) fn noted(&self) -> Result<Lsn, SortedStoreError> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The active memtable takes no more.
    pub(super) fn seal(&self) {
        let memtable = self.tree.rotate_memtable();
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner).extend(memtable);
    }

    /// Makes everything sealed durable. Waits while level 0 is too long, as reads would have to ask each of its tables.
    pub(super) fn flush(&self, upto: Lsn) -> Result<(), SortedStoreError> {
        self.pace.wait_for_room()?;
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(memtable) = sealed.front() {
            let writing = self.pace.begin_writing(&self.tree);
            let outcome = self.flush_one(memtable);
            self.pace.end_writing(writing, &self.path, &self.tree, outcome.is_err());
            outcome?;
            sealed.pop_front();
        }
        drop(sealed);
        self.pace.keep_copy(&self.path, &self.tree).map_err(|error| failed_io(&self.path, &error))?;
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Ok(upto);
        self.pace.has_flushed();
        Ok(())
    }

    fn flush_one(&self, memtable: &Memtable) -> Result<(), SortedStoreError> {
        let failed = |error: lsm_tree::Error| failed(&self.path, &error);
        let Some((tables, blob_files)) = self.tree.flush_to_tables(newest_of_each(memtable).map(Ok)).map_err(failed)?
        else {
            return Ok(());
        };
        if blob_files.as_ref().is_some_and(|files| !files.is_empty()) {
            let blobs = File::open(self.path.join("blobs")).and_then(|directory| directory.sync_all());
            blobs.map_err(|error| failed_io(&self.path, &error))?;
        }
        self.tree.register_tables(&tables, blob_files.as_deref(), None, &[memtable.id()], NEWEST).map_err(failed)?;
        self.pace.count_written(&self.tree);
        Ok(())
    }
}

/// A memtable lists the versions of a key from the newest on; only that one is wanted.
fn newest_of_each(memtable: &Memtable) -> impl Iterator<Item = InternalValue> + '_ {
    let mut last = None;
    memtable.iter().filter(move |value| {
        let is_newest = last.as_ref() != Some(&value.key.user_key);
        last = Some(value.key.user_key.clone());
        is_newest
    })
}
