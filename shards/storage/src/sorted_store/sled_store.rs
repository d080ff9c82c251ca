//! The sorted store on sled 0.34.
//!
//! Objects lie in the tree `objects` under their stored key. What is longer than 4 KiB lies in pieces in the tree `chunks`,
//! under `generation | index`, because sled puts long values into files of their own that it never syncs. The generation is
//! the record's number: a new version never touches the pieces of the old one, whose removal comes after the switch.
//!
//! sled's `flush` is no fsync, so [`SortedStore::flush_task`] syncs its file through a descriptor of our own, and new
//! blob files and the directories. Only plain `insert` and `remove` are used: batches and transactions take a lock that
//! all stores of the process share.

use super::envelope::{self, Chunks, Envelope};
use super::lsm_store::unix_seconds;
use super::sled_keys::{KeyFlush, SledKeys};
use super::sled_spares;
use super::synchronous::make_synchronous;
use super::{
    FailureKind, FileCheck, FileCursor, FlushTask, KeyPage, PageLimits, ScanPage, SortedEntry, SortedStore,
    SortedStoreError, StoreSizes, Stored, guard, losses, stored_key,
};
use super::{sled_audit, sled_log, sled_scan};
use crate::filter::KeyFilter;
use crate::planted::{Planted, is_planted};
use crate::record::Lsn;
use crate::wounds::{Wound, WoundCause, Wounds};
use bytes::Bytes;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Longest value that sled keeps in its own file for certain.
const CHUNK_BYTES: usize = 4096;
/// Under this key the tree `about` says how far the store goes.
const UPTO: &str = "upto";
/// What is said where the file system cannot do what sled needs.
const NOT_SYNCHRONOUS: &str = "the file system does not take the attribute of synchronous files (chattr +S): a power cut may \
                               cost this store objects, which is then reported; use ext4, XFS or Btrfs, or the engine lsm";
/// How often sled writes back on its own; its garbage collection runs only then.
const FLUSH_EVERY_MS: u64 = 200;
/// How long opening waits for sled's lock.
const LOCK_FREE_WITHIN: Duration = Duration::from_secs(3);
/// Time between two tries.
const LOCK_LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// How to open a sled store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SledConfig {
    /// Its directory, created if it is not there.
    pub path: PathBuf,
    /// Page cache in bytes; the process takes about 1.3 times as much.
    pub cache_bytes: u64,
}

/// A sled database: a store for one shard.
#[derive(Debug)]
pub struct SledStore {
    path: PathBuf,
    db: sled::Db,
    pub(super) objects: sled::Tree,
    chunks: sled::Tree,
    /// What the store says of itself.
    about: sled::Tree,
    /// Our own descriptor of sled's file.
    file: Arc<File>,
    /// The list of its keys.
    keys: RefCell<SledKeys>,
    /// Not noted elsewhere yet.
    losses: Wounds,
}

/// Opens; where the lock is held, tries again for [`LOCK_FREE_WITHIN`]: the threads of a store that was closed in this
/// process let go of it a moment later.
fn open_patiently(config: &sled::Config) -> sled::Result<sled::Db> {
    let until = Instant::now() + LOCK_FREE_WITHIN;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("acquire lock") && Instant::now() < until => {
                thread::sleep(LOCK_LOOK_INTERVAL);
            }
            outcome => return outcome,
        }
    }
}

/// sled's file, locked as sled locks it; `None` if there is none. Who holds the lock may still write.
fn lock_patiently(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let until = Instant::now() + LOCK_FREE_WITHIN;
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => thread::sleep(LOCK_LOOK_INTERVAL),
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(Some(file)),
        }
    }
}

impl SledStore {
    /// Opens or creates. Blocks, for seconds if the store is large; call it from a thread that is not pinned, because
    /// sled's own threads inherit its affinity.
    pub fn open(config: &SledConfig) -> Result<SledStore, SortedStoreError> {
        // sled panics where others return an error; at the start that must not take the node's other shards along unexplained.
        let open = || guard::changing("sled", &config.path, || SledStore::open_unguarded(config));
        match open() {
            Err(failure @ SortedStoreError::Failed { kind: FailureKind::Damaged, .. }) => {
                let spared = sled_spares::set_aside(&config.path).map_err(|error| failed_io(&config.path, &error))?;
                if spared == 0 { Err(failure) } else { open() }
            }
            opened => opened,
        }
    }

