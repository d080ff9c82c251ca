//! A store that has grown far beyond what it holds is written anew, while it serves.
//!
//! Think of moving house in carloads: whoever writes to you meanwhile writes to the old address, and what came for a room that
//! is already moved is carried after it. When the old house is empty and the last car has arrived, the name-plate is changed.
//!
//! ```text
//! open the next generation ──► copy in ring order ──► flush ──► carry after ──► flush, checkpoints waiting ──► Replace
//! ```
//! What a checkpoint writes where the copy has already been goes into both stores at once; only what it writes while the new
//! one is being flushed is carried after. So each piece brings the end nearer, however much is written meanwhile, and the
//! last flush, for which checkpoints wait, is a short one.
//!
//! Until the manifest names the new generation, at the end of the next checkpoint, the old one counts: it has everything up to
//! that checkpoint. A crash leaves one of them over, which the next start removes. Whether a rewrite is due is
//! [`RewriteRule`]'s question; removing what does not count any more is [`crate::generations`]' work.

use crate::generations::remove_generation;
use crate::record::Lsn;
use crate::sorted_store::{
    PageLimits, SortedEntry, SortedStore, SortedStoreError, StoreConfig, StoreSizes, open_store, split_stored_key,
    stored_key,
};
use crate::store_job::{JobMoment, JobStep, StoreJob};
use crate::unpinned;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Pages of the copy: about a millisecond.
const PAGE: PageLimits = PageLimits { entries_max: 32, bytes_max: 128 * 1024 };
/// The new store is flushed whenever so much was copied, so that the last flush is short.
const FLUSH_EVERY_BYTES: u64 = 32 << 20;
/// Room that must be on the file system before a rewrite begins, beside twice what the store holds.
const ROOM_BYTES: u64 = 64 << 20;

/// When a store has grown too far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RewriteRule {
    /// Its files weigh so many times what it holds; 0: never.
    pub ratio: u32,
    /// And so many bytes at least.
    pub bytes_min: u64,
}

impl RewriteRule {
    /// Is it time? Not if the engine does not know what it holds.
    pub fn is_due(&self, sizes: &StoreSizes) -> bool {
        let is_known = 0 < self.ratio && 0 < sizes.live_bytes;
        let is_large = self.bytes_min <= sizes.disk_bytes;
        is_known && is_large && sizes.live_bytes.saturating_mul(self.ratio.into()) < sizes.disk_bytes
    }
}

/// How a rewrite ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RewriteEnd {
    /// The new generation serves.
    Replaced {
        /// Objects in it.
        objects: u64,
        /// Bytes of the old one's files.
        bytes_before: u64,
        /// Bytes of its own files.
        bytes_after: u64,
    },
    /// It was given up, and why; the old generation goes on as if nothing had been.
    GivenUp(String),
}

/// Builds the next generation of a shard's store.
#[derive(Debug)]
pub struct RewriteJob {
    shard: PathBuf,
    generation: u32,
    config: StoreConfig,
    end: flume::Sender<RewriteEnd>,
    state: State,
    /// Stored key from which on nothing was copied yet; `None`: everything was.
    cursor: Option<Vec<u8>>,
    /// Stored keys before the cursor that checkpoints wrote while the new store was being flushed. At most what the memtables
    /// hold, for each flush.
    touched: BTreeSet<Vec<u8>>,
    objects: u64,
    /// Copied since the last flush.
    bytes_unflushed: u64,
    /// The last flush will be short: one has followed the end of the copy.
    is_nearly_durable: bool,
    /// Why the new store did not take what a checkpoint wrote.
    failure: Option<String>,
}

enum State {
    Begin,
    Opening(flume::Receiver<Result<Box<dyn SortedStore>, String>>),
    Copying(Box<dyn SortedStore>),
    Flushing { new: Box<dyn SortedStore>, flushed: flume::Receiver<Result<(), SortedStoreError>>, upto: Option<Lsn> },
    Over,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            State::Begin => "Begin",
            State::Opening(_) => "Opening",
            State::Copying(_) => "Copying",
            State::Flushing { .. } => "Flushing",
            State::Over => "Over",
        })
    }
}

