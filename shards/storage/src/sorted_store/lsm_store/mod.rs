//! The sorted store on the `lsm-tree` crate: sorted tables that are merged in the background.
//!
//! ```text
//! apply ─► memtable ──flush_task──► table (and blob file) in level 0 ──compactor──► levels 1 … 6
//! get   ─► memtables ─► filters ─► the one block of each table that may have it
//! ```
//! The tree has no journal: our log is the log, our record numbers are its sequence numbers, and a memtable holds no more
//! than one checkpoint. Objects above 4 KiB lie in blob files, so that merging moves 40 bytes and not a megabyte. Around
//! each object stands our envelope, beside the checksums that the crate keeps for blocks, blobs and whole files.
//!
//! What the crate leaves out is done here: the syncs in `flush`, the checks of its smallest files in `checks`, their copy in
//! `copy`, and `mend` for files that it would not open, or not merge: what is left of them stays, what they lost is noted.

mod checks;
mod compactor;
mod copy;
mod flush;
mod mend;
mod mend_blobs;
mod remains;
mod scan;
mod settings;

use self::compactor::Compactor;
use self::flush::Flusher;
use super::envelope::{self, Envelope};
use super::{
    FailureKind, FileCheck, FileCursor, FlushTask, KeyPage, PageLimits, ScanPage, SortedEntry, SortedStore,
    SortedStoreError, StoreSizes, Stored, guard, losses, stored_key,
};
use crate::limits::CACHED_SLICE_BYTES_MIN;
use crate::record::Lsn;
use crate::wounds::{Wound, Wounds};
use bytes::Bytes;
use lsm_tree::{AbstractTree, AnyTree, Cache, SeqNo};
pub use mend::Suspects;
pub(super) use mend::{replace, unix_seconds};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads see everything: no reader asks for the past.
const NEWEST: SeqNo = SeqNo::MAX;
/// The note of how far the store goes stands four times, far from itself, so that no single damaged block takes it. The keys
/// are shorter than any token, so no stored key equals one.
const UPTO: [&[u8]; 4] = [b"\x00upto", b"\x55upto", b"\xaaupto", b"\xffupto"];

/// How to open an LSM store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LsmConfig {
    /// Its directory, created if it is not there.
    pub path: PathBuf,
    /// Cache of blocks and blobs, in bytes. Filters and the tops of the block indexes come on top.
    pub cache_bytes: u64,
}

/// A tree: a store for one shard.
pub struct LsmStore {
    path: PathBuf,
    tree: AnyTree,
    cache: Arc<Cache>,
    flusher: Arc<Flusher>,
    /// Not noted elsewhere yet.
    losses: Wounds,
    /// Ends with the store.
    compactor: Compactor,
}

impl core::fmt::Debug for LsmStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LsmStore").field("path", &self.path).field("sizes", &self.sizes()).finish_non_exhaustive()
    }
}

impl LsmStore {
    /// Opens or creates. Blocks while it reads the index and the filter of every table; call it from a thread that is not
    /// pinned, because the compactor's thread inherits its affinity.
    pub fn open(config: &LsmConfig) -> Result<LsmStore, SortedStoreError> {
        LsmStore::open_without(config, &Suspects::default())
    }

    /// Opens; of the files that are `suspects` only what is left of them is taken in, and what is not is in
    /// [`SortedStore::losses`].
    pub(super) fn open_without(config: &LsmConfig, suspects: &Suspects) -> Result<LsmStore, SortedStoreError> {
        guard::changing("lsm", &config.path, || LsmStore::open_unguarded(config, suspects))
    }

    /// Which files of the store at `path` are not what they were. Reads all of them; the store may be open.
    pub(super) fn suspects(path: &Path) -> Result<Suspects, SortedStoreError> {
        guard::reading(|| mend::suspects(path).map_err(|error| failed_io(path, &error)))
    }

