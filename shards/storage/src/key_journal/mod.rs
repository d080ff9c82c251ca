//! Which keys a store has, beside the store: so that a start need not walk through all of it to fill the filter, and so
//! that a store that is lost leaves behind the exact list of what is lost with it.
//!
//! Think of the list of titles that hangs at the door of a library: it is longer by a line for every new book, and it is
//! at the door, not among the books, when the water comes.
//!
//! ```text
//! a key's first version is applied ──► push ──► pages ──► seal: sync ──► the store notes how far the list goes ──► flush
//! ```
//! The order is the whole point: **whatever the store's note covers is listed**. What the store has beyond its note comes
//! again from the log, and is listed then. So a list may name keys that the store lacks, never the other way round.

mod census;
pub(crate) mod page;

pub use census::KeyCensus;
pub(crate) use census::check_pages;

use crate::filter::KeyFilter;
use crate::limits::PAGE_BYTES;
use crate::record::Lsn;
use page::{KeyPage, PAGE_TOKENS};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pages that may be wasted before a journal is written anew: a megabyte.
const WASTED_PAGES_MAX: u64 = 256;

/// How far a journal goes, as its store notes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Promise {
    /// Which journal.
    pub(crate) id: u64,
    /// Pages that are durable; what follows them means nothing.
    pub(crate) pages: u64,
}

/// The journal of one store, being written.
#[derive(Debug)]
pub(crate) struct KeyJournal {
    file: Arc<File>,
    /// The page that gathers.
    page: KeyPage,
    /// Keys on the pages before it.
    tokens: u64,
}

/// Where the journal of the store in `store` lies: `keys-0001` beside `sled-0001`.
pub(crate) fn journal_path(store: &Path) -> PathBuf {
    let name = store.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let generation = name.rsplit_once('-').map_or(name.as_str(), |(_, generation)| generation);
    store.with_file_name(format!("keys-{generation}"))
}

impl KeyJournal {
    /// Begins an empty journal, in place of what may lie at `path`. Its name is not durable yet: sync the directory.
    pub(crate) fn create(path: &Path, id: u64) -> io::Result<KeyJournal> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(KeyJournal { file: Arc::new(file), page: KeyPage { id, ..KeyPage::default() }, tokens: 0 })
    }

    /// Goes on with the journal that was promised, behind its last page. Reads all of it; why not, if it does not hold
    /// what was promised.
    pub(crate) fn open(path: &Path, promise: Promise) -> io::Result<Result<KeyJournal, String>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err("it is missing".to_owned())),
            opened => opened?,
        };
        let mut tokens = 0;
        for number in 0..promise.pages {
            match read_page(&file, promise.id, number)? {
                Ok(page) => tokens += page.tokens.len() as u64,
                Err(what) => return Ok(Err(format!("page {number} of {}: {what}", promise.pages))),
            }
        }
        // Written for a checkpoint that did not finish, if at all.
        file.set_len(promise.pages * PAGE_BYTES as u64)?;
        let page = KeyPage { id: promise.id, number: promise.pages, ..KeyPage::default() };
        Ok(Ok(KeyJournal { file: Arc::new(file), page, tokens }))
    }

    /// Lists a key.
    pub(crate) fn push(&mut self, token: u128, lsn: Lsn) -> io::Result<()> {
        if self.page.tokens.len() == PAGE_TOKENS {
            self.write_page()?;
        }
        self.page.tokens.push(token);
        self.page.lsn_max = self.page.lsn_max.max(lsn);
        Ok(())
    }

    /// Writes what gathers. What was pushed is durable once the file that comes back was synced (on any thread, before the
    /// next push), and then this is what may be promised.
    pub(crate) fn seal(&mut self) -> io::Result<(Arc<File>, Promise)> {
        if !self.page.tokens.is_empty() {
            self.write_page()?;
        }
        Ok((Arc::clone(&self.file), Promise { id: self.page.id, pages: self.page.number }))
    }

    /// Are most of its pages nearly empty? Each checkpoint begins a new one, and may bring but a few keys.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.page.number > WASTED_PAGES_MAX + 2 * self.tokens.div_ceil(PAGE_TOKENS as u64)
    }

    /// Writes all that is listed anew, with full pages, as the journal `id` in place of the one at `path`. The store has to
    /// note it: until then there is none, as far as the store knows.
    pub(crate) fn repack(&self, path: &Path, id: u64) -> io::Result<KeyJournal> {
        let new = path.with_extension("new");
        let mut packed = KeyJournal::create(&new, id)?;
        for number in 0..self.page.number {
            let page = read_page(&self.file, self.page.id, number)?.map_err(io::Error::other)?;
            page.tokens.iter().try_for_each(|&token| packed.push(token, page.lsn_max))?;
        }
        packed.seal()?.0.sync_data()?;
        std::fs::rename(&new, path)?;
        Ok(packed)
    }

    /// Tells `filter` all keys that are listed.
    pub(crate) fn fill(&self, filter: &mut KeyFilter) -> io::Result<()> {
        let mut counts: Vec<u32> = vec![0; filter.vnodes()];
        self.for_each(|token| counts[filter.vnode_of(token)] += 1)?;
        for (vnode, &count) in counts.iter().enumerate() {
            filter.expect_keys(vnode, count.into());
        }
        self.for_each(|token| filter.insert(token))
    }

    /// Bytes of its file.
    pub(crate) fn bytes(&self) -> u64 {
        self.page.number * PAGE_BYTES as u64
    }

    /// Keys listed, twice listed ones twice.
    fn for_each(&self, mut take: impl FnMut(u128)) -> io::Result<()> {
        for number in 0..self.page.number {
            let page = read_page(&self.file, self.page.id, number)?.map_err(io::Error::other)?;
            page.tokens.into_iter().for_each(&mut take);
        }
        self.page.tokens.iter().copied().for_each(take);
        Ok(())
    }

    /// A page that could not be written stays, to be tried again.
    fn write_page(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.page.encode(), self.page.number * PAGE_BYTES as u64)?;
        self.page.number += 1;
        self.tokens += self.page.tokens.len() as u64;
        self.page.tokens.clear();
        self.page.lsn_max = Lsn(0);
        Ok(())
    }
}

