//! Opening a shard's sorted store again after it has failed, while the shard goes on.
//!
//! ```text
//! no room, I/O ──► the same store, opened again when the disk is well
//! damaged, lsm ──► every file checked while the old handle serves ──► opened without what is damaged ──► wounds
//! damaged, sled ─► its handle gives what it can, a page at a time, to the next generation ──► wounds
//! ```
//! sled is not opened again for that: its handle knows where the newest version of every page lies, and says so when it
//! cannot be read; opened anew it might take an older one for the newest. Wounds go to the shard, which notes them before its
//! manifest names what came of it.

use crate::companion::{ReopenStore, ReopenedStore, StoreRescue};
use crate::error::StorageError;
use crate::generations::mark_damaged;
use crate::key_journal::KeyCensus;
use crate::limits::REOPEN_FREE_BYTES;
use crate::record::Lsn;
use crate::rescue::{Damage, Predecessor, Successor, build_successor, is_damage, open_fresh};
use crate::salvage::Salvage;
use crate::sorted_store::{
    Engine, FailureKind, SortedStore, SortedStoreError, StoreConfig, Suspects, find_suspects, forget_cached,
    open_store_without, store_dir,
};
use crate::store_job::{JobMoment, JobStep, StoreJob};
use crate::wounds::{Wound, WoundCause};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two lines about the progress of a rescue.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Opens the store in a shard's directory.
#[derive(Clone, Debug)]
pub struct ShardReopener {
    path: PathBuf,
    config: StoreConfig,
    vnode_bits: u8,
    /// Found to be damaged while the old handle still served.
    suspects: Suspects,
}

impl ShardReopener {
    /// Of the shard in `path`, on a ring of `2^vnode_bits` virtual nodes.
    pub fn new(path: &Path, config: StoreConfig, vnode_bits: u8) -> ShardReopener {
        ShardReopener { path: path.to_owned(), config, vnode_bits, suspects: Suspects::default() }
    }

    /// Room on the file system, in bytes; plenty if the system does not say.
    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.path).map_or(u64::MAX, |said| said.f_bavail.saturating_mul(said.f_frsize))
    }

    /// Is the file system writable? A store that is opened on one that is not panics or gives up half way.
    fn is_writable(&self) -> bool {
        let said = rustix::fs::statvfs(&self.path);
        said.map_or(true, |said| !said.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    /// The file system takes what is written, and has room for it.
    fn is_well(&self) -> bool {
        self.is_writable() && self.free_bytes() >= REOPEN_FREE_BYTES
    }

    fn failed(&self, generation: u32, what: String, kind: FailureKind) -> SortedStoreError {
        let path = self.path.join(store_dir(self.config.engine, generation)).display().to_string();
        SortedStoreError::Failed { engine: self.config.engine.name(), path, what, kind }
    }

    fn of_storage(&self, generation: u32, error: StorageError) -> SortedStoreError {
        match error {
            StorageError::Sorted(error) => error,
            other => self.failed(generation, other.to_string(), FailureKind::Io),
        }
    }
}

impl ReopenStore for ShardReopener {
    /// Of a damaged store this takes as long as reading all of it, if its engine can tell which files are damaged.
    fn is_time(&mut self, kind: FailureKind, generation: u32) -> bool {
        if !self.is_well() {
            return false;
        }
        if kind == FailureKind::Damaged {
            self.suspects = find_suspects(&self.path, generation, &self.config).unwrap_or_else(|error| {
                tracing::warn!(%error, "the files of a damaged store could not be looked at");
                Suspects::default()
            });
        }
        true
    }

    fn rescue(&mut self, generation: u32, upto: Lsn) -> Result<Option<Box<dyn StoreRescue>>, SortedStoreError> {
        match self.config.engine {
            Engine::Lsm => Ok(None),
            Engine::Sled => {
                let rescue = Rescue::begin(self, generation, upto);
                let rescue = rescue.map_err(|error| self.of_storage(generation, error))?;
                Ok(Some(Box::new(rescue)))
            }
        }
    }

    fn reopen(&mut self, kind: FailureKind, generation: u32, upto: Lsn) -> Result<ReopenedStore, SortedStoreError> {
        // The failure may have been a sync: what is opened must be what the disk has.
        forget_cached(&self.path, generation, self.config.engine);
        let suspects = core::mem::take(&mut self.suspects);
        let damage = match open_store_without(&self.path, generation, &self.config, &suspects) {
            Ok(store) => match store.durable_upto() {
                Ok(found) if upto <= found => {
                    return Ok(ReopenedStore { wounds: store.losses(), store, generation });
                }
                Ok(found) => {
                    let what = format!("it goes up to {found} only, and had gone up to {upto}");
                    Damage { what, store: Some(store), is_behind: true }
                }
                Err(error) => Damage { what: error.to_string(), store: Some(store), is_behind: true },
            },
            Err(error) if is_damage(&error) => Damage { what: error.to_string(), store: None, is_behind: true },
            Err(error) => return Err(error),
        };
        if kind != FailureKind::Damaged {
            // Once more before it is given up: this was a disk that failed a moment ago.
            return Err(self.failed(generation, damage.what, FailureKind::Damaged));
        }
        let of = Predecessor { path: &self.path, config: self.config, generation, upto };
        let built = build_successor(&of, damage, self.vnode_bits, unix_seconds());
        let Successor { store, wounds } = built.map_err(|error| self.of_storage(generation, error))?;
        Ok(ReopenedStore { store, generation: generation + 1, wounds })
    }
}

/// What a sled store still gives, on its way into the next generation.
#[derive(Debug)]
struct Rescue {
    reopener: ShardReopener,
    generation: u32,
    upto: Lsn,
    /// `None` once it was handed over.
    new: Option<Opaque>,
    census: Option<KeyCensus>,
    salvage: Salvage,
    told_at: Instant,
}

/// A store without a name for itself.
struct Opaque(Box<dyn SortedStore>);

impl core::fmt::Debug for Opaque {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0.engine())
    }
}