    fn open_unguarded(config: &LsmConfig, suspects: &Suspects) -> Result<LsmStore, SortedStoreError> {
        let path = &config.path;
        checks::prepare(path)?;
        let mend = |suspects: &Suspects| mend::mend_files(path, suspects).map_err(|error| failed_io(path, &error));
        if !suspects.is_empty() {
            mend(suspects)?;
        }
        let cache = Arc::new(Cache::with_capacity_bytes(config.cache_bytes));
        let pace = Arc::new(compactor::Pace::default());
        let open = || {
            let tree = settings::tree(path, cache.clone(), pace.clone()).open();
            let tree = tree.map_err(|error| failed(path, &error))?;
            checks::opened(path, &tree).map(|()| tree)
        };
        let tree = match guard::changing("lsm", path, open) {
            Err(SortedStoreError::Failed { kind: FailureKind::Damaged, .. }) if mend(&Suspects::default())? > 0 => {
                open()?
            }
            outcome => outcome?,
        };
        copy::keep(path, &tree).map_err(|error| failed_io(path, &error))?;
        let losses = losses::read(path).map_err(|error| failed_io(path, &error))?;
        let compactor = Compactor::spawn(path, tree.clone(), pace).map_err(|error| failed_io(path, &error))?;
        let noted = read_note(path, &tree);
        let flusher = Arc::new(Flusher::new(path.clone(), tree.clone(), compactor.pace(), noted));
        Ok(LsmStore { path: path.clone(), tree, cache, flusher, losses, compactor })
    }

    /// Waits until no table is left that should be merged; for tests, and for tools that measure.
    pub fn settle(&self) -> Result<(), SortedStoreError> {
        self.compactor.settle()
    }

    /// Tables in each level, and blob files; for tests and tools.
    pub fn shape(&self) -> (Vec<usize>, usize) {
        let version = self.tree.current_version();
        (version.iter_levels().map(|level| level.table_count()).collect(), version.blob_file_count())
    }

    /// Opens what stands under `key`.
    fn read(key: &[u8], stored: Bytes) -> Result<Stored, SortedStoreError> {
        let (lsn, envelope) = envelope::open(key, &stored)?;
        let Envelope::Whole(object) = envelope else {
            return Err(SortedStoreError::Unreadable {
                what: "an object in chunks, which this engine has not".to_owned(),
            });
        };
        // A slice would keep its whole block alive, four times what it seems to weigh.
        let is_small = object.len() < CACHED_SLICE_BYTES_MIN;
        let object = if is_small { Bytes::copy_from_slice(object) } else { stored.slice_ref(object) };
        Ok(Stored { object, lsn })
    }
}

/// All copies of the note were written together. Where a table was lost one of them may be an older one, so the newest counts.
fn read_note(path: &Path, tree: &AnyTree) -> Result<Lsn, SortedStoreError> {
    let read = |key: &[u8]| {
        let Some(note) = tree.get(key, NEWEST).map_err(|error| failed(path, &error))? else { return Ok(Lsn(0)) };
        let (lsn, envelope) = envelope::open(key, &note)?;
        assert!(envelope == Envelope::Whole(&[]), "the note is the envelope alone");
        Ok(lsn)
    };
    let (mut newest, mut failure) = (None, None);
    for key in UPTO {
        match guard::reading(|| read(key)) {
            Ok(note) => newest = newest.max(Some(note)),
            Err(error) => failure = Some(failed_as(path, format!("its note: {error}"), FailureKind::Damaged)),
        }
    }
    newest.ok_or_else(|| failure.expect("there are copies, and each was read or was not"))
}

