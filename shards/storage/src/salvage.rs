//! What can still be read of a damaged store, carried into a new one.
//!
//! Goes around what cannot be read and says where it was. Both the store and the list of its keys are in ring order, so they
//! are walked side by side: whoever is on the list and does not come is lost, by name. Without a list only the places are
//! known. Nothing of the old store is changed; the caller sets it aside, and turns what is lost into wounds.

use crate::key_journal::KeyCensus;
use crate::record::Lsn;
use crate::sorted_store::{
    KeyGap, PageLimits, ScanEntry, ScanPage, SortedEntry, SortedStore, SortedStoreError, split_stored_key,
};
use crate::wounds::{Wound, WoundCause};

/// Pages of a salvage: as much as one piece of a checkpoint.
const PAGE: PageLimits = PageLimits { entries_max: 64, bytes_max: 256 * 1024 };
/// The new store is flushed whenever so much was copied, so that it does not gather more than a checkpoint would, and reads
/// of the old one do not wait for long.
const FLUSH_EVERY_BYTES: u64 = 16 << 20;
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

impl LostRange {
    /// What it means for the shard, if what is lost was written up to `upto`.
    pub(crate) fn into_wound(self, upto: Lsn, cause: WoundCause, found_at_unix: u64) -> Wound {
        let LostRange { from, to, keys, what } = self;
        Wound { from, to, upto, keys, cause, what, found_at_unix }
    }
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

/// Copies everything that `old` still gives into `new`, an empty store, and makes it durable up to `upto`. `census` is the
/// list of the keys that `old` had ([`KeyCensus::read`]), if there is one. Bounded memory. `progress` is told the objects
/// copied so far after each page.
///
/// A store that lost its end, so that it has older versions of some keys, does not know it: whether it goes up to `upto` is
/// the caller's question.
///
/// # Errors
/// If `new` fails: what it holds then is of no use.
pub fn salvage(
    old: &dyn SortedStore,
    new: &mut dyn SortedStore,
    census: Option<&KeyCensus>,
    upto: Lsn,
    progress: &mut dyn FnMut(u64),
) -> Result<SalvageReport, SortedStoreError> {
    let mut salvage = Salvage::default();
    while salvage.step(old, new, census)? {
        progress(salvage.copied());
    }
    salvage.finish(new, census, upto)
}

/// A salvage in pieces, for whoever has other things to do between them.
#[derive(Debug)]
pub(crate) struct Salvage {
    /// Where to go on; `None` at the end.
    from: Option<Vec<u8>>,
    unflushed: u64,
    /// The first on the list of keys who was not called yet.
    called: usize,
    report: SalvageReport,
}

impl Default for Salvage {
    fn default() -> Salvage {
        Salvage { from: Some(Vec::new()), unflushed: 0, called: 0, report: SalvageReport::default() }
    }
}

impl Salvage {
    /// Copies a page; false when there was none left. `census` is the same each time.
    pub(crate) fn step(
        &mut self,
        old: &dyn SortedStore,
        new: &mut dyn SortedStore,
        census: Option<&KeyCensus>,
    ) -> Result<bool, SortedStoreError> {
        let Some(start) = self.from.take() else { return Ok(false) };
        let page = old.scan(&start, u128::MAX, PAGE).unwrap_or_else(|error| all_from(start, &error));
        let bytes = copy(&page, new)?;
        self.unflushed += bytes;
        self.report.copied += page.entries.len() as u64;
        self.report.bytes += bytes;
        RollCall { census, next: &mut self.called }.page(&page, &mut self.report);
        if self.unflushed >= FLUSH_EVERY_BYTES {
            // It is of no use before the end, so it does not claim to go anywhere.
            new.flush_durable(Lsn(0))?;
            self.unflushed = 0;
        }
        self.from = page.next;
        Ok(true)
    }

    /// Objects copied so far.
    pub(crate) fn copied(&self) -> u64 {
        self.report.copied
    }

    /// Makes the new store durable up to `upto`.
    pub(crate) fn finish(
        mut self,
        new: &mut dyn SortedStore,
        census: Option<&KeyCensus>,
        upto: Lsn,
    ) -> Result<SalvageReport, SortedStoreError> {
        RollCall { census, next: &mut self.called }.end(&mut self.report);
        new.flush_durable(upto)?;
        Ok(self.report)
    }
}

/// What is lost with a store of which nothing can be read: its keys, one range for each of the `2^vnode_bits` vnodes that has
/// any. Without a list it is the whole ring.
pub fn all_lost(census: Option<&KeyCensus>, vnode_bits: u8, what: &str) -> Vec<LostRange> {
    let range = |from, to, keys| LostRange { from, to, keys, what: what.to_owned() };
    let Some(census) = census.filter(|census| census.is_exact()) else { return vec![range(0, u128::MAX, None)] };
    let span = u128::MAX.checked_shr(u32::from(vnode_bits)).unwrap_or(0);
    let mut report = SalvageReport::default();
    let mut rest = census.tokens();
    while let Some(&first) = rest.first() {
        let (from, to) = (first & !span, first | span);
        let keys = rest.partition_point(|&token| token <= to);
        report.lose(range(from, to, Some(keys as u64)));
        rest = &rest[keys..];
    }
    report.lost
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

/// A page that is all gap: the store gives nothing from here on.
fn all_from(from: Vec<u8>, error: &SortedStoreError) -> ScanPage {
    ScanPage { gaps: vec![KeyGap { from, to: None, what: error.to_string() }], ..ScanPage::default() }
}

/// Calls the keys on the list, in ring order.
struct RollCall<'a> {
    census: Option<&'a KeyCensus>,
    /// The first on the list who was not called yet.
    next: &'a mut usize,
}

impl RollCall<'_> {
    fn page(mut self, page: &ScanPage, report: &mut SalvageReport) {
        let unreadable =
            page.unreadable.iter().filter_map(|key| split_stored_key(key)).map(|(token, _)| (token, false));
        let mut present: Vec<(u128, bool)> = page.entries.iter().map(|entry| (entry.token, true)).collect();
        present.extend(unreadable);
        present.sort_unstable();
        for (token, is_readable) in present {
            self.missing_before(Some(token), report);
            let is_listed = self.census.is_some_and(|census| census.tokens().get(*self.next) == Some(&token));
            *self.next += usize::from(is_listed);
            if !is_readable {
                report.lose(LostRange { from: token, to: token, keys: Some(1), what: "it is unreadable".to_owned() });
            }
        }
        if self.census.is_none_or(|census| !census.is_exact()) {
            page.gaps.iter().for_each(|gap| report.lose_gap(gap));
        }
    }