impl Rescue {
    fn begin(reopener: &ShardReopener, generation: u32, upto: Lsn) -> Result<Rescue, StorageError> {
        let name = store_dir(reopener.config.engine, generation);
        let census =
            KeyCensus::read(&reopener.path.join(&name), upto).map_err(StorageError::io("read the keys of", &name))?;
        let new = Some(Opaque(open_fresh(&reopener.path, &reopener.config, generation + 1)?));
        tracing::warn!(
            store = name,
            keys = census.as_ref().map(|census| census.tokens().len()),
            "what can be read of a damaged store moves"
        );
        let (reopener, salvage, told_at) = (reopener.clone(), Salvage::default(), Instant::now());
        Ok(Rescue { reopener, generation, upto, new, census, salvage, told_at })
    }

    /// A handle that gives nothing though there were keys is of no use: the files are judged when they are opened.
    fn is_in_vain(&self) -> bool {
        self.salvage.copied() == 0 && self.census.as_ref().is_none_or(|census| !census.tokens().is_empty())
    }

    fn finish(&mut self) -> Result<ReopenedStore, SortedStoreError> {
        let what = "its handle gives nothing any more".to_owned();
        let in_vain = self.is_in_vain();
        let new = self.new.take().filter(|_| !in_vain);
        let Opaque(mut new) = new.ok_or_else(|| self.reopener.failed(self.generation, what, FailureKind::Damaged))?;
        let salvage = core::mem::take(&mut self.salvage);
        let report = salvage.finish(&mut *new, self.census.as_ref(), self.upto)?;
        let now = unix_seconds();
        let lost = report.lost.into_iter().map(|range| range.into_wound(self.upto, WoundCause::StoreRot, now));
        let wounds: Vec<Wound> = lost.collect();
        tracing::warn!(
            copied = report.copied,
            wounds = wounds.len(),
            "what could be read of a damaged store has moved"
        );
        let ShardReopener { path, config, .. } = &self.reopener;
        let marked = mark_damaged(path, config.engine, self.generation, "a write failed over a damaged page");
        marked.map_err(|error| self.reopener.failed(self.generation, error.to_string(), FailureKind::of_io(&error)))?;
        Ok(ReopenedStore { store: new, generation: self.generation + 1, wounds })
    }
}

impl StoreRescue for Rescue {
    fn step(&mut self, old: &dyn SortedStore) -> Result<Option<ReopenedStore>, SortedStoreError> {
        let Some(Opaque(new)) = &mut self.new else {
            let what = "it was rescued already".to_owned();
            return Err(self.reopener.failed(self.generation, what, FailureKind::Damaged));
        };
        if self.salvage.step(old, &mut **new, self.census.as_ref())? {
            if TOLD_EVERY <= self.told_at.elapsed() {
                self.told_at = Instant::now();
                tracing::info!(copied = self.salvage.copied(), "saving what can be read of a damaged store");
            }
            return Ok(None);
        }
        self.finish().map(Some)
    }
}

/// Tells the store that what it had lost is noted by its shard.
#[derive(Debug)]
pub struct LossesNoted;

impl StoreJob for LossesNoted {
    fn name(&self) -> &'static str {
        "losses-noted"
    }

    fn step(&mut self, store: &mut dyn SortedStore, _: JobMoment) -> JobStep {
        if let Err(error) = store.forget_losses() {
            tracing::warn!(%error, "a store keeps its list of losses, which are noted; the next start takes them once more");
        }
        JobStep::Done
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
