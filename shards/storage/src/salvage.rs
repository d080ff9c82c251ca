//! What can still be read of a damaged store, carried into a new one.
//!
//! Goes around what cannot be read and says where it was. Nothing of the old store is changed; the caller sets it aside,
//! and turns what is lost into [wounds](crate::wounds).

use crate::record::Lsn;
use crate::sorted_store::{
    PageLimits, ScanEntry, ScanPage, SortedEntry, SortedStore, SortedStoreError, split_stored_key,
};

/// Pages of a salvage: as much as one piece of a checkpoint.
const PAGE: PageLimits = PageLimits { entries_max: 64, bytes_max: 256 * 1024 };
/// The new store is flushed whenever so much was copied, so that it does not gather more than a checkpoint would.
const FLUSH_EVERY_BYTES: u64 = 64 << 20;
/// Ranges that a report names one by one; past it the last one grows to cover what follows.
pub const LOST_RANGES_MAX: usize = 4096;

/// A stretch of the ring on which something was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostRange {
    /// First token.
    pub from: u128,
    /// Last token, inclusive.
    pub to: u128,
    /// Keys lost, if their number is known.
    pub keys: Option<u64>,
    /// What was found there.
    pub what: String,
}

/// How a salvage went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SalvageReport {
    /// Objects copied.
    pub copied: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// What is not among them, in ring order.
    pub lost: Vec<LostRange>,
}

/// Copies everything that `old` still gives into `new`, an empty store, and makes it durable up to `upto`. Bounded memory.
/// `progress` is told the objects copied so far after each page.
///
/// # Errors
/// If `new` fails, or `old` fails as a whole: what `new` holds then is of no use.
pub fn salvage(
    old: &dyn SortedStore,
    new: &mut dyn SortedStore,
    upto: Lsn,
    progress: &mut dyn FnMut(u64),
) -> Result<SalvageReport, SortedStoreError> {
    let mut report = SalvageReport::default();
    let (mut from, mut unflushed) = (Some(Vec::new()), 0);
    while let Some(start) = from.take() {
        let page = old.scan(&start, u128::MAX, PAGE)?;
        let bytes = copy(&page, new)?;
        unflushed += bytes;
        report.copied += page.entries.len() as u64;
        report.bytes += bytes;
        for (token, _) in page.unreadable.iter().filter_map(|key| split_stored_key(key)) {
            report.lose(LostRange { from: token, to: token, keys: Some(1), what: "unreadable".to_owned() });
        }
        if unflushed >= FLUSH_EVERY_BYTES {
            // It is of no use before the end, so it does not claim to go anywhere.
            new.flush_durable(Lsn(0))?;
            unflushed = 0;
        }
        progress(report.copied);
        from = page.next;
    }
    new.flush_durable(upto)?;
    Ok(report)
}

/// The bytes copied.
fn copy(page: &ScanPage, new: &mut dyn SortedStore) -> Result<u64, SortedStoreError> {
    let entries: Vec<SortedEntry<'_>> = page
        .entries
        .iter()
        .map(|ScanEntry { token, routed, object, lsn }| SortedEntry { token: *token, routed, object, lsn: *lsn })
        .collect();
    new.apply(&entries)?;
    Ok(entries.iter().map(|entry| (entry.routed.len() + entry.object.len()) as u64).sum())
}

impl SalvageReport {
    fn lose(&mut self, range: LostRange) {
        let is_full = LOST_RANGES_MAX <= self.lost.len();
        match self.lost.last_mut().filter(|last| last.to == range.from || is_full) {
            Some(last) => {
                last.to = range.to;
                last.keys = last.keys.zip(range.keys).map(|(one, other)| one + other);
            }
            None => self.lost.push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorted_store::MemorySortedStore;
    use bytes::Bytes;

    #[test]
    fn everything_readable_is_carried_over_and_the_rest_is_named() {
        let (mut old, mut new) = (MemorySortedStore::new(), MemorySortedStore::new());
        for key in 0..1_000u128 {
            let object = Bytes::from(vec![key as u8; 10]);
            old.apply(&[SortedEntry { token: key << 64, routed: b"k", object: &object, lsn: Lsn(key as u64) }])
                .expect("a store in memory takes everything");
        }
        assert!(old.damage(17 << 64, b"k") && old.damage(800 << 64, b"k"));
        let mut told = 0;
        let report = salvage(&old, &mut new, Lsn(999), &mut |copied| told = copied).expect("nothing fails");
        assert_eq!((report.copied, told, report.bytes, new.len()), (998, 998, 998 * 11, 998));
        let lost: Vec<_> = report.lost.iter().map(|lost| (lost.from >> 64, lost.to >> 64, lost.keys)).collect();
        assert_eq!(lost, [(17, 17, Some(1)), (800, 800, Some(1))]);
        assert_eq!(new.durable_upto().expect("a store in memory takes everything"), Lsn(999));
        assert_eq!(
            new.get(5 << 64, b"k").expect("a store in memory takes everything").map(|found| found.lsn),
            Some(Lsn(5))
        );
    }
}
