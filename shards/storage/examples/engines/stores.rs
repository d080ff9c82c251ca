//! The four engines behind one face.

use bytes::Bytes;
use rondo_storage::sorted_store::SledConfig;
use rondo_storage::sorted_store::{FlushTask, LsmConfig};
use rondo_storage::{LsmStore, Lsn, SledStore, SortedEntry, SortedStore};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub const ENGINES: [&str; 4] = ["rondo sled", "rondo lsm", "plain sled", "plain fjall"];
/// Cache of each engine, in bytes.
pub const CACHE_BYTES: u64 = 64 << 20;

/// One of them, driven by one thread.
pub trait Bench {
    fn put(&mut self, key: u128, value: &Bytes, number: u64);
    fn get(&self, key: u128) -> bool;
    /// Makes what was put durable; the slow part.
    fn flush(&mut self, upto: u64) -> FlushTask;
    /// Waits for merges.
    fn settle(&self) {}
}

pub fn open(engine: &str, path: &Path) -> Result<Box<dyn Bench>, String> {
    match engine {
        "rondo sled" => {
            let config = SledConfig { path: path.join("sled"), cache_bytes: CACHE_BYTES };
            SledStore::open(&config).map(|store| Box::new(Ours(store)) as Box<dyn Bench>).map_err(|e| e.to_string())
        }
        "rondo lsm" => {
            let config = LsmConfig { path: path.join("lsm"), cache_bytes: CACHE_BYTES };
            LsmStore::open(&config).map(|store| Box::new(Lsm(store)) as Box<dyn Bench>).map_err(|e| e.to_string())
        }
        "plain sled" => {
            let config =
                sled::Config::new().path(path.join("sled")).cache_capacity(CACHE_BYTES).flush_every_ms(Some(200));
            let db = config.open().map_err(|error| error.to_string())?;
            let file = File::open(path.join("sled/db")).map_err(|error| error.to_string())?;
            Ok(Box::new(PlainSled { db, file: Arc::new(file) }))
        }
        "plain fjall" => {
            let db = fjall::Database::builder(path.join("fjall")).cache_size(CACHE_BYTES).open();
            let db = db.map_err(|error| error.to_string())?;
            let items =
                db.keyspace("items", fjall::KeyspaceCreateOptions::default).map_err(|error| error.to_string())?;
            Ok(Box::new(PlainFjall { db, items }))
        }
        other => Err(format!("no engine is called {other:?}")),
    }
}

fn put(store: &mut dyn SortedStore, key: u128, value: &Bytes, number: u64) {
    let entry = SortedEntry { token: key, routed: b"", object: value, lsn: Lsn(number) };
    store.apply(&[entry]).expect("a sound store takes an entry");
}

struct Ours<S>(S);

impl<S: SortedStore> Bench for Ours<S> {
    fn put(&mut self, key: u128, value: &Bytes, number: u64) {
        put(&mut self.0, key, value, number);
    }
    fn get(&self, key: u128) -> bool {
        self.0.get(key, b"").expect("a sound store is read").is_some()
    }
    fn flush(&mut self, upto: u64) -> FlushTask {
        self.0.flush_task(Lsn(upto))
    }
}

struct Lsm(LsmStore);

impl Bench for Lsm {
    fn put(&mut self, key: u128, value: &Bytes, number: u64) {
        put(&mut self.0, key, value, number);
    }
    fn get(&self, key: u128) -> bool {
        self.0.get(key, b"").expect("a sound store is read").is_some()
    }
    fn flush(&mut self, upto: u64) -> FlushTask {
        self.0.flush_task(Lsn(upto))
    }
    fn settle(&self) {
        self.0.settle().expect("a sound store is merged");
    }
}

struct PlainSled {
    db: sled::Db,
    file: Arc<File>,
}

impl Bench for PlainSled {
    fn put(&mut self, key: u128, value: &Bytes, _number: u64) {
        self.db.insert(key.to_be_bytes(), &value[..]).expect("a sound store takes an entry");
    }
    fn get(&self, key: u128) -> bool {
        self.db.get(key.to_be_bytes()).expect("a sound store is read").is_some()
    }
    fn flush(&mut self, _upto: u64) -> FlushTask {
        let (db, file) = (self.db.clone(), self.file.clone());
        Box::new(move || {
            db.flush().expect("a quiet disk takes a flush");
            file.sync_data().expect("a quiet disk takes a sync");
            Ok(())
        })
    }
}

struct PlainFjall {
    db: fjall::Database,
    items: fjall::Keyspace,
}

impl Bench for PlainFjall {
    fn put(&mut self, key: u128, value: &Bytes, _number: u64) {
        self.items.insert(key.to_be_bytes(), &value[..]).expect("a sound store takes an entry");
    }
    fn get(&self, key: u128) -> bool {
        self.items.get(key.to_be_bytes()).expect("a sound store is read").is_some()
    }
    fn flush(&mut self, _upto: u64) -> FlushTask {
        let db = self.db.clone();
        Box::new(move || {
            db.persist(fjall::PersistMode::SyncAll).expect("a quiet disk takes a sync");
            Ok(())
        })
    }
}