/// The page of that number of the journal `id`; what is wrong with it otherwise.
fn read_page(file: &File, id: u64, number: u64) -> io::Result<Result<KeyPage, String>> {
    let mut bytes = [0; PAGE_BYTES];
    match file.read_exact_at(&mut bytes, number * PAGE_BYTES as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Ok(Err("the file ends before".to_owned()));
        }
        read => read?,
    }
    Ok(KeyPage::decode(&bytes).and_then(|page| match page {
        page if page.id != id => Err(format!("of another journal, {:016x} and not {id:016x}", page.id)),
        page if page.number != number => Err(format!("it is page {}", page.number)),
        page => Ok(page),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(key: u64) -> u128 {
        u128::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    fn written(path: &Path, keys: u64) -> Promise {
        let mut journal = KeyJournal::create(path, 77).expect("created");
        (0..keys).for_each(|key| journal.push(token(key), Lsn(key)).expect("pushed"));
        journal.seal().expect("sealed").1
    }

    fn keys_in(journal: &KeyJournal) -> Vec<u128> {
        let mut keys = Vec::new();
        journal.for_each(|token| keys.push(token)).expect("read");
        keys
    }

    #[test]
    fn what_was_promised_is_there_and_what_follows_it_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys-0001");
        let promise = written(&path, 1_000);
        let mut journal = KeyJournal::open(&path, promise).expect("read").expect("whole");
        (2_000..2_600).for_each(|key| journal.push(token(key), Lsn(key)).expect("pushed"));
        drop(journal);
        let journal = KeyJournal::open(&path, promise).expect("read").expect("whole");
        assert_eq!(keys_in(&journal), (0..1_000).map(token).collect::<Vec<_>>());
        let mut filter = KeyFilter::new(3, 1 << 20);
        journal.fill(&mut filter).expect("filled");
        assert!((0..1_000).all(|key| filter.contains(token(key))) && !filter.contains(token(2_000)));
    }

    #[test]
    fn a_journal_that_is_not_what_was_promised_is_refused_with_the_page() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys-0001");
        let promise = written(&path, 1_000);
        let whole = std::fs::read(&path).expect("read");
        let check = |bytes: Vec<u8>, promise: Promise, expected: &str| {
            std::fs::write(&path, bytes).expect("written");
            let why = KeyJournal::open(&path, promise).expect("read").expect_err("refused");
            assert!(why.contains(expected), "{why}");
        };
        check(whole[..whole.len() - 1].to_vec(), promise, "page 3 of 4: the file ends");
        check(whole.clone(), Promise { id: 78, ..promise }, "of another journal");
        for place in [0, 8, 30, 40, 100, 4095, 4096 * 2 + 17] {
            let mut flipped = whole.clone();
            flipped[place] ^= 1;
            check(flipped, promise, &format!("page {} of 4: checksum", place / PAGE_BYTES));
        }
        let mut swapped = whole.clone();
        swapped.copy_within(4096..8192, 0);
        check(swapped, promise, "page 0 of 4: it is page 1");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(KeyJournal::open(&path, promise).expect("read").expect_err("refused"), "it is missing");
    }
}
