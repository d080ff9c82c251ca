//! The keys of a store that cannot be opened, as its journal lists them.

use super::page::KeyPage;
use crate::limits::PAGE_BYTES;
use crate::record::Lsn;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Looks at every page but the last, which may be being written: how many there are, and which are damaged. `None` if the
/// store in `store` has no journal.
pub(crate) fn check_pages(store: &Path) -> io::Result<Option<(u64, Vec<u64>)>> {
    let file = match File::open(super::journal_path(store)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let pages = (file.metadata()?.len() / PAGE_BYTES as u64).saturating_sub(1);
    let mut bad = Vec::new();
    for number in 0..pages {
        let mut bytes = [0; PAGE_BYTES];
        file.read_exact_at(&mut bytes, number * PAGE_BYTES as u64)?;
        if KeyPage::decode(&bytes).map_or(true, |page| page.number != number) {
            bad.push(number);
        }
    }
    Ok(Some((pages, bad)))
}

/// Which keys a store had.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyCensus {
    /// Sorted, each once: 16 bytes of memory a key.
    tokens: Vec<u128>,
    /// False: pages of the list are damaged, so that there were at least these keys.
    is_exact: bool,
}

impl KeyCensus {
    /// Reads the journal of the store in `store` (as [`crate::store_dir`] names it), which need not exist any more. Only keys
    /// that came with records up to `upto` count: the log brings the others. `None` if there is no journal.
    ///
    /// Where a page is damaged the census goes on behind it, and is not exact.
    pub fn read(store: &Path, upto: Lsn) -> io::Result<Option<KeyCensus>> {
        let file = match File::open(super::journal_path(store)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut census = KeyCensus { tokens: Vec::new(), is_exact: true };
        let mut id = None;
        for number in 0..file.metadata()?.len().div_ceil(PAGE_BYTES as u64) {
            let mut bytes = [0; PAGE_BYTES];
            let is_whole = file.read_exact_at(&mut bytes, number * PAGE_BYTES as u64).is_ok();
            let page = KeyPage::decode(&bytes)
                .ok()
                .filter(|page| is_whole && page.number == number && *id.get_or_insert(page.id) == page.id);
            match page {
                Some(page) if page.lsn_max <= upto => census.tokens.extend(page.tokens),
                Some(_) => {}
                None => census.is_exact = false,
            }
        }
        census.tokens.sort_unstable();
        census.tokens.dedup();
        Ok(Some(census))
    }

    /// A census of these keys.
    #[cfg(test)]
    pub(crate) fn new(tokens: Vec<u128>, is_exact: bool) -> KeyCensus {
        KeyCensus { tokens, is_exact }
    }

    /// Keys between two tokens, both included.
    pub fn keys_between(&self, from: u128, to: u128) -> u64 {
        let begin = self.tokens.partition_point(|&token| token < from);
        let end = self.tokens.partition_point(|&token| token <= to);
        end.saturating_sub(begin) as u64
    }

    /// Is no page of the list damaged?
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// All of them, in ring order.
    pub fn tokens(&self) -> &[u128] {
        &self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyJournal;
    use super::*;

    #[test]
    fn a_census_counts_each_key_once_and_says_when_a_page_is_missing() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = dir.path().join("sled-0007");
        assert_eq!(KeyCensus::read(&store, Lsn(9)).expect("read"), None);
        let path = dir.path().join("keys-0007");
        let mut journal = KeyJournal::create(&path, 5).expect("created");
        (0..500u128).chain(0..20).for_each(|key| journal.push(key << 100, Lsn(key as u64)).expect("pushed"));
        journal.seal().expect("sealed");
        journal.push(1_000 << 100, Lsn(1_000)).expect("pushed");
        journal.seal().expect("sealed");
        let census = || KeyCensus::read(&store, Lsn(999)).expect("read").expect("there");
        assert_eq!((census().tokens().len(), census().is_exact()), (500, true));
        assert_eq!(census().keys_between(10 << 100, 19 << 100), 10);
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[PAGE_BYTES + 99] ^= 4;
        std::fs::write(&path, bytes).expect("written");
        assert_eq!((census().tokens().len(), census().is_exact()), (253, false));
    }
}
