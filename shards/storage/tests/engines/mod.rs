//! Stores of every engine for the tests, and what they share.
#![expect(dead_code, reason = "each test file uses its own part")]

use bytes::Bytes;
use rondo_storage::sorted_store::{LsmConfig, ScanEntry, SledConfig};
use rondo_storage::{
    Engine, LsmStore, Lsn, PageLimits, SledStore, SortedEntry, SortedStore, SortedStoreError, StoreConfig, open_store,
    store_dir,
};
use std::path::PathBuf;
use tempfile::TempDir;

/// Small, so that most reads of a test go to the files.
pub const CACHE_BYTES: u64 = 1 << 20;

/// A directory with the store of one engine in it.
pub struct Home {
    pub engine: Engine,
    pub dir: TempDir,
}

impl Home {
    pub fn new(engine: Engine) -> Home {
        Home { engine, dir: TempDir::new().expect("a directory") }
    }

    /// Where the store lies.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(store_dir(self.engine, 1))
    }

    pub fn try_open(&self) -> Result<Box<dyn SortedStore>, SortedStoreError> {
        open_store(self.dir.path(), 1, &StoreConfig { engine: self.engine, cache_bytes: CACHE_BYTES })
    }

    pub fn open(&self) -> Box<dyn SortedStore> {
        self.try_open().expect("opened")
    }

    pub fn open_sled(&self) -> SledStore {
        SledStore::open(&SledConfig { path: self.path(), cache_bytes: CACHE_BYTES }).expect("opened")
    }

    pub fn open_lsm(&self) -> LsmStore {
        LsmStore::open(&LsmConfig { path: self.path(), cache_bytes: CACHE_BYTES }).expect("opened")
    }
}

pub fn put(store: &mut dyn SortedStore, lsn: u64, token: u128, routed: &str, object: &[u8]) {
    let object = Bytes::copy_from_slice(object);
    let entry = SortedEntry { token, routed: routed.as_bytes(), object: &object, lsn: Lsn(lsn) };
    store.apply(&[entry]).expect("applied");
}

pub fn get(store: &dyn SortedStore, token: u128, routed: &str) -> Option<Vec<u8>> {
    store.get(token, routed.as_bytes()).expect("readable").map(|stored| stored.object.to_vec())
}

/// Bytes that no compression makes small, and that tell `seed`.
pub fn large(seed: u8, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Everything in it, page by page; nothing may be unreadable.
pub fn all_entries(store: &dyn SortedStore) -> Vec<ScanEntry> {
    let (mut from, mut entries) = (Vec::new(), Vec::new());
    loop {
        let limits = PageLimits { entries_max: 100, bytes_max: 1 << 20 };
        let page = store.scan(&from, u128::MAX, limits).expect("scanned");
        assert!(page.unreadable.is_empty() && page.gaps.is_empty(), "{:?} {:?}", page.unreadable, page.gaps);
        entries.extend(page.entries);
        let Some(next) = page.next else { return entries };
        from = next;
    }
}
