//! Scans over a sled store.
//!
//! A damaged page hides all keys on it; sled says so, or panics, for each of them. [`super::gaps`] finds the way around.

use super::filling::{EntryPage, KeysPage, Offered};
use super::gaps::{Walk, Walked, tour};
use super::{KeyPage, PageLimits, ScanPage, SledStore, SortedStoreError, guard};

/// A walk over the tree `objects` that fills `page`.
struct TreeWalk<'a, T> {
    store: &'a SledStore,
    page: T,
}

/// Where the walk takes what it meets.
trait Taker {
    fn take(&mut self, store: &SledStore, key: &[u8], stored: &[u8]) -> Offered;
    fn fail(&mut self, failure: SortedStoreError);
}

impl Taker for EntryPage {
    fn take(&mut self, store: &SledStore, key: &[u8], stored: &[u8]) -> Offered {
        self.offer(key, || store.read(key, stored))
    }
    fn fail(&mut self, failure: SortedStoreError) {
        EntryPage::fail(self, failure);
    }
}

impl Taker for KeysPage {
    fn take(&mut self, _store: &SledStore, key: &[u8], _stored: &[u8]) -> Offered {
        self.offer(key)
    }
    fn fail(&mut self, failure: SortedStoreError) {
        KeysPage::fail(self, failure);
    }
}

impl<T: Taker> TreeWalk<'_, T> {
    fn walk_on(&mut self, at: &mut Vec<u8>) -> Result<Walked, SortedStoreError> {
        for entry in self.store.objects.range(&at[..]..) {
            let (key, stored) = entry.map_err(|error| self.store.read_failed(&error))?;
            match self.page.take(self.store, &key, &stored) {
                Offered::Taken => {}
                Offered::Full => return Ok(Walked::Full(key.to_vec())),
                Offered::Past => return Ok(Walked::End),
            }
            at.clear();
            at.extend_from_slice(&key);
            at.push(0);
        }
        Ok(Walked::End)
    }
}

impl<T: Taker> Walk for TreeWalk<'_, T> {
    fn walk(&mut self, from: &[u8]) -> Walked {
        let mut at = from.to_vec();
        match guard::reading(|| self.walk_on(&mut at)) {
            Ok(walked) => walked,
            Err(SortedStoreError::Unreadable { what }) => Walked::Stuck { at, what },
            Err(failure @ SortedStoreError::Failed { .. }) => {
                self.page.fail(failure);
                Walked::End
            }
        }
    }

    fn is_readable(&mut self, at: &[u8]) -> bool {
        let first = guard::reading(|| match self.store.objects.range(at..).next() {
            Some(found) => found.map(|_| ()).map_err(|error| self.store.read_failed(&error)),
            None => Ok(()),
        });
        first.is_ok()
    }
}

pub(super) fn entries(
    store: &SledStore,
    from: &[u8],
    token_last: u128,
    limits: PageLimits,
) -> Result<ScanPage, SortedStoreError> {
    let mut walk = TreeWalk { store, page: EntryPage::new(token_last, limits) };
    let tour = tour(from, token_last, &mut walk);
    walk.page.finish(tour)
}

pub(super) fn keys(
    store: &SledStore,
    from: &[u8],
    token_last: u128,
    keys_max: usize,
) -> Result<KeyPage, SortedStoreError> {
    let mut walk = TreeWalk { store, page: KeysPage::new(token_last, keys_max) };
    let tour = tour(from, token_last, &mut walk);
    walk.page.finish(tour)
}
