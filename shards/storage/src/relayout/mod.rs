//! From one layout of a data directory to the next: other shards, another engine, or both.
//!
//! ```text
//! leftovers go ─► sources open ─► room? ─► copy, in ring order ─► read back and compare ─► switch ─► the old one goes
//! ```
//! The old layout stays in force, and as it is, until the identity names the new one, which happens all at once. A crash at
//! any moment leaves one of the two in force and the other a leftover, which the next start removes. Every new shard
//! begins a lineage of its own: its objects are numbered anew from 1.
//!
//! What the sources have lost travels along: their wounds, and what could not be read now.

mod error;
mod progress;
mod source;
mod target;
mod wounded;

pub use error::RelayoutError;
pub use progress::{RelayoutPhase, RelayoutProgress};

use crate::limits::{RELAYOUT_QUEUE_MAX, RELAYOUT_ROOM_BESIDE_BYTES, StoreLimits, WalLimits};
use crate::node_dir::NodeDir;
use crate::open_shard::OpenOptions;
use crate::sorted_store::{Engine, StoreConfig};
use core::ops::{AddAssign, ControlFlow};
use progress::Watch;
use source::{Outboxes, Source, SourceOutcome};
use std::thread::{self, ScopedJoinHandle};
use target::{Target, TargetOutcome};
use wounded::Owners;

/// What the new layout is to be, and the means.
#[derive(Clone, Copy, Debug)]
pub struct RelayoutOptions {
    /// Shards of the new layout.
    pub shards: u16,
    /// Its engine.
    pub engine: Engine,
    /// Any number that differs from time to time.
    pub salt: u64,
    /// The time, in seconds since 1970.
    pub unix_seconds: u64,
    /// Bounds of the memory of each shard that is opened.
    pub limits: StoreLimits,
    /// Bounds of the logs.
    pub wal: WalLimits,
    /// The cache of each sorted store, in bytes.
    pub cache_bytes: u64,
}

/// Which of so many shards keeps a vnode: `(vnode, shards) -> shard`.
pub type ShardOfVnode<'a> = &'a (dyn Fn(u32, u16) -> u16 + Sync);

/// Is told how far it is, from any thread; `Break` ends the move, with nothing changed.
pub type OnProgress<'a> = &'a (dyn Fn(&RelayoutProgress) -> ControlFlow<()> + Sync);

/// Objects, counted, with a sum of their checksums that no order changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Objects.
    pub objects: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The sum.
    pub checksum: u64,
}

impl Tally {
    fn add(&mut self, token: u128, routed: &[u8], object: &[u8]) {
        let key = crc32c::crc32c_append(crc32c::crc32c(&token.to_be_bytes()), routed);
        let whole = crc32c::crc32c_append(key, object);
        self.objects += 1;
        self.bytes += (routed.len() + object.len()) as u64;
        self.checksum = self.checksum.wrapping_add((u64::from(key) << 32) | u64::from(whole));
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}

/// How a move went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayoutReport {
    /// What was copied, and read back.
    pub copied: Tally,
    /// Wounds of the new shards.
    pub wounds: usize,
    /// Something that was acknowledged was found missing now: the node needs a new incarnation.
    pub has_lost: bool,
    /// Why the old layout could not be removed; it is a leftover, which the next start removes.
    pub leftover: Option<String>,
}

/// Builds the next layout of `directory` and puts it in force. Blocks; call it from a thread that is not pinned.
///
/// # Errors
/// The layout that was in force stays so, and what was built of the new one is removed.
pub fn relayout(
    directory: &mut NodeDir,
    options: &RelayoutOptions,
    shard_of: ShardOfVnode<'_>,
    on_progress: OnProgress<'_>,
) -> Result<RelayoutReport, RelayoutError> {
    directory.remove_leftovers()?;
    let (old, next) = (directory.identity().layout, directory.identity().layout + 1);
    let mover = Mover { directory, options, shard_of, next };
    let built = mover.build(&Watch::new(on_progress, directory.identity().shards, options.shards));
    let mut report = match built {
        Ok(report) => report,
        Err(error) => {
            // If this fails too, it is a leftover.
            let _ = directory.remove_layout(next);
            return Err(error);
        }
    };
    directory.switch_layout(next, options.shards, options.engine)?;
    let removed = directory.keep_set_aside(old).and_then(|()| directory.remove_layout(old));
    report.leftover = removed.err().map(|error| error.to_string());
    Ok(report)
}

/// Everything that the steps of a move must know.
struct Mover<'a> {
    directory: &'a NodeDir,
    options: &'a RelayoutOptions,
    shard_of: ShardOfVnode<'a>,
    next: u32,
}