impl SortedStore for LsmStore {
    fn engine(&self) -> &'static str {
        "lsm"
    }

    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Stored>, SortedStoreError> {
        guard::reading(|| {
            let key = stored_key(token, routed);
            let stored = self.tree.get(&key, NEWEST).map_err(|error| read_failed(&self.path, &error))?;
            stored.map(|stored| LsmStore::read(&key, stored.into())).transpose()
        })
    }

    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError> {
        guard::changing("lsm", &self.path, || {
            for entry in entries {
                let key = stored_key(entry.token, entry.routed);
                let envelope = envelope::whole(&key, entry.lsn, entry.object);
                let _sizes = self.tree.insert(key, envelope, entry.lsn.0);
            }
            Ok(())
        })
    }

    fn scan(&self, from: &[u8], token_last: u128, limits: PageLimits) -> Result<ScanPage, SortedStoreError> {
        guard::reading(|| scan::entries(&self.path, &self.tree, from, token_last, limits))
    }

    fn scan_keys(&self, from: &[u8], token_last: u128, keys_max: usize) -> Result<KeyPage, SortedStoreError> {
        guard::reading(|| scan::keys(&self.path, &self.tree, from, token_last, keys_max))
    }

    /// The note goes into the same memtable as what it speaks of, and a memtable becomes durable as a whole.
    fn flush_task(&mut self, upto: Lsn) -> FlushTask {
        let sealed = guard::changing("lsm", &self.path, || {
            for key in UPTO {
                let _sizes = self.tree.insert(key, envelope::whole(key, upto, &[]), upto.0);
            }
            self.flusher.seal();
            Ok(())
        });
        let (flusher, path) = (self.flusher.clone(), self.path.clone());
        Box::new(move || sealed.and_then(|()| guard::changing("lsm", &path, || flusher.flush(upto))))
    }

    fn durable_upto(&self) -> Result<Lsn, SortedStoreError> {
        self.flusher.noted()
    }

    /// A flush that did not finish left files that no version names; opening removed them.
    fn discard_unfinished(&mut self, _upto: Lsn) -> Result<(), SortedStoreError> {
        Ok(())
    }

    /// None of them goes further than the store itself.
    fn losses(&self) -> Vec<Wound> {
        let noted = self.flusher.noted().unwrap_or(Lsn(u64::MAX));
        self.losses.iter().map(|wound| Wound { upto: wound.upto.min(noted), ..wound.clone() }).collect()
    }

    fn forget_losses(&mut self) -> Result<(), SortedStoreError> {
        losses::forget(&self.path).map_err(|error| failed_io(&self.path, &error))?;
        self.losses.clear();
        Ok(())
    }

    fn verify_files(&self, cursor: &mut FileCursor, bytes_max: u64) -> Result<FileCheck, SortedStoreError> {
        guard::reading(|| checks::verify(&self.path, &self.tree, cursor, bytes_max))
    }

    fn sizes(&self) -> StoreSizes {
        let (disk_bytes, filter_bytes) = (self.tree.disk_space(), self.tree.pinned_filter_size() as u64);
        let memtables = self.tree.version_memtable_size_sum();
        let index_bytes = self.tree.pinned_block_index_size() as u64;
        let (merge_backlog, is_merging) = self.compactor.pace().backlog();
        StoreSizes {
            disk_bytes,
            memory_bytes: self.cache.size() + memtables + index_bytes + filter_bytes,
            filter_bytes,
            written_bytes_total: self.compactor.pace().written_bytes_total(),
            // What newer versions hide in deeper tables is only found out by merging.
            live_bytes: disk_bytes.saturating_sub(self.tree.stale_blob_bytes()),
            merge_backlog: merge_backlog as u64,
            is_merging,
        }
    }
}

/// Damage hides what was to be read; whatever else goes wrong concerns the whole store.
fn read_failed(path: &Path, error: &lsm_tree::Error) -> SortedStoreError {
    match failed(path, error) {
        SortedStoreError::Failed { what, kind: FailureKind::Damaged, .. } => SortedStoreError::Unreadable { what },
        other => other,
    }
}

fn failed(path: &Path, error: &lsm_tree::Error) -> SortedStoreError {
    match error {
        // It looked for a place that no file has, as damaged bytes named it.
        lsm_tree::Error::Io(error) if error.kind() == io::ErrorKind::InvalidInput => {
            failed_as(path, error.to_string(), FailureKind::Damaged)
        }
        lsm_tree::Error::Io(error) => failed_io(path, error),
        other => failed_as(path, other.to_string(), FailureKind::Damaged),
    }
}

fn failed_io(path: &Path, error: &io::Error) -> SortedStoreError {
    failed_as(path, error.to_string(), FailureKind::of_io(error))
}

fn failed_as(path: &Path, what: String, kind: FailureKind) -> SortedStoreError {
    SortedStoreError::Failed { engine: "lsm", path: path.display().to_string(), what, kind }
}