impl RewriteJob {
    /// Of the store of that generation in the directory `shard`; the new one is opened with `config`. `end` is told how it went;
    /// if it closes without a word, the job was cancelled.
    pub fn new(shard: PathBuf, generation: u32, config: StoreConfig, end: flume::Sender<RewriteEnd>) -> RewriteJob {
        RewriteJob {
            shard,
            generation,
            config,
            end,
            state: State::Begin,
            cursor: Some(Vec::new()),
            touched: BTreeSet::new(),
            objects: 0,
            bytes_unflushed: 0,
            is_nearly_durable: false,
            failure: None,
        }
    }

    fn go_on(&mut self, old: &mut dyn SortedStore) -> Result<JobStep, String> {
        if let Some(why) = self.failure.take() {
            return Err(why);
        }
        match core::mem::replace(&mut self.state, State::Over) {
            State::Begin => self.begin(old),
            State::Opening(opened) => self.opening(opened),
            State::Copying(new) => self.copy(old, new),
            State::Flushing { new, flushed, upto } => self.flushing(old, new, flushed, upto),
            State::Over => Ok(JobStep::Done),
        }
    }

    /// Opening takes a moment, and so does removing what an earlier try left: another thread does it.
    fn begin(&mut self, old: &dyn SortedStore) -> Result<JobStep, String> {
        let live = old.sizes().live_bytes;
        let free = rustix::fs::statvfs(&self.shard).map_or(u64::MAX, |said| said.f_bavail * said.f_frsize);
        if free < 2 * live + ROOM_BYTES {
            return Err(format!("{free} bytes are free, {} are needed", 2 * live + ROOM_BYTES));
        }
        let (answer, opened) = flume::bounded(1);
        let (shard, config, next) = (self.shard.clone(), self.config, self.generation + 1);
        let open = move || {
            let store = remove_generation(&shard, config.engine, next).map_err(|error| error.to_string());
            let store = store.and_then(|()| open_store(&shard, next, &config).map_err(|error| error.to_string()));
            // If nobody waits any more, the next start removes it.
            let _ = answer.send(store);
        };
        unpinned::spawn("rewrite-open", open).map_err(|error| error.to_string())?;
        self.state = State::Opening(opened);
        Ok(JobStep::Later)
    }

    fn opening(&mut self, opened: flume::Receiver<Result<Box<dyn SortedStore>, String>>) -> Result<JobStep, String> {
        match opened.try_recv() {
            Ok(new) => self.state = State::Copying(new?),
            Err(flume::TryRecvError::Empty) => {
                self.state = State::Opening(opened);
                return Ok(JobStep::Later);
            }
            Err(flume::TryRecvError::Disconnected) => return Err("opening the new store panicked".to_owned()),
        }
        Ok(JobStep::More)
    }

    fn copy(&mut self, old: &mut dyn SortedStore, mut new: Box<dyn SortedStore>) -> Result<JobStep, String> {
        if FLUSH_EVERY_BYTES <= self.bytes_unflushed {
            return self.flush(new, None);
        }
        if let Some(key) = self.touched.pop_first() {
            self.carry_after(old, &mut *new, &key)?;
        } else if let Some(from) = self.cursor.take() {
            self.copy_page(old, &mut *new, &from)?;
        } else if !self.is_nearly_durable {
            self.is_nearly_durable = true;
            return self.flush(new, None);
        } else {
            let upto = old.durable_upto().map_err(|error| error.to_string())?;
            return self.flush(new, Some(upto));
        }
        self.state = State::Copying(new);
        Ok(JobStep::More)
    }

    fn copy_page(&mut self, old: &dyn SortedStore, new: &mut dyn SortedStore, from: &[u8]) -> Result<(), String> {
        let page = old.scan(from, u128::MAX, PAGE).map_err(|error| error.to_string())?;
        if !page.unreadable.is_empty() || !page.gaps.is_empty() {
            // Copied without them, they would be absent instead of unreadable.
            return Err("the store has objects that cannot be read".to_owned());
        }
        for entry in &page.entries {
            self.bytes_unflushed += (entry.routed.len() + entry.object.len()) as u64;
            put(new, entry.token, &entry.routed, &entry.object, entry.lsn)?;
        }
        self.objects += page.entries.len() as u64;
        self.cursor = page.next;
        Ok(())
    }