impl Mover<'_> {
    /// Builds the next layout durably, up to the last step.
    fn build(&self, watch: &Watch<'_>) -> Result<RelayoutReport, RelayoutError> {
        let sources = self.open_sources(watch)?;
        self.check_room(&sources)?;
        let hlc_bound = sources.iter().map(Source::hlc_bound).max().unwrap_or(0);
        let doubtful: u64 = sources.iter().map(Source::doubtful_max).sum();
        self.directory.create_shard_dirs(self.next, self.options.shards)?;
        let make = |shard| {
            let path = self.directory.shard_path_in(self.next, shard);
            Target::create(path, self.open_options(shard, self.options.engine), hlc_bound, doubtful)
        };
        let targets = (0..self.options.shards).map(make).collect::<Result<Vec<_>, _>>()?;
        let report = self.copy(sources, targets, watch)?;
        // The names of everything that was made, once more, now that it is complete.
        self.directory.create_shard_dirs(self.next, self.options.shards)?;
        Ok(report)
    }

    fn open_sources(&self, watch: &Watch<'_>) -> Result<Vec<Source>, RelayoutError> {
        watch.begin(RelayoutPhase::Opening)?;
        let identity = self.directory.identity();
        let open = |shard| {
            let path = self.directory.shard_path(shard);
            Source::open(&path, &self.open_options(shard, identity.engine))
        };
        thread::scope(|scope| {
            let opening: Vec<_> = (0..identity.shards).map(|shard| scope.spawn(move || open(shard))).collect();
            opening.into_iter().map(|thread| join(thread, "opening a shard")).collect()
        })
    }

    fn open_options(&self, shard: u16, engine: Engine) -> OpenOptions {
        let RelayoutOptions { salt, unix_seconds, limits, wal, cache_bytes, .. } = *self.options;
        let (store, vnode_bits) = (StoreConfig { engine, cache_bytes }, self.directory.identity().vnode_bits);
        // A lineage for each shard.
        let salt = salt.wrapping_add(u64::from(shard) << 48);
        OpenOptions { shard, salt, unix_seconds, limits, wal, store, vnode_bits }
    }

    /// The new layout lies beside the old one until the switch.
    fn check_room(&self, sources: &[Source]) -> Result<(), RelayoutError> {
        let live: u64 = sources.iter().map(Source::live_bytes).sum();
        let objects = match self.options.engine {
            Engine::Sled => live.saturating_mul(2), // What it was measured to take for each byte.
            Engine::Lsm => live.saturating_add(live / 4),
        };
        let needed = objects + u64::from(self.options.shards) * RELAYOUT_ROOM_BESIDE_BYTES;
        let path = self.directory.path();
        // A file system that does not say how much room it has is tried.
        let Ok(room) = rustix::fs::statvfs(path) else { return Ok(()) };
        let available = room.f_bavail.saturating_mul(room.f_frsize);
        if needed <= available {
            return Ok(());
        }
        Err(RelayoutError::NoRoom { path: path.to_owned(), needed, available })
    }

    /// A thread for each source, which reads, and one for each target, which writes; between them bounded queues.
    fn copy(
        &self,
        sources: Vec<Source>,
        targets: Vec<Target>,
        watch: &Watch<'_>,
    ) -> Result<RelayoutReport, RelayoutError> {
        watch.begin(RelayoutPhase::Copying)?;
        let owners = Owners {
            bits: self.directory.identity().vnode_bits,
            sources: self.directory.identity().shards,
            targets: self.options.shards,
            shard_of: self.shard_of,
        };
        let (outboxes, inboxes): (Outboxes, Vec<_>) =
            targets.iter().map(|_| flume::bounded(RELAYOUT_QUEUE_MAX)).unzip();
        let (sent, found) = thread::scope(|scope| {
            let owners = &owners;
            let read = |source: Source| {
                let outboxes = outboxes.clone();
                scope.spawn(move || source.copy(owners, &outboxes, watch))
            };
            let readers: Vec<_> = sources.into_iter().map(read).collect();
            let write = |(target, inbox): (Target, _)| scope.spawn(move || target.fill(inbox, watch));
            let writers: Vec<_> = targets.into_iter().zip(inboxes).map(write).collect();
            // The queues end with the readers.
            drop(outboxes);
            let sent: Vec<_> = readers.into_iter().map(|thread| join(thread, "reading the old layout")).collect();
            let found: Vec<_> = writers.into_iter().map(|thread| join(thread, "writing the new layout")).collect();
            (sent, found)
        });
        let (sent, found) = all_or_first_reason(sent, found)?;
        watch.begin(RelayoutPhase::Switching)?;
        compare(&sent, &found)
    }
}

/// Who was stopped by the failure of another does not know why: whoever does is heard.
fn all_or_first_reason(
    sent: Vec<Result<SourceOutcome, RelayoutError>>,
    found: Vec<Result<TargetOutcome, RelayoutError>>,
) -> Result<(Vec<SourceOutcome>, Vec<TargetOutcome>), RelayoutError> {
    let mut reasons = Vec::new();
    let sent: Vec<_> =
        sent.into_iter().filter_map(|outcome| outcome.map_err(|error| reasons.push(error)).ok()).collect();
    let found: Vec<_> =
        found.into_iter().filter_map(|outcome| outcome.map_err(|error| reasons.push(error)).ok()).collect();
    reasons.sort_by_key(|error| matches!(error, RelayoutError::Interrupted));
    reasons.into_iter().next().map_or(Ok((sent, found)), Err)
}

/// Everything that was sent must have been found.
fn compare(sent: &[SourceOutcome], found: &[TargetOutcome]) -> Result<RelayoutReport, RelayoutError> {
    let mut copied = Tally::default();
    for (shard, target) in (0..).zip(found) {
        let mut expected = Tally::default();
        sent.iter().for_each(|source| expected += source.sent[usize::from(shard)]);
        if target.found != expected {
            return Err(RelayoutError::Mismatch { shard, expected, found: target.found });
        }
        copied += expected;
    }
    Ok(RelayoutReport {
        copied,
        wounds: found.iter().map(|target| target.wounds).sum(),
        has_lost: sent.iter().any(|source| source.has_lost),
        leftover: None,
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T, RelayoutError>>, what: &'static str) -> Result<T, RelayoutError> {
    thread.join().unwrap_or(Err(RelayoutError::Panicked { what }))
}
