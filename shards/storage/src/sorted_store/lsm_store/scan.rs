//! Scans over the tree.
//!
//! A merge of tables that meets a damaged block says so early and forgets the keys that it had in hand, and going on
//! after that would bring up older versions. So a walk ends there, and [`super::super::gaps`] finds the way around.

use super::{LsmStore, NEWEST, read_failed};
use crate::sorted_store::filling::{EntryPage, KeysPage, Offered};
use crate::sorted_store::gaps::{Walk, Walked, tour};
use crate::sorted_store::{KeyPage, PageLimits, ScanPage, SortedStoreError, guard};
use core::cell::RefCell;
use lsm_tree::{AbstractTree, AnyTree, Guard, IterGuardImpl, Table, UserKey};
use std::collections::BTreeSet;
use std::path::Path;

/// Keys of one table that a merge may hold when it stops: the one it was about to show, and the one it compared it with.
const KEYS_OF_A_TABLE: usize = 2;
/// Keys of all tables that lie between these two; if there are more, they count as part of the gap.
const KEYS_IN_HAND_MAX: usize = 1000;

/// Where the walk takes what it meets.
trait Taker {
    fn take(&mut self, path: &Path, found: IterGuardImpl) -> Result<(UserKey, Offered), SortedStoreError>;
    /// Takes a key that is known to be there.
    fn take_key(&mut self, path: &Path, tree: &AnyTree, key: &[u8]) -> Offered;
    fn fail(&mut self, failure: SortedStoreError);
}

impl Taker for EntryPage {
    fn take(&mut self, path: &Path, found: IterGuardImpl) -> Result<(UserKey, Offered), SortedStoreError> {
        // A blob that cannot be read does not tell its key afterwards.
        let seen = RefCell::new(None);
        let value = found.into_inner_if(|key| {
            *seen.borrow_mut() = Some(key.clone());
            true
        });
        let Some(key) = seen.into_inner() else {
            return Err(value.err().map_or_else(nothing, |error| read_failed(path, &error)));
        };
        let offered = self.offer(&key, || {
            let (_, value) = value.map_err(|error| read_failed(path, &error))?;
            LsmStore::read(&key, value.ok_or_else(nothing)?.into())
        });
        Ok((key, offered))
    }

    fn take_key(&mut self, path: &Path, tree: &AnyTree, key: &[u8]) -> Offered {
        self.offer(key, || {
            let value = guard::reading(|| tree.get(key, NEWEST).map_err(|error| read_failed(path, &error)))?;
            LsmStore::read(key, value.ok_or_else(nothing)?.into())
        })
    }

    fn fail(&mut self, failure: SortedStoreError) {
        EntryPage::fail(self, failure);
    }
}

fn nothing() -> SortedStoreError {
    SortedStoreError::Unreadable { what: "a key without a value".to_owned() }
}

impl Taker for KeysPage {
    fn take(&mut self, path: &Path, found: IterGuardImpl) -> Result<(UserKey, Offered), SortedStoreError> {
        let key = found.key().map_err(|error| read_failed(path, &error))?;
        let offered = self.offer(&key);
        Ok((key, offered))
    }

    fn take_key(&mut self, _path: &Path, _tree: &AnyTree, key: &[u8]) -> Offered {
        self.offer(key)
    }

    fn fail(&mut self, failure: SortedStoreError) {
        KeysPage::fail(self, failure);
    }
}

/// A walk that fills `page`.
struct TreeWalk<'a, T> {
    path: &'a Path,
    tree: &'a AnyTree,
    page: T,
}

impl<T: Taker> TreeWalk<'_, T> {
    fn range(&self, from: &[u8]) -> impl Iterator<Item = IterGuardImpl> + use<T> {
        self.tree.range(from.., NEWEST, None)
    }

    fn walk_on(&mut self, at: &mut Vec<u8>) -> Result<Walked, SortedStoreError> {
        for found in self.range(&at.clone()) {
            let (key, offered) = self.page.take(self.path, found)?;
            match offered {
                Offered::Full => return Ok(Walked::Full(key.to_vec())),
                // Too short for a stored key: the store's own note.
                Offered::Past if key.len() < 16 => {}
                Offered::Past => return Ok(Walked::End),
                Offered::Taken => {}
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
        let first = guard::reading(|| match self.range(at).next() {
            Some(found) => found.key().map(|_| ()).map_err(|error| read_failed(self.path, &error)),
            None => Ok(()),
        });
        first.is_ok()
    }

    fn take_from_hand(&mut self, stuck: &[u8]) -> Option<Walked> {
        let keys = guard::reading(|| Ok(keys_in_hand(self.tree, stuck))).ok()?;
        let last = keys.last()?.clone();
        for key in keys {
            match self.page.take_key(self.path, self.tree, &key) {
                Offered::Taken => {}
                Offered::Past if key.len() < 16 => {}
                Offered::Past => return Some(Walked::End),
                Offered::Full => return Some(Walked::Full(key)),
            }
        }
        Some(Walked::Stuck { at: [&last[..], &[0]].concat(), what: String::new() })
    }
}

/// The keys from `stuck` on that stand before the nearest damaged block, in order. None if there are unflushed ones, which
/// cannot be told from here, or more than a merge can hold.
fn keys_in_hand(tree: &AnyTree, stuck: &[u8]) -> BTreeSet<Vec<u8>> {
    if !tree.active_memtable().is_empty() || tree.sealed_memtable_count() > 0 {
        return BTreeSet::new();
    }
    let version = tree.current_version();
    let Some(last) = version.iter_tables().filter_map(|table| last_before_damage(table, stuck)).min() else {
        return BTreeSet::new();
    };
    let mut keys = BTreeSet::new();
    for table in version.iter_tables() {
        for item in table.range(UserKey::from(stuck)..) {
            match item {
                Ok(item) if *item.key.user_key <= *last => keys.insert(item.key.user_key.to_vec()),
                Ok(_) => break,
                Err(_) if keys.contains(&last[..]) => break,
                Err(_) => return BTreeSet::new(),
            };
            if keys.len() > KEYS_IN_HAND_MAX {
                return BTreeSet::new();
            }
        }
    }
    keys
}

/// The table whose next block is damaged has just one or two keys left before it.
fn last_before_damage(table: &Table, stuck: &[u8]) -> Option<UserKey> {
    let mut last = None;
    for item in table.range(UserKey::from(stuck)..).take(KEYS_OF_A_TABLE + 1) {
        match item {
            Ok(item) => last = Some(item.key.user_key),
            Err(_) => return last,
        }
    }
    None
}

pub(super) fn entries(
    path: &Path,
    tree: &AnyTree,
    from: &[u8],
    token_last: u128,
    limits: PageLimits,
) -> Result<ScanPage, SortedStoreError> {
    let mut walk = TreeWalk { path, tree, page: EntryPage::new(token_last, limits) };
    let tour = tour(from, token_last, &mut walk);
    walk.page.finish(tour)
}

pub(super) fn keys(
    path: &Path,
    tree: &AnyTree,
    from: &[u8],
    token_last: u128,
    keys_max: usize,
) -> Result<KeyPage, SortedStoreError> {
    let mut walk = TreeWalk { path, tree, page: KeysPage::new(token_last, keys_max) };
    let tour = tour(from, token_last, &mut walk);
    walk.page.finish(tour)
}