    fn open_unguarded(config: &SledConfig) -> Result<SledStore, SortedStoreError> {
        let path = &config.path;
        fs::create_dir_all(path).map_err(|error| failed_io(path, &error))?;
        remove_unfinished_snapshots(path).map_err(|error| failed_io(path, &error))?;
        let is_synced = !is_planted(Planted::SkipStoreSync);
        if is_synced && !make_synchronous(path).map_err(|error| failed_io(path, &error))? {
            tracing::warn!(store = %path.display(), "{}", NOT_SYNCHRONOUS);
        }
        note_passed_over(path)?;
        let sled_config = sled::Config::new()
            .path(path)
            .cache_capacity(config.cache_bytes)
            .flush_every_ms(is_synced.then_some(FLUSH_EVERY_MS))
            .use_compression(false);
        let db = open_patiently(&sled_config).map_err(|error| failed(path, &error))?;
        let tree = |name: &str| db.open_tree(name).map_err(|error| failed(path, &error));
        let (objects, chunks, about) = (tree("objects")?, tree("chunks")?, tree("about")?);
        let file = File::open(path.join("db")).map_err(|error| failed_io(path, &error))?;
        let noted = read_upto(&about, path)?;
        let (keys, why_empty) = SledKeys::open(path, &about, noted).map_err(|error| failed_io(path, &error))?;
        let (path, file, keys) = (path.clone(), Arc::new(file), RefCell::new(keys));
        let losses = losses::read(&path).map_err(|error| failed_io(&path, &error))?;
        let store = SledStore { path, db, objects, chunks, about, file, keys, losses };
        if let Some(why) = why_empty {
            store.learn_keys(&why)?;
        }
        let path = &store.path;
        flush_files(&store.db, &store.file, path)?;
        if let Some(parent) = path.parent() {
            sync_dir(parent).map_err(|error| failed_io(path, &error))?;
        }
        Ok(store)
    }

    /// Pieces of long objects in it. Walks all of them: for tests and tools.
    pub fn chunks_stored(&self) -> usize {
        self.chunks.len()
    }

    fn failed(&self, error: &sled::Error) -> SortedStoreError {
        failed(&self.path, error)
    }

    /// A page that is damaged hides the keys on it; whatever else goes wrong concerns the whole store.
    pub(super) fn read_failed(&self, error: &sled::Error) -> SortedStoreError {
        match self.failed(error) {
            SortedStoreError::Failed { what, kind: FailureKind::Damaged, .. } => SortedStoreError::Unreadable { what },
            other => other,
        }
    }

    /// Makes the list of keys, which is empty, anew.
    fn learn_keys(&self, why: &str) -> Result<(), SortedStoreError> {
        let mut keys = self.keys.borrow_mut();
        if !self.objects.is_empty() {
            tracing::warn!(store = %self.path.display(), why, "the list of keys is of no use; it is made anew");
            keys.learn(self)?;
        }
        let flush = keys.flush(self.durable_upto()?).map_err(|error| failed_io(&self.path, &error))?;
        flush.sync(&self.about).map_err(|error| self.failed(&error))
    }

