//! What a sled store knows about its own keys: the list of them, and what their newest objects weigh.
//!
//! Beside sled's directory lies the key journal. Under `keys` sled's tree `about` says which one, how far it goes, and the
//! weight; that note goes into sled after the journal was synced and just before the note of `upto`, so that neither is
//! ever found without what it speaks of.

use super::envelope::{self, Envelope};
use super::{PageLimits, ScanPage, SortedEntry, SortedStore, SortedStoreError, split_stored_key};
use crate::filter::KeyFilter;
use crate::key_journal::{KeyJournal, Promise, journal_path};
use crate::record::Lsn;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Under this key the tree `about` has the note: id of the journal, its pages, live bytes; each a u64.
const NOTE: &str = "keys";
const NOTE_BYTES: usize = 24;
/// Pages of the walk through a store whose journal is lost.
const WALK: PageLimits = PageLimits { entries_max: 256, bytes_max: 1 << 20 };

/// The journal of a store, and its weight.
#[derive(Debug)]
pub(super) struct SledKeys {
    path: PathBuf,
    journal: KeyJournal,
    /// False: some keys could not be read when the list was made, so it is made again at the next start.
    is_whole: bool,
    /// Where such keys are, as tokens.
    unknown: Vec<(u128, u128)>,
    live_bytes: u64,
    /// Bytes of keys and objects that sled was given since it was opened.
    given_bytes: u64,
    flushes: Arc<Flushes>,
}

/// What the flushes came to, wherever they ran.
#[derive(Debug)]
struct Flushes {
    /// What the last one that ended well covers; up to there every key is listed.
    noted: AtomicU64,
    /// A sync failed: what the journal has on the disk is not known until it is opened again.
    is_broken: AtomicBool,
}

/// What a flush has to do about the keys.
#[derive(Debug)]
pub(super) struct KeyFlush {
    journal: Arc<File>,
    note: Option<[u8; NOTE_BYTES]>,
    upto: Lsn,
    flushes: Arc<Flushes>,
}

impl SledKeys {
    /// Goes on with the journal of the store at `path`; `Err` with the reason if it must be made anew from the store.
    fn go_on(path: &Path, note: Option<&[u8]>, noted: Lsn) -> io::Result<Result<SledKeys, String>> {
        let path = journal_path(path);
        let Some(note) = note else { return Ok(Err("the store has none noted".to_owned())) };
        let Ok(note) = <[u8; NOTE_BYTES]>::try_from(note) else {
            return Ok(Err(format!("the store's note of it has {} bytes", note.len())));
        };
        let u64_at = |at: usize| u64::from_le_bytes(note[at..at + 8].try_into().expect("eight bytes"));
        let promise = Promise { id: u64_at(0), pages: u64_at(8) };
        let opened = KeyJournal::open(&path, promise)?;
        Ok(opened.map(|journal| SledKeys::new(path, journal, u64_at(16), noted)))
    }

    /// Begins an empty journal for the store at `path`. A journal that lies there already is set aside.
    fn create(path: &Path, noted: Lsn) -> io::Result<SledKeys> {
        let path = journal_path(path);
        if path.exists() {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            fs::rename(&path, path.with_file_name(format!("{name}.damaged-{seconds}-not-what-the-store-notes")))?;
        }
        let journal = KeyJournal::create(&path, new_id(&path))?;
        sync_parent(&path)?;
        Ok(SledKeys::new(path, journal, 0, noted))
    }

    /// The journal of the store at `path`: as it was left, or an empty one and why (then [`learn`](SledKeys::learn) fills it).
    pub(super) fn open(path: &Path, about: &sled::Tree, noted: Lsn) -> io::Result<(SledKeys, Option<String>)> {
        match SledKeys::go_on(path, about.get(NOTE)?.as_deref(), noted)? {
            Ok(keys) if keys.journal.is_wasteful() => Ok((keys.repack(about)?, None)),
            Ok(keys) => Ok((keys, None)),
            Err(why) => Ok((SledKeys::create(path, noted)?, Some(why))),
        }
    }

    /// With full pages. A crash before the note is durable makes the list anew.
    fn repack(self, about: &sled::Tree) -> io::Result<SledKeys> {
        let journal = self.journal.repack(&self.path, new_id(&self.path))?;
        sync_parent(&self.path)?;
        let noted = Lsn(self.flushes.noted.load(Ordering::Acquire));
        let mut keys = SledKeys::new(self.path, journal, self.live_bytes, noted);
        keys.flush(noted)?.sync(about)?;
        Ok(keys)
    }

    fn new(path: PathBuf, journal: KeyJournal, live_bytes: u64, noted: Lsn) -> SledKeys {
        let flushes = Arc::new(Flushes { noted: AtomicU64::new(noted.0), is_broken: AtomicBool::new(false) });
        SledKeys { path, journal, is_whole: true, unknown: Vec::new(), live_bytes, given_bytes: 0, flushes }
    }