    fn end(mut self, report: &mut SalvageReport) {
        self.missing_before(None, report);
    }

    /// Those on the list before `token` did not come.
    fn missing_before(&mut self, token: Option<u128>, report: &mut SalvageReport) {
        let Some(census) = self.census else { return };
        let rest = &census.tokens()[*self.next..];
        let missing = token.map_or(rest.len(), |token| rest.partition_point(|&listed| listed < token));
        if let (Some(&from), Some(&to)) = (rest.first(), rest[..missing].last()) {
            let keys = census.is_exact().then_some(missing as u64);
            report.lose(LostRange { from, to, keys, what: "listed, but not in the store any more".to_owned() });
        }
        *self.next += missing;
    }
}

impl SalvageReport {
    fn lose_gap(&mut self, gap: &KeyGap) {
        let from = split_stored_key(&gap.from).map_or(0, |(token, _)| token);
        let to = gap.to.as_deref().and_then(split_stored_key).map_or(u128::MAX, |(token, _)| token);
        self.lose(LostRange { from, to: to.max(from), keys: None, what: gap.what.clone() });
    }

    fn lose(&mut self, range: LostRange) {
        let is_full = LOST_RANGES_MAX <= self.lost.len();
        match self.lost.last_mut().filter(|last| range.from <= last.to || is_full) {
            Some(last) => {
                last.to = last.to.max(range.to);
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

    fn store_of(keys: impl Iterator<Item = u64>) -> MemorySortedStore {
        let mut store = MemorySortedStore::new();
        for key in keys {
            let object = Bytes::from(vec![key as u8; 10]);
            let entry = SortedEntry { token: u128::from(key) << 64, routed: b"k", object: &object, lsn: Lsn(key) };
            store.apply(&[entry]).expect("applied");
        }
        store
    }

    fn census_of(keys: impl Iterator<Item = u64>, is_exact: bool) -> KeyCensus {
        KeyCensus::new(keys.map(|key| u128::from(key) << 64).collect(), is_exact)
    }

    fn lost(report: &SalvageReport) -> Vec<(u128, u128, Option<u64>)> {
        report.lost.iter().map(|lost| (lost.from >> 64, lost.to >> 64, lost.keys)).collect()
    }

    #[test]
    fn everything_readable_is_carried_over_and_the_rest_is_named() {
        let (mut old, mut new) = (store_of(0..1_000), MemorySortedStore::new());
        assert!(old.damage(17 << 64, b"k") && old.damage(800 << 64, b"k"));
        let mut told = 0;
        let report = salvage(&old, &mut new, None, Lsn(999), &mut |copied| told = copied).expect("nothing fails");
        assert_eq!((report.copied, told, report.bytes, new.len()), (998, 998, 998 * 11, 998));
        assert_eq!(lost(&report), [(17, 17, Some(1)), (800, 800, Some(1))]);
        assert_eq!(new.durable_upto().expect("noted"), Lsn(999));
        assert_eq!(new.get(5 << 64, b"k").expect("read").map(|found| found.lsn), Some(Lsn(5)));
    }

    #[test]
    fn whoever_is_listed_and_does_not_come_is_lost_by_name() {
        let mut old = store_of((0..1_000).filter(|key| !(100..150).contains(key) && *key != 400 && *key < 990));
        assert!(old.damage(17 << 64, b"k"));
        let census = census_of(0..1_000, true);
        let report = salvage(&old, &mut MemorySortedStore::new(), Some(&census), Lsn(1), &mut |_| ()).expect("copied");
        assert_eq!(lost(&report), [(17, 17, Some(1)), (100, 149, Some(50)), (400, 400, Some(1)), (990, 999, Some(10))]);
        let census = census_of(0..1_000, false);
        let report = salvage(&old, &mut MemorySortedStore::new(), Some(&census), Lsn(1), &mut |_| ()).expect("copied");
        assert_eq!(lost(&report)[1], (100, 149, None), "at least fifty");
    }

    #[test]
    fn of_a_store_that_is_gone_the_keys_of_each_vnode_are_lost() {
        let tokens = [1u128 << 120, 2 << 120, 0x31 << 120, 0x3f << 120, 0xff << 120];
        let census = KeyCensus::new(tokens.to_vec(), true);
        let lost = all_lost(Some(&census), 4, "gone");
        let ranges: Vec<_> = lost.iter().map(|lost| (lost.from >> 120, lost.to >> 120, lost.keys)).collect();
        assert_eq!(ranges, [(0, 0x0f, Some(2)), (0x30, 0x3f, Some(2)), (0xf0, 0xff, Some(1))]);
        assert_eq!(all_lost(Some(&census), 0, "gone").len(), 1);
        let whole = all_lost(None, 4, "gone");
        assert_eq!((whole[0].from, whole[0].to, whole[0].keys), (0, u128::MAX, None));
    }
}