    fn put(&self, entry: &SortedEntry<'_>) -> Result<(), sled::Error> {
        let key = stored_key(entry.token, entry.routed);
        let envelope = if entry.object.len() <= CHUNK_BYTES {
            envelope::whole(&key, entry.lsn, entry.object)
        } else {
            let generation = entry.lsn.0;
            for (index, piece) in entry.object.chunks(CHUNK_BYTES).enumerate() {
                self.chunks.insert(chunk_key(generation, index as u32), piece)?;
            }
            let (bytes, crc) = (entry.object.len() as u32, crc32c::crc32c(entry.object));
            envelope::chunked(&key, entry.lsn, &Chunks { generation, bytes, crc })
        };
        let before = self.objects.insert(&key, envelope)?;
        self.keys.borrow_mut().take(&key, entry, before.as_deref())?;
        let Some(before) = before else { return Ok(()) };
        // An unreadable envelope tells nothing about its chunks; they stay behind.
        match envelope::open(&key, &before) {
            Ok((_, Envelope::Chunked(old))) if old.generation != entry.lsn.0 => self.remove_chunks(&old),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn remove_chunks(&self, chunks: &Chunks) -> Result<(), sled::Error> {
        for index in 0..chunks.bytes.div_ceil(CHUNK_BYTES as u32) {
            self.chunks.remove(chunk_key(chunks.generation, index))?;
        }
        Ok(())
    }

    /// Opens what stands under `key`.
    pub(super) fn read(&self, key: &[u8], stored: &[u8]) -> Result<Stored, SortedStoreError> {
        let (lsn, envelope) = envelope::open(key, stored)?;
        let object = match envelope {
            Envelope::Whole(object) => Bytes::copy_from_slice(object),
            Envelope::Chunked(chunks) => self.read_chunks(&chunks)?,
        };
        Ok(Stored { object, lsn })
    }

    fn read_chunks(&self, chunks: &Chunks) -> Result<Bytes, SortedStoreError> {
        let mut object = Vec::with_capacity(chunks.bytes as usize);
        for index in 0..chunks.bytes.div_ceil(CHUNK_BYTES as u32) {
            let key = chunk_key(chunks.generation, index);
            let Some(piece) = self.chunks.get(key).map_err(|error| self.read_failed(&error))? else {
                return Err(SortedStoreError::Unreadable { what: format!("chunk {index} is missing") });
            };
            object.extend_from_slice(&piece);
        }
        let (found, expected) = ((object.len(), crc32c::crc32c(&object)), (chunks.bytes as usize, chunks.crc));
        if found != expected {
            let what = format!("length and checksum of the chunks are {found:x?}, expected {expected:x?}");
            return Err(SortedStoreError::Unreadable { what });
        }
        Ok(Bytes::from(object))
    }
}

/// The note goes in last: sled keeps its order, so whoever finds the note finds what was written before it.
fn flush(
    db: &sled::Db,
    about: &sled::Tree,
    file: &File,
    path: &Path,
    keys: io::Result<KeyFlush>,
    upto: Lsn,
) -> Result<(), SortedStoreError> {
    let keys = keys.map_err(|error| failed_io(path, &error))?;
    keys.sync(about).map_err(|error| failed(path, &error))?;
    about.insert(UPTO, &upto.0.to_le_bytes()).map_err(|error| failed(path, &error))?;
    flush_files(db, file, path)?;
    keys.ended();
    Ok(())
}

/// The note of the last flush.
fn read_upto(about: &sled::Tree, path: &Path) -> Result<Lsn, SortedStoreError> {
    let Some(note) = about.get(UPTO).map_err(|error| failed(path, &error))? else { return Ok(Lsn(0)) };
    let note: [u8; 8] = note
        .as_ref()
        .try_into()
        .map_err(|_| failed_as(path, format!("a note of {} bytes", note.len()), FailureKind::Damaged))?;
    Ok(Lsn(u64::from_le_bytes(note)))
}

fn flush_files(db: &sled::Db, file: &File, path: &Path) -> Result<(), SortedStoreError> {
    db.flush().map_err(|error| failed(path, &error))?;
    sync_files(file, path).map_err(|error| failed_io(path, &error))
}

/// Pieces are small enough for sled's own file. Should it ever put one into `blobs`, that must not be the one that a power
/// cut takes.
fn sync_files(file: &File, path: &Path) -> io::Result<()> {
    if is_planted(Planted::SkipStoreSync) {
        return Ok(());
    }
    file.sync_data()?;
    let blobs = path.join("blobs");
    if blobs.is_dir() {
        for blob in fs::read_dir(&blobs)? {
            match File::open(blob?.path()) {
                Ok(file) => file.sync_all()?,
                // sled's collection was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        sync_dir(&blobs)?;
    }
    sync_dir(path)
}

impl SortedStore for SledStore {
    fn engine(&self) -> &'static str {
        "sled"
    }

    fn get(&self, token: u128, routed: &[u8]) -> Result<Option<Stored>, SortedStoreError> {
        guard::reading(|| {
            let key = stored_key(token, routed);
            let stored = self.objects.get(&key).map_err(|error| self.read_failed(&error))?;
            stored.map(|stored| self.read(&key, &stored)).transpose()
        })
    }

    fn apply(&mut self, entries: &[SortedEntry<'_>]) -> Result<(), SortedStoreError> {
        guard::changing("sled", &self.path, || {
            entries.iter().try_for_each(|entry| self.put(entry)).map_err(|error| self.failed(&error))
        })
    }

    fn scan(&self, from: &[u8], token_last: u128, limits: PageLimits) -> Result<ScanPage, SortedStoreError> {
        sled_scan::entries(self, from, token_last, limits)
    }

    fn scan_keys(&self, from: &[u8], token_last: u128, keys_max: usize) -> Result<KeyPage, SortedStoreError> {
        sled_scan::keys(self, from, token_last, keys_max)
    }

    fn flush_task(&mut self, upto: Lsn) -> FlushTask {
        let (db, about) = (self.db.clone(), self.about.clone());
        let (file, path) = (self.file.clone(), self.path.clone());
        let keys = self.keys.get_mut().flush(upto);
        Box::new(move || guard::changing("sled", &path, || flush(&db, &about, &file, &path, keys, upto)))
    }

    fn durable_upto(&self) -> Result<Lsn, SortedStoreError> {
        guard::changing("sled", &self.path, || read_upto(&self.about, &self.path))
    }

    /// Pieces of versions that no finished checkpoint knows: their records come again from the log.
    fn discard_unfinished(&mut self, upto: Lsn) -> Result<(), SortedStoreError> {
        guard::changing("sled", &self.path, || {
            for key in self.chunks.range(chunk_key(upto.0 + 1, 0)..).keys() {
                let key = key.map_err(|error| self.failed(&error))?;
                self.chunks.remove(key).map_err(|error| self.failed(&error))?;
            }
            Ok(())
        })
    }

    /// None of them goes further than the store itself.
    fn losses(&self) -> Vec<Wound> {
        let noted = self.durable_upto().unwrap_or(Lsn(u64::MAX));
        self.losses.iter().map(|wound| Wound { upto: wound.upto.min(noted), ..wound.clone() }).collect()
    }

    fn forget_losses(&mut self) -> Result<(), SortedStoreError> {
        losses::forget(&self.path).map_err(|error| failed_io(&self.path, &error))?;
        self.losses.clear();
        Ok(())
    }

    fn verify_files(&self, _cursor: &mut FileCursor, _bytes_max: u64) -> Result<FileCheck, SortedStoreError> {
        Ok(FileCheck { is_done: true, ..FileCheck::default() })
    }

    fn key_filter(&self, vnode_bits: u8, bytes_max: usize) -> Result<Option<KeyFilter>, SortedStoreError> {
        self.keys.borrow().filter(vnode_bits, bytes_max).map(Some)
    }

    fn sizes(&self) -> StoreSizes {
        let keys = self.keys.borrow();
        StoreSizes {
            disk_bytes: self.db.size_on_disk().unwrap_or(0) + keys.journal_bytes(),
            live_bytes: keys.live_bytes(),
            written_bytes_total: keys.given_bytes(),
            ..StoreSizes::default()
        }
    }
}

/// Once sled has opened the store nothing tells any more what it has passed over.
fn note_passed_over(path: &Path) -> Result<(), SortedStoreError> {
    let failed_io = |error: io::Error| failed_io(path, &error);
    let Some(file) = lock_patiently(&path.join("db")).map_err(failed_io)? else { return Ok(()) };
    let audit = sled_audit::audit(path, &file).map_err(failed_io)?;
    if audit.has_lost_pages {
        let what = "pages in its log have rotted, and no older version of them is left".to_owned();
        return Err(failed_as(path, what, FailureKind::Damaged));
    }
    let what = "a page in sled's log has rotted; older versions of its keys would take its place";
    let wound = |&(from, to): &sled_log::Stretch| Wound {
        from,
        to,
        upto: Lsn(u64::MAX),
        keys: None,
        cause: WoundCause::StoreRot,
        what: what.to_owned(),
        found_at_unix: unix_seconds(),
    };
    losses::note(path, audit.stretches.iter().map(wound).collect()).map_err(failed_io)?;
    audit.cancel_messages(path).map_err(failed_io)
}

/// Big-endian, so that the chunks of one object are neighbours and later generations come last.
fn chunk_key(generation: u64, index: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&generation.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// A snapshot that was being written when the process died makes sled refuse to open; without it, sled reads its log.
fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    for file in fs::read_dir(path)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn failed(path: &Path, error: &sled::Error) -> SortedStoreError {
    let kind = match error {
        sled::Error::Io(error) => FailureKind::of_io(error),
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => FailureKind::Damaged,
    };
    failed_as(path, error.to_string(), kind)
}

pub(super) fn failed_io(path: &Path, error: &io::Error) -> SortedStoreError {
    failed_as(path, error.to_string(), FailureKind::of_io(error))
}

fn failed_as(path: &Path, what: String, kind: FailureKind) -> SortedStoreError {
    SortedStoreError::Failed { engine: "sled", path: path.display().to_string(), what, kind }
}
