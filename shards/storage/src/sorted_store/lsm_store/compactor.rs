//! Merging in the background, at a walk while nobody waits and at a run when level 0 grows.
//!
//! The crate offers no way to slow a merge down, but it shows each item to a filter: ours looks at the clock, rests, and
//! ends the merge when the store is closed. What a merge that ended early has written is named by no version; the next
//! opening removes it.

use super::settings::{self, LEVEL_0_TABLES};
use super::{NEWEST, SortedStoreError, copy, failed, failed_io};
use crate::limits::LSM_LEVEL_0_RUNS_MAX;
use crate::sorted_store::guard;
use core::sync::atomic::{AtomicU64, Ordering};
use lsm_tree::compaction::filter::Context;
use lsm_tree::compaction::{CompactionFilter, Factory, ItemAccessor, Verdict};
use lsm_tree::{AbstractTree, AnyTree};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A merge works this long without a rest.
const WORK_INTERVAL: Duration = Duration::from_millis(2);
/// And then rests this many times as long, unless it is urgent: half of one core, and half of the disk's time.
const REST_TIMES: u32 = 1;
/// From this many runs in level 0 on a merge takes no rest.
const URGENT_RUNS: usize = 2 * LEVEL_0_TABLES as usize;
/// The thread's nice value: whatever else wants the core goes first.
const NICE: i32 = 10;

/// Where the compactor stands: between the store, its flushes, and the thread.
#[derive(Debug, Default)]
pub(super) struct Pace {
    state: Mutex<State>,
    changed: Condvar,
    written_bytes: AtomicU64,
    /// Held by whoever copies the version.
    copying: Mutex<()>,
    /// Flushes and merges under way: the number of the first table that each may have begun.
    writing: Mutex<Vec<u64>>,
    /// Why the names of a merge's blob files may not be durable.
    unsynced_blobs: Mutex<Option<io::Error>>,
}

#[derive(Debug, Default)]
struct State {
    is_stopping: bool,
    /// Something was flushed since the last look for work.
    is_due: bool,
    is_working: bool,
    level_0_runs: usize,
    /// Why the last merge failed, until somebody is told.
    failure: Option<SortedStoreError>,
    /// Files whose bytes are counted: tables, blob files.
    counted: (HashSet<u64>, HashSet<u64>),
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until level 0 has room for another run; the failure of a merge ends the wait and is told once.
    pub(super) fn wait_for_room(&self) -> Result<(), SortedStoreError> {
        let mut state = self.state();
        loop {
            if let Some(failure) = state.failure.take() {
                return Err(failure);
            }
            if state.level_0_runs < LSM_LEVEL_0_RUNS_MAX || !(state.is_working || state.is_due) {
                return Ok(());
            }
            state = self.wait(state);
        }
    }

    /// There may be something to merge.
    pub(super) fn has_flushed(&self) {
        self.state().is_due = true;
        self.changed.notify_all();
    }

    /// Counts what was written since the last count: every table and blob file is written once.
    pub(super) fn count_written(&self, tree: &AnyTree) {
        let version = tree.current_version();
        let (mut state, mut bytes) = (self.state(), 0);
        let (mut tables, mut blobs) = (HashSet::new(), HashSet::new());
        for table in version.iter_tables() {
            tables.insert(table.id());
            if !state.counted.0.contains(&table.id()) {
                bytes += table.metadata.file_size;
            }
        }
        for blob in version.blob_files.iter() {
            blobs.insert(blob.id());
            if !state.counted.1.contains(&blob.id()) {
                bytes += fs::metadata(blob.path()).map_or(0, |file| file.len());
            }
        }
        state.counted = (tables, blobs);
        state.level_0_runs = tree.l0_run_count();
        drop(state);
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Makes the copy of the version agree with it; flushes and merges do so after each change.
    pub(super) fn keep_copy(&self, path: &Path, tree: &AnyTree) -> io::Result<()> {
        let _one_at_a_time = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        copy::keep(path, tree)
    }

    /// Runs in level 0, and whether a merge is under way.
    pub(super) fn backlog(&self) -> (usize, bool) {
        let state = self.state();
        (state.level_0_runs, state.is_working)
    }

    /// A flush or a merge begins.
    pub(super) fn begin_writing(&self, tree: &AnyTree) -> u64 {
        let first = tree.next_table_id();
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).push(first);
        first
    }

    /// It ended. What a failed one has begun is removed at once, unless another one is under way: on a full disk nothing
    /// else would make room, and opening the store, which removes such files too, is only tried when there is some.
    pub(super) fn end_writing(&self, first: u64, path: &Path, tree: &AnyTree, has_failed: bool) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = writing.iter().position(|&begun| begun == first) {
            writing.swap_remove(at);
        }
        if has_failed && writing.is_empty() {
            remove_unfinished(path, tree, first);
        }
    }

    /// Bytes of files written by flushes and merges since the store was opened.
    pub(super) fn written_bytes_total(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.state().is_stopping
    }

    /// Waits for work; false at the end.
    fn wait_for_work(&self) -> bool {
        let mut state = self.state();
        state.is_working = false;
        self.changed.notify_all();
        while !state.is_due && !state.is_stopping {
            state = self.wait(state);
        }
        state.is_due = false;
        state.is_working = true;
        !state.is_stopping
    }

    /// Rests for `rest` at most; false if the merge is to end.
    fn rest(&self, rest: Duration) -> bool {
        let state = self.state();
        let awaited = |state: &mut State| !state.is_stopping && state.level_0_runs < URGENT_RUNS;
        let (state, _) = self.changed.wait_timeout_while(state, rest, awaited).unwrap_or_else(PoisonError::into_inner);
        !state.is_stopping
    }
}

