//! Which engine, and where it lies.

use super::{LsmConfig, LsmStore, SledConfig, SledStore, SortedStore, SortedStoreError, Suspects};
use core::fmt;
use core::str::FromStr;
use std::fs::{self, File};
use std::path::Path;

/// The engines that a node can keep its objects in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Engine {
    /// sled 0.34: a B-tree over a log of pages.
    #[default]
    Sled,
    /// The `lsm-tree` crate: sorted tables, merged in the background.
    Lsm,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 2] = [Engine::Sled, Engine::Lsm];

    /// Its name, in settings and on disk.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Sled => "sled",
            Engine::Lsm => "lsm",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No engine has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no engine is called {0:?}; choose \"sled\" or \"lsm\"")]
pub struct UnknownEngine(pub String);

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Engine, UnknownEngine> {
        Engine::ALL.into_iter().find(|engine| engine.name() == name).ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// How to open a sorted store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// Which engine.
    pub engine: Engine,
    /// Its cache, in bytes.
    pub cache_bytes: u64,
}

/// The directory of a store inside its shard's: engine and generation. A rewritten store is a new generation.
pub fn store_dir(engine: Engine, generation: u32) -> String {
    format!("{engine}-{generation:04}")
}

/// Opens or creates the store of that generation in the directory of a shard. Blocks, for seconds if the store is large;
/// call it from a thread that is not pinned.
pub fn open_store(
    shard_path: &Path,
    generation: u32,
    config: &StoreConfig,
) -> Result<Box<dyn SortedStore>, SortedStoreError> {
    open_store_without(shard_path, generation, config, &Suspects::default())
}

/// Which of the store's files are not what they were written as, where the engine can tell: they have to be done without
/// before it can go on. Reads all of them; the store may be open.
pub fn find_suspects(shard_path: &Path, generation: u32, config: &StoreConfig) -> Result<Suspects, SortedStoreError> {
    match config.engine {
        Engine::Sled => Ok(Suspects::default()),
        Engine::Lsm => LsmStore::suspects(&shard_path.join(store_dir(config.engine, generation))),
    }
}

/// Opens the store as [`open_store`] does, without what is damaged in its files that are `suspects`: that is in
/// [`SortedStore::losses`] then.
pub fn open_store_without(
    shard_path: &Path,
    generation: u32,
    config: &StoreConfig,
    suspects: &Suspects,
) -> Result<Box<dyn SortedStore>, SortedStoreError> {
    let path = shard_path.join(store_dir(config.engine, generation));
    match config.engine {
        Engine::Sled => {
            let config = SledConfig { path, cache_bytes: config.cache_bytes };
            Ok(Box::new(SledStore::open(&config)?))
        }
        Engine::Lsm => {
            let config = LsmConfig { path, cache_bytes: config.cache_bytes };
            Ok(Box::new(LsmStore::open_without(&config, suspects)?))
        }
    }
}

/// Makes the system forget what it holds of the store's files, so that whoever opens it next reads what the disk has. After a
/// failed sync these are two things: the pages that could not be written count as written, and read as if they were.
///
/// Best effort: pages that are still to be written stay, and their sync is still to come.
pub fn forget_cached(shard_path: &Path, generation: u32, engine: Engine) {
    forget_below(&shard_path.join(store_dir(engine, generation)));
}

fn forget_below(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            forget_below(&path);
        } else if let Ok(file) = File::open(&path)
            && let Err(error) = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
        {
            tracing::debug!(%error, file = %path.display(), "the system keeps what it holds of a file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Lsn;
    use crate::sorted_store::SortedEntry;
    use bytes::Bytes;

    #[test]
    fn what_is_forgotten_is_read_from_the_disk() {
        for engine in Engine::ALL {
            let dir = tempfile::TempDir::new().expect("a directory");
            let config = StoreConfig { engine, cache_bytes: 1 << 20 };
            let mut store = open_store(dir.path(), 1, &config).expect("opened");
            let object = Bytes::from_static(b"object");
            store.apply(&[SortedEntry { token: 7, routed: b"k", object: &object, lsn: Lsn(1) }]).expect("applied");
            store.flush_durable(Lsn(1)).expect("flushed");
            drop(store);
            forget_cached(dir.path(), 1, engine);
            let store = open_store(dir.path(), 1, &config).expect("opened");
            assert_eq!(store.get(7, b"k").expect("readable").map(|stored| stored.object), Some(object));
        }
    }
}
