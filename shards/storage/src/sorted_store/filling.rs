//! Pages that fill up while an engine is walked.

use super::gaps::Tour;
use super::{KeyPage, PageLimits, ScanEntry, ScanPage, SortedStoreError, Stored, split_stored_key};
use bytes::Bytes;

/// What came of offering a key to a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    /// It is in; more may follow.
    Taken,
    /// It has no room: the next page begins with it.
    Full,
    /// It lies behind the range.
    Past,
}

/// A page of entries that fills up.
pub(super) struct EntryPage {
    page: ScanPage,
    bytes: usize,
    limits: PageLimits,
    token_last: u128,
    failure: Option<SortedStoreError>,
}

impl EntryPage {
    pub(super) fn new(token_last: u128, limits: PageLimits) -> EntryPage {
        EntryPage { page: ScanPage::default(), bytes: 0, limits, token_last, failure: None }
    }

    /// Offers a stored key, with the way to its object. If the store as a whole fails meanwhile, nothing more is taken.
    pub(super) fn offer(&mut self, key: &[u8], read: impl FnOnce() -> Result<Stored, SortedStoreError>) -> Offered {
        let Some((token, routed)) = split_stored_key(key).filter(|(token, _)| *token <= self.token_last) else {
            return Offered::Past;
        };
        let is_full = self.page.entries.len() + self.page.unreadable.len() == self.limits.entries_max;
        if is_full || self.bytes >= self.limits.bytes_max {
            return Offered::Full;
        }
        match read() {
            Ok(Stored { object, lsn }) => {
                self.bytes += routed.len() + object.len();
                let routed = Bytes::copy_from_slice(routed);
                self.page.entries.push(ScanEntry { token, routed, object, lsn });
            }
            Err(SortedStoreError::Unreadable { .. }) => self.page.unreadable.push(key.to_vec()),
            Err(failure @ SortedStoreError::Failed { .. }) => self.fail(failure),
        }
        if self.failure.is_some() { Offered::Past } else { Offered::Taken }
    }

    /// The store failed: the page is not to be used.
    pub(super) fn fail(&mut self, failure: SortedStoreError) {
        self.failure = Some(failure);
    }

    /// The page, with what the tour that filled it met.
    pub(super) fn finish(mut self, tour: Tour) -> Result<ScanPage, SortedStoreError> {
        (self.page.gaps, self.page.next) = (tour.gaps, tour.next);
        self.failure.map_or(Ok(self.page), Err)
    }
}

/// A page of keys that fills up.
pub(super) struct KeysPage {
    page: KeyPage,
    keys_max: usize,
    token_last: u128,
    failure: Option<SortedStoreError>,
}

impl KeysPage {
    pub(super) fn new(token_last: u128, keys_max: usize) -> KeysPage {
        KeysPage { page: KeyPage::default(), keys_max, token_last, failure: None }
    }

    /// Offers a stored key.
    pub(super) fn offer(&mut self, key: &[u8]) -> Offered {
        if split_stored_key(key).is_none_or(|(token, _)| token > self.token_last) {
            return Offered::Past;
        }
        if self.page.keys.len() == self.keys_max {
            return Offered::Full;
        }
        self.page.keys.push(key.to_vec());
        Offered::Taken
    }

    /// The store failed: the page is not to be used.
    pub(super) fn fail(&mut self, failure: SortedStoreError) {
        self.failure = Some(failure);
    }

    /// The page, with what the tour that filled it met.
    pub(super) fn finish(mut self, tour: Tour) -> Result<KeyPage, SortedStoreError> {
        (self.page.gaps, self.page.next) = (tour.gaps, tour.next);
        self.failure.map_or(Ok(self.page), Err)
    }
}