    /// Fills an empty journal from the store itself, in bounded memory. What cannot be read there stays unknown.
    pub(super) fn learn(&mut self, store: &dyn SortedStore) -> Result<(), SortedStoreError> {
        let (mut from, mut keys) = (Some(Vec::new()), 0_u64);
        while let Some(start) = from.take() {
            let page = match store.scan(&start, u128::MAX, WALK) {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(%error, "the list of keys cannot be made anew from here on");
                    self.lose(&start, None);
                    break;
                }
            };
            keys += (page.entries.len() + page.unreadable.len()) as u64;
            self.learn_page(&page).map_err(|error| self.failed(&error))?;
            from = page.next;
        }
        tracing::warn!(journal = %self.path.display(), keys, is_whole = self.is_whole, "the list of keys was made anew");
        Ok(())
    }

    fn learn_page(&mut self, page: &ScanPage) -> io::Result<()> {
        for entry in &page.entries {
            self.journal.push(entry.token, entry.lsn)?;
            self.live_bytes += (16 + entry.routed.len() + entry.object.len()) as u64;
        }
        for (token, _) in page.unreadable.iter().filter_map(|key| split_stored_key(key)) {
            self.journal.push(token, Lsn(0))?;
        }
        page.gaps.iter().for_each(|gap| self.lose(&gap.from, gap.to.as_deref()));
        Ok(())
    }

    /// Keys from `from` on, up to `to`, may be there or not.
    fn lose(&mut self, from: &[u8], to: Option<&[u8]>) {
        self.is_whole = false;
        let from = split_stored_key(from).map_or(0, |(token, _)| token);
        let to = to.and_then(split_stored_key).map_or(u128::MAX, |(token, _)| token);
        self.unknown.push((from, to));
    }

    /// An entry has taken the place of the envelope `before`. A key is listed unless what it had is covered by the last
    /// note: then it was listed with that, or earlier.
    pub(super) fn take(&mut self, key: &[u8], entry: &SortedEntry<'_>, before: Option<&[u8]>) -> io::Result<()> {
        let weight = |object: usize| (key.len() + object) as u64;
        let (old_lsn, old_weight) = match before.map(|before| envelope::open(key, before)) {
            Some(Ok((lsn, Envelope::Whole(object)))) => (Some(lsn), weight(object.len())),
            Some(Ok((lsn, Envelope::Chunked(chunks)))) => (Some(lsn), weight(chunks.bytes as usize)),
            Some(Err(_)) | None => (None, 0),
        };
        self.given_bytes += weight(entry.object.len());
        self.live_bytes = (self.live_bytes + weight(entry.object.len())).saturating_sub(old_weight);
        if old_lsn.is_some_and(|lsn| lsn.0 <= self.flushes.noted.load(Ordering::Acquire)) {
            return Ok(());
        }
        self.journal.push(entry.token, entry.lsn)
    }

    /// Begins a flush up to `upto`.
    pub(super) fn flush(&mut self, upto: Lsn) -> io::Result<KeyFlush> {
        if self.flushes.is_broken.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier sync of the list of keys failed; the store has to be opened again",
            ));
        }
        let (journal, Promise { id, pages }) = self.journal.seal()?;
        let mut note = [0; NOTE_BYTES];
        note[0..8].copy_from_slice(&id.to_le_bytes());
        note[8..16].copy_from_slice(&pages.to_le_bytes());
        note[16..24].copy_from_slice(&self.live_bytes.to_le_bytes());
        Ok(KeyFlush { journal, note: self.is_whole.then_some(note), upto, flushes: Arc::clone(&self.flushes) })
    }

    /// Tells a filter all keys.
    pub(super) fn filter(&self, vnode_bits: u8, bytes_max: usize) -> Result<KeyFilter, SortedStoreError> {
        let mut filter = KeyFilter::new(vnode_bits, bytes_max);
        self.unknown.iter().for_each(|&(from, to)| filter.open(from, to));
        self.journal.fill(&mut filter).map_err(|error| self.failed(&error))?;
        Ok(filter)
    }

    /// Bytes of the journal.
    pub(super) fn journal_bytes(&self) -> u64 {
        self.journal.bytes()
    }

    /// Bytes of keys and objects that sled was given since it was opened. It writes more, on threads that all stores share.
    pub(super) fn given_bytes(&self) -> u64 {
        self.given_bytes
    }

    /// Bytes of keys and newest objects.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    fn failed(&self, error: &io::Error) -> SortedStoreError {
        super::sled_store::failed_io(&self.path, error)
    }
}

impl KeyFlush {
    /// Makes the list durable, and what is to be noted of it. Comes before the note of `upto`.
    pub(super) fn sync(&self, about: &sled::Tree) -> sled::Result<()> {
        self.journal.sync_data().inspect_err(|_| self.flushes.is_broken.store(true, Ordering::Release))?;
        match &self.note {
            Some(note) => about.insert(NOTE, note)?,
            None => about.remove(NOTE)?,
        };
        Ok(())
    }

    /// The flush has ended well.
    pub(super) fn ended(self) {
        self.flushes.noted.store(self.upto.0, Ordering::Release);
    }
}

/// Differs from journal to journal.
fn new_id(path: &Path) -> u64 {
    ahash::RandomState::new().hash_one(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
