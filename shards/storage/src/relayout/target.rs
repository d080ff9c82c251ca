//! A shard that is written: numbered anew, made durable, read back.

use super::progress::Watch;
use super::source::{Moved, Parcel};
use super::{RelayoutError, Tally};
use crate::disk::{StdDisk, run_ready};
use crate::error::StorageError;
use crate::limits::{RELAYOUT_FLUSH_BYTES, RELAYOUT_PAGE_BYTES, RELAYOUT_PAGE_ENTRIES};
use crate::manifest::Manifest;
use crate::open_shard::{OpenOptions, OpenShard, open_shard};
use crate::record::Lsn;
use crate::sorted_store::{PageLimits, SortedEntry, SortedStore, split_stored_key};
use crate::wounds::{Wound, Wounds};
use std::path::{Path, PathBuf};

const PAGE: PageLimits = PageLimits { entries_max: RELAYOUT_PAGE_ENTRIES, bytes_max: RELAYOUT_PAGE_BYTES };

/// A shard of the new layout.
pub(super) struct Target {
    path: PathBuf,
    options: OpenOptions,
    sorted: Box<dyn SortedStore>,
    manifest: Manifest,
    hlc_bound: u64,
    /// Numbers up to this one are for objects that wounds hide; all others get later ones.
    doubtful: u64,
    doubtful_given: u64,
    last: u64,
    unflushed: u64,
    wounds: Wounds,
}

/// A shard that is complete.
#[derive(Debug)]
pub(super) struct TargetOutcome {
    /// As it was read back.
    pub(super) found: Tally,
    pub(super) wounds: usize,
}

impl Target {
    /// A fresh shard in `path`. `doubtful`: at most so many objects come that wounds hide.
    pub(super) fn create(
        path: PathBuf,
        options: OpenOptions,
        hlc_bound: u64,
        doubtful: u64,
    ) -> Result<Target, RelayoutError> {
        let opened = open_shard(&path, &options).map_err(RelayoutError::target(options.shard))?;
        let OpenShard { recovered, sorted, .. } = opened;
        let (manifest, wounds) = (recovered.manifest, Wounds::default());
        let (doubtful_given, last, unflushed) = (0, doubtful, 0);
        Ok(Target { path, options, sorted, manifest, hlc_bound, doubtful, doubtful_given, last, unflushed, wounds })
    }

    /// Takes everything that comes, makes it durable and reads it back. On an error the whole move stops.
    pub(super) fn fill(
        self,
        inbox: flume::Receiver<Parcel>,
        watch: &Watch<'_>,
    ) -> Result<TargetOutcome, RelayoutError> {
        let filled = self.fill_all(&inbox, watch);
        if filled.is_err() {
            watch.stop();
        }
        filled
    }

    fn fill_all(mut self, inbox: &flume::Receiver<Parcel>, watch: &Watch<'_>) -> Result<TargetOutcome, RelayoutError> {
        let failed = RelayoutError::target(self.options.shard);
        while let Ok(parcel) = inbox.recv() {
            match parcel {
                Parcel::Objects(objects) => self.store(&objects).map_err(&failed)?,
                // What is hidden has the numbers up to this one.
                Parcel::Wound(wound) => self.wounds.add(Wound { upto: Lsn(self.doubtful), ..wound }),
            }
        }
        // Nothing more comes: because it is all, or because a source has failed.
        if watch.is_stopped() {
            return Err(RelayoutError::Interrupted);
        }
        let (path, options, wounds) = (self.path.clone(), self.options, self.wounds.len());
        self.close().map_err(&failed)?;
        Ok(TargetOutcome { found: read_back(&path, &options, watch)?, wounds })
    }

    fn store(&mut self, objects: &[Moved]) -> Result<(), StorageError> {
        let entries: Vec<SortedEntry<'_>> = objects
            .iter()
            .map(|moved| {
                let Moved { token, routed, object, is_doubtful } = moved;
                self.unflushed += (routed.len() + object.len()) as u64;
                let number = if *is_doubtful { &mut self.doubtful_given } else { &mut self.last };
                *number += 1;
                SortedEntry { token: *token, routed, object, lsn: Lsn(*number) }
            })
            .collect();
        assert!(self.doubtful_given <= self.doubtful, "each doubtful object was written by a record below the bound");
        self.sorted.apply(&entries)?;
        if self.unflushed >= RELAYOUT_FLUSH_BYTES {
            // It is of no use before its end, so it does not claim to go anywhere.
            self.sorted.flush_durable(Lsn(0))?;
            self.unflushed = 0;
        }
        Ok(())
    }

    /// Makes the shard one that can be opened: store, wounds, manifest.
    fn close(mut self) -> Result<(), StorageError> {
        let upto = Lsn(self.last);
        self.sorted.flush_durable(upto)?;
        drop(self.sorted);
        let disk = StdDisk::open(&self.path).map_err(StorageError::io("open", &self.path.display().to_string()))?;
        let is_wounded = !self.wounds.is_empty();
        if is_wounded {
            run_ready(self.wounds.write(&disk, 1))?;
        }
        let mut manifest = Manifest { upto, end: upto, hlc_bound: self.hlc_bound, is_wounded, ..self.manifest };
        run_ready(manifest.write(&disk))
    }
}

/// Opens a shard as a node would, and counts what it holds.
fn read_back(path: &Path, options: &OpenOptions, watch: &Watch<'_>) -> Result<Tally, RelayoutError> {
    let failed = RelayoutError::target(options.shard);
    let OpenShard { sorted, .. } = open_shard(path, options).map_err(&failed)?;
    let (mut tally, mut from) = (Tally::default(), Some(Vec::new()));
    while let Some(start) = from.take() {
        let page = sorted.scan(&start, u128::MAX, PAGE).map_err(StorageError::Sorted).map_err(&failed)?;
        page.entries.iter().for_each(|entry| tally.add(entry.token, &entry.routed, &entry.object));
        from = page.next;
        let token = from.as_deref().and_then(split_stored_key).map(|(token, _)| token);
        watch.compared(options.shard, token)?;
    }
    Ok(tally)
}