/// The thread that merges. Dropped, it ends within a few milliseconds, but for a sync under way.
pub(super) struct Compactor {
    pace: Arc<Pace>,
    thread: Option<JoinHandle<()>>,
}

impl Compactor {
    pub(super) fn spawn(path: &Path, tree: AnyTree, pace: Arc<Pace>) -> io::Result<Compactor> {
        pace.count_written(&tree);
        pace.written_bytes.store(0, Ordering::Relaxed);
        // An earlier life may have left work.
        pace.state().is_due = true;
        let (path, its_pace) = (path.to_path_buf(), pace.clone());
        let body = move || run(&path, &tree, &its_pace);
        let thread = thread::Builder::new().name("rondo-compact".to_owned()).spawn(body)?;
        Ok(Compactor { pace, thread: Some(thread) })
    }

    pub(super) fn pace(&self) -> Arc<Pace> {
        self.pace.clone()
    }

    /// Waits until there is nothing to merge.
    pub(super) fn settle(&self) -> Result<(), SortedStoreError> {
        let mut state = self.pace.state();
        state.is_due = true;
        self.pace.changed.notify_all();
        while state.failure.is_none() && (state.is_due || state.is_working) {
            state = self.pace.wait(state);
        }
        state.failure.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.pace.state().is_stopping = true;
        self.pace.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It catches its panics; there is nothing to say about it.
            let _ = thread.join();
        }
    }
}

fn run(path: &Path, tree: &AnyTree, pace: &Pace) {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the compactor keeps its priority");
    }
    while pace.wait_for_work() {
        let outcome = guard::changing("lsm", path, || merge_all(path, tree, pace));
        if let Err(failure) = outcome
            && !pace.is_stopping()
        {
            tracing::error!(%failure, "a merge failed");
            pace.state().failure = Some(failure);
        }
    }
}

/// Merges until there is nothing left to merge.
fn merge_all(path: &Path, tree: &AnyTree, pace: &Pace) -> Result<(), SortedStoreError> {
    let strategy = Arc::new(settings::strategy());
    loop {
        let before = tree.current_version().id();
        let writing = pace.begin_writing(tree);
        let outcome = tree.compact(strategy.clone(), NEWEST);
        pace.end_writing(writing, path, tree, outcome.is_err());
        outcome.map_err(|error| failed(path, &error))?;
        if let Some(error) = pace.unsynced_blobs.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failed_io(path, &error));
        }
        pace.count_written(tree);
        if tree.current_version().id() == before || pace.is_stopping() {
            return Ok(());
        }
        pace.keep_copy(path, tree).map_err(|error| failed_io(path, &error))?;
    }
}

/// Removes the tables from number `first` on, and the blob files, that no version names. Best effort: the next opening
/// removes what stays.
fn remove_unfinished(path: &Path, tree: &AnyTree, first: u64) {
    let version = tree.current_version();
    let tables: HashSet<u64> = version.iter_tables().map(lsm_tree::Table::id).collect();
    let blobs: HashSet<u64> = version.blob_files.iter().map(lsm_tree::BlobFile::id).collect();
    let newest_blob = blobs.iter().max().copied();
    let is_leftover = |directory: &str, id: u64| match directory {
        "tables" => id >= first && !tables.contains(&id),
        _ => newest_blob.is_none_or(|newest| id > newest),
    };
    for directory in ["tables", "blobs"] {
        for file in fs::read_dir(path.join(directory)).into_iter().flatten().flatten() {
            let id = file.file_name().to_string_lossy().parse();
            if id.is_ok_and(|id| is_leftover(directory, id))
                && let Err(error) = fs::remove_file(file.path())
            {
                tracing::debug!(%error, file = %file.path().display(), "an unfinished file stays until the store is opened again");
            }
        }
    }
}

/// The crate does not sync this directory after it has moved blobs into a new file. All blob files of a merge have their names
/// when the last item has passed its filter, and the version that names them comes after that.
fn sync_blobs(path: &Path) -> io::Result<()> {
    match File::open(path.join("blobs")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        blobs => blobs?.sync_all(),
    }
}

/// Makes the filters through which merges are paced.
pub(super) struct PacedFilters {
    path: PathBuf,
    pace: Arc<Pace>,
}

impl PacedFilters {
    pub(super) fn new(path: &Path, pace: Arc<Pace>) -> PacedFilters {
        PacedFilters { path: path.to_owned(), pace }
    }
}

impl Factory for PacedFilters {
    fn name(&self) -> &str {
        "pace"
    }

    fn make_filter(&self, _context: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Paced { path: self.path.clone(), pace: self.pace.clone(), since: Instant::now() })
    }
}

/// Keeps everything, and the time.
struct Paced {
    path: PathBuf,
    pace: Arc<Pace>,
    since: Instant,
}

impl CompactionFilter for Paced {
    fn filter_item(&mut self, _item: ItemAccessor<'_>, _context: &Context) -> lsm_tree::Result<Verdict> {
        let worked = self.since.elapsed();
        if worked >= WORK_INTERVAL {
            if !self.pace.rest(worked * REST_TIMES) {
                return Err(lsm_tree::Error::Io(io::Error::new(
                    io::ErrorKind::Interrupted,
                    "the store is being closed",
                )));
            }
            self.since = Instant::now();
        }
        Ok(Verdict::Keep)
    }

    /// The last item has passed; the version is not written yet. It cannot be held up from here: if the directory does not
    /// sync, the merge counts as failed, and the store is opened again from what the disk has.
    fn finish(self: Box<Self>) {
        if let Err(error) = sync_blobs(&self.path) {
            self.pace.unsynced_blobs.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }
}