    fn carry_after(&self, old: &dyn SortedStore, new: &mut dyn SortedStore, key: &[u8]) -> Result<(), String> {
        let (token, routed) = split_stored_key(key).expect("stored keys begin with a token");
        let stored = old.get(token, routed).map_err(|error| error.to_string())?;
        let stored = stored.ok_or("a key that a checkpoint wrote is gone")?;
        put(new, token, routed, &stored.object, stored.lsn)
    }

    /// With `upto` it is the last one: no checkpoint may come between.
    fn flush(&mut self, mut new: Box<dyn SortedStore>, upto: Option<Lsn>) -> Result<JobStep, String> {
        let task = new.flush_task(upto.unwrap_or(Lsn(0)));
        let (answer, flushed) = flume::bounded(1);
        let flush = move || {
            let _ = answer.send(task());
        };
        unpinned::spawn("rewrite-flush", flush).map_err(|error| error.to_string())?;
        self.bytes_unflushed = 0;
        self.state = State::Flushing { new, flushed, upto };
        Ok(wait_for_flush(upto))
    }

    fn flushing(
        &mut self,
        old: &dyn SortedStore,
        new: Box<dyn SortedStore>,
        flushed: flume::Receiver<Result<(), SortedStoreError>>,
        upto: Option<Lsn>,
    ) -> Result<JobStep, String> {
        match flushed.try_recv() {
            Ok(outcome) => outcome.map_err(|error| error.to_string())?,
            Err(flume::TryRecvError::Empty) => {
                self.state = State::Flushing { new, flushed, upto };
                return Ok(wait_for_flush(upto));
            }
            Err(flume::TryRecvError::Disconnected) => return Err("flushing the new store panicked".to_owned()),
        }
        let reached = old.durable_upto().map_err(|error| error.to_string())?;
        if upto == Some(reached) && self.touched.is_empty() {
            let (bytes_before, bytes_after) = (old.sizes().disk_bytes, new.sizes().disk_bytes);
            let _ = self.end.try_send(RewriteEnd::Replaced { objects: self.objects, bytes_before, bytes_after });
            return Ok(JobStep::Replace { store: new, generation: self.generation + 1 });
        }
        self.state = State::Copying(new);
        Ok(JobStep::More)
    }
}

/// The last flush is waited for without a checkpoint.
fn wait_for_flush(upto: Option<Lsn>) -> JobStep {
    if upto.is_some() { JobStep::Hold } else { JobStep::Later }
}

fn put(new: &mut dyn SortedStore, token: u128, routed: &[u8], object: &bytes::Bytes, lsn: Lsn) -> Result<(), String> {
    new.apply(&[SortedEntry { token, routed, object, lsn }]).map_err(|error| error.to_string())
}

impl StoreJob for RewriteJob {
    fn name(&self) -> &'static str {
        "rewrite"
    }

    fn step(&mut self, store: &mut dyn SortedStore, moment: JobMoment) -> JobStep {
        if !moment.is_between_checkpoints {
            return JobStep::Later;
        }
        self.go_on(store).unwrap_or_else(|why| {
            self.state = State::Over;
            let _ = self.end.try_send(RewriteEnd::GivenUp(why));
            JobStep::Done
        })
    }

    fn applied(&mut self, entries: &[SortedEntry<'_>]) {
        for entry in entries {
            let key = stored_key(entry.token, entry.routed);
            // What lies at the cursor or behind it is still to be copied.
            if self.cursor.as_ref().is_some_and(|cursor| *cursor <= key) {
                continue;
            }
            if let State::Copying(new) = &mut self.state {
                let put = put(&mut **new, entry.token, entry.routed, entry.object, entry.lsn);
                // If it waits to be carried after, that has been done hereby.
                self.touched.remove(&key);
                self.failure = self.failure.take().or(put.err());
            } else {
                self.touched.insert(key);
            }
        }
    }
}
