//! A shard that is read: its store in ring order, then what only its log had.

use super::progress::Watch;
use super::wounded::{Losses, Owners};
use super::{RelayoutError, Tally};
use crate::error::StorageError;
use crate::limits::{RELAYOUT_PAGE_BYTES, RELAYOUT_PAGE_ENTRIES};
use crate::open_shard::{OpenOptions, OpenShard, open_shard};
use crate::record::Lsn;
use crate::shard_store::ShardStore;
use crate::sorted_store::{PageLimits, ScanPage, SortedStore, split_stored_key};
use crate::table::{Entry, FrozenTable};
use crate::wounds::{Wound, Wounds};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

const PAGE: PageLimits = PageLimits { entries_max: RELAYOUT_PAGE_ENTRIES, bytes_max: RELAYOUT_PAGE_BYTES };

/// What goes from a source to a target.
#[derive(Debug)]
pub(super) enum Parcel {
    /// Objects.
    Objects(Vec<Moved>),
    /// A loss.
    Wound(Wound),
}

/// An object on its way.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) token: u128,
    pub(super) routed: Bytes,
    pub(super) object: Bytes,
    /// A wound hides it: something newer may be missing.
    pub(super) is_doubtful: bool,
}

/// Where the parcels of each target go.
pub(super) type Outboxes = Vec<flume::Sender<Parcel>>;

/// A shard of the old layout, opened.
pub(super) struct Source {
    shard: u16,
    sorted: Box<dyn SortedStore>,
    store: ShardStore,
    memory: Memory,
    hlc_bound: u64,
    has_lost: bool,
    unix_seconds: u64,
}

/// What a source has given away.
#[derive(Debug)]
pub(super) struct SourceOutcome {
    /// For each target.
    pub(super) sent: Vec<Tally>,
    pub(super) has_lost: bool,
}

impl Source {
    pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Source, RelayoutError> {
        let opened = open_shard(path, options).map_err(RelayoutError::source(options.shard))?;
        let OpenShard { recovered, sorted, .. } = opened;
        let mut store = recovered.store;
        let memory = Memory::of(store.freeze());
        let (hlc_bound, has_lost) = (recovered.hlc_bound, recovered.report.has_lost());
        let OpenOptions { shard, unix_seconds, .. } = *options;
        Ok(Source { shard, sorted, store, memory, hlc_bound, has_lost, unix_seconds })
    }

    /// No clock time above this was handed out.
    pub(super) fn hlc_bound(&self) -> u64 {
        self.hlc_bound
    }

    /// At most so many objects are hidden by wounds: each was written by a record that the wound covers.
    pub(super) fn doubtful_max(&self) -> u64 {
        self.store.wounds().iter().map(|wound| wound.upto.0).max().unwrap_or(0)
    }

    /// About as many bytes as will be copied.
    pub(super) fn live_bytes(&self) -> u64 {
        let sizes = self.sorted.sizes();
        let stored = if sizes.live_bytes > 0 { sizes.live_bytes } else { sizes.disk_bytes };
        stored + self.memory.bytes()
    }

    /// Sends everything to the targets. On an error the whole move stops.
    pub(super) fn copy(
        self,
        owners: &Owners<'_>,
        outboxes: &Outboxes,
        watch: &Watch<'_>,
    ) -> Result<SourceOutcome, RelayoutError> {
        let copied = self.copy_all(owners, outboxes, watch);
        if copied.is_err() {
            watch.stop();
        }
        copied
    }

    fn copy_all(
        self,
        owners: &Owners<'_>,
        outboxes: &Outboxes,
        watch: &Watch<'_>,
    ) -> Result<SourceOutcome, RelayoutError> {
        let mut sorter = Sorter::new(owners, outboxes, self.store.wounds(), self.shard);
        for wound in self.store.wounds().iter() {
            sorter.wound(wound)?;
        }
        let (mut from, mut losses) = (Some(Vec::new()), Losses::found_at(self.unix_seconds));
        while let Some(start) = from.take() {
            let page = self.sorted.scan(&start, u128::MAX, PAGE);
            let page = page.map_err(StorageError::Sorted).map_err(RelayoutError::source(self.shard))?;
            self.sort_page(&page, &mut sorter, &mut losses);
            let (objects, bytes) = sorter.send()?;
            from = page.next;
            // At its end the store is through, but not yet what the log has.
            let token = from.as_deref().and_then(split_stored_key).map_or(u128::MAX, |(token, _)| token);
            watch.copied(self.shard, Some(token), objects, bytes)?;
        }
        for entry in self.memory.entries() {
            sorter.object(entry.token, Bytes::copy_from_slice(&entry.routed), entry.object.clone(), entry.lsn);
            if sorter.is_full() {
                let (objects, bytes) = sorter.send()?;
                watch.copied(self.shard, Some(u128::MAX), objects, bytes)?;
            }
        }
        let (objects, bytes) = sorter.send()?;
        let lost = losses.into_wounds();
        for wound in lost.iter() {
            sorter.wound(wound)?;
        }
        watch.copied(self.shard, None, objects, bytes)?;
        Ok(SourceOutcome { sent: sorter.sent, has_lost: self.has_lost || !lost.is_empty() })
    }

    /// What the log has newer is not taken from the store, nor missed there.
    fn sort_page(&self, page: &ScanPage, sorter: &mut Sorter<'_>, losses: &mut Losses) {
        for entry in &page.entries {
            if !self.memory.has(entry.token, &entry.routed) {
                sorter.object(entry.token, entry.routed.clone(), entry.object.clone(), entry.lsn);
            }
        }
        let unreadable = page.unreadable.iter().filter_map(|key| split_stored_key(key));
        for (token, _) in unreadable.filter(|(token, routed)| !self.memory.has(*token, routed)) {
            losses.key(token);
        }
        page.gaps.iter().for_each(|gap| losses.gap(gap));
    }
}

/// What only the log had, in ring order.
struct Memory {
    table: Option<Arc<FrozenTable>>,
    order: Vec<u32>,
}

impl Memory {
    fn of(table: Option<Arc<FrozenTable>>) -> Memory {
        let order = table.as_ref().map_or_else(Vec::new, |frozen| frozen.table.sorted());
        Memory { table, order }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let table = self.table.as_deref();
        self.order.iter().filter_map(move |&place| Some(table?.table.entry(place)))
    }

    fn has(&self, token: u128, routed: &[u8]) -> bool {
        let Some(frozen) = &self.table else { return false };
        let found = self.order.binary_search_by(|&place| {
            let entry = frozen.table.entry(place);
            (entry.token, &*entry.routed).cmp(&(token, routed))
        });
        found.is_ok()
    }

    fn bytes(&self) -> u64 {
        self.entries().map(|entry| (entry.routed.len() + entry.object.len()) as u64).sum()
    }
}

/// Sorts the objects of one source by target.
struct Sorter<'a> {
    owners: &'a Owners<'a>,
    outboxes: &'a Outboxes,
    wounds: &'a Wounds,
    shard: u16,
    waiting: Vec<Vec<Moved>>,
    /// Objects and bytes of these.
    gathered: (u64, u64),
    sent: Vec<Tally>,
}

impl<'a> Sorter<'a> {
    fn new(owners: &'a Owners<'a>, outboxes: &'a Outboxes, wounds: &'a Wounds, shard: u16) -> Sorter<'a> {
        let waiting = outboxes.iter().map(|_| Vec::new()).collect();
        let sent = vec![Tally::default(); outboxes.len()];
        Sorter { owners, outboxes, wounds, shard, waiting, gathered: (0, 0), sent }
    }

    fn object(&mut self, token: u128, routed: Bytes, object: Bytes, lsn: Lsn) {
        let target = usize::from(self.owners.target_of(token));
        self.gathered.0 += 1;
        self.gathered.1 += (routed.len() + object.len()) as u64;
        self.sent[target].add(token, &routed, &object);
        let is_doubtful = self.wounds.hides(token, lsn);
        self.waiting[target].push(Moved { token, routed, object, is_doubtful });
    }

    fn is_full(&self) -> bool {
        let (objects, bytes) = self.gathered;
        objects >= PAGE.entries_max as u64 || bytes >= PAGE.bytes_max as u64
    }

    /// Sends what has gathered, and says how many objects and bytes that were.
    fn send(&mut self) -> Result<(u64, u64), RelayoutError> {
        for (outbox, objects) in self.outboxes.iter().zip(&mut self.waiting) {
            if !objects.is_empty() {
                deliver(outbox, Parcel::Objects(core::mem::take(objects)))?;
            }
        }
        Ok(core::mem::take(&mut self.gathered))
    }

    /// Sends a wound to every shard that a part of it goes to.
    fn wound(&mut self, wound: &Wound) -> Result<(), RelayoutError> {
        for (target, wound) in self.owners.split(wound, self.shard) {
            deliver(&self.outboxes[usize::from(target)], Parcel::Wound(wound))?;
        }
        Ok(())
    }
}

/// A target that takes nothing has failed, and says why itself.
fn deliver(outbox: &flume::Sender<Parcel>, parcel: Parcel) -> Result<(), RelayoutError> {
    outbox.send(parcel).map_err(|_| RelayoutError::Interrupted)
}
