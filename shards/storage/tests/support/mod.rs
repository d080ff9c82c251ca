//! A small disk in memory that can lose power: what was not synced may be lost, kept or torn by sectors of 512 bytes.

#![expect(dead_code, reason = "each test file uses its own part")]

pub mod life;
pub mod traced;

use rondo_storage::limits::PAGE_BYTES;
use rondo_storage::{
    ColdFound, Delivery, Disk, DiskFile, LogRecord, Lookup, Lsn, RecoverOptions, Recovered, SortedStore,
    SortedStoreError, StorageError, StoreLimits, WalLimits, WalWriter, recover, run_ready, seal_log,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    steps_left: Option<u64>,
    steps: u64,
    syncs: u64,
}

impl State {
    /// Counts a step that changes something, and fails it once the power is off.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        match &mut self.steps_left {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct CrashDisk(Rc<RefCell<State>>);

#[derive(Debug)]
pub struct CrashFile {
    disk: CrashDisk,
    id: usize,
}

/// A small generator, so that tests repeat.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

impl CrashDisk {
    /// The power goes off after `steps` more changes.
    pub fn power_off_after(&self, steps: u64) {
        self.0.borrow_mut().steps_left = Some(steps);
    }

    pub fn steps(&self) -> u64 {
        self.0.borrow().steps
    }

    pub fn syncs(&self) -> u64 {
        self.0.borrow().syncs
    }

    /// Power off and on: each sector and each name that was not synced is lost or kept, as the dice say.
    pub fn crash(&self, dice: &mut Dice) {
        let mut state = self.0.borrow_mut();
        state.steps_left = None;
        for content in &mut state.files {
            let mut after = content.durable.clone();
            if dice.roll(2) == 0 {
                after.resize(content.written.len().max(after.len()), 0);
            }
            for (place, written) in after.chunks_mut(SECTOR_BYTES).zip(content.written.chunks(SECTOR_BYTES)) {
                if dice.roll(2) == 0 && place.len() == written.len() {
                    place.copy_from_slice(written);
                }
            }
            content.written = after.clone();
            content.durable = after;
        }
        if dice.roll(2) == 0 {
            state.names = state.durable_names.clone();
        } else {
            state.durable_names = state.names.clone();
        }
    }

    /// The content of a file, to look at or to spoil.
    pub fn spoil(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.borrow_mut();
        let id = state.names[path];
        change(&mut state.files[id].written);
        state.files[id].durable = state.files[id].written.clone();
    }

    pub fn content(&self, path: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.files[state.names[path]].written.clone()
    }

    /// Takes a file away behind the store's back.
    pub fn lose(&self, path: &str) {
        let mut state = self.0.borrow_mut();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    /// Puts a file there behind the store's back.
    pub fn put_file(&self, path: &str, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        let id = state.files.len();
        state.files.push(Content { written: bytes.to_vec(), durable: bytes.to_vec() });
        state.names.insert(path.to_owned(), id);
        state.durable_names.insert(path.to_owned(), id);
    }

    /// Gives a file another name behind the store's back.
    pub fn name_anew(&self, from: &str, to: &str) {
        let bytes = self.content(from);
        self.lose(from);
        self.put_file(to, &bytes);
    }

    pub fn paths(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// A disk of its own with the same content.
    pub fn copy(&self) -> CrashDisk {
        let state = self.0.borrow();
        let (files, names, durable_names) = (state.files.clone(), state.names.clone(), state.durable_names.clone());
        CrashDisk(Rc::new(RefCell::new(State { files, names, durable_names, ..State::default() })))
    }

    fn file(&self, id: usize) -> CrashFile {
        CrashFile { disk: self.clone(), id }
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for CrashDisk {
    type File = CrashFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, bytes: usize) -> Vec<u8> {
        vec![0xAA; bytes]
    }

    async fn create(&self, path: &str) -> io::Result<CrashFile> {
        let mut state = self.0.borrow_mut();
        state.step()?;
        if state.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let id = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.to_owned(), id);
        Ok(self.file(id))
    }

    async fn open(&self, path: &str) -> io::Result<CrashFile> {
        let id = self.0.borrow().names.get(path).copied().ok_or_else(not_found)?;
        Ok(self.file(id))
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step()?;
        let id = state.names.remove(from).ok_or_else(not_found)?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step()?;
        state.names.remove(path).map(|_| ()).ok_or_else(not_found)
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let state = self.0.borrow();
        let inside = state.names.keys().filter_map(|path| path.strip_prefix(&prefix));
        Ok(inside.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    async fn create_dir(&self, _dir: &str) -> io::Result<()> {
        self.0.borrow_mut().step()
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step()?;
        state.syncs += 1;
        let is_inside = |path: &String| path.rsplit_once('/').map_or("", |(parent, _)| parent) == dir;
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|path, _| !is_inside(path));
        durable_names.extend(names.iter().filter(|(path, _)| is_inside(path)).map(|(path, &id)| (path.clone(), id)));
        Ok(())
    }

    async fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(self.0.borrow().names.contains_key(path))
    }
}

impl DiskFile for CrashFile {
    type Buffer = Vec<u8>;

    async fn write_at(&self, buffer: Vec<u8>, offset: u64) -> io::Result<()> {
        assert!(buffer.len().is_multiple_of(PAGE_BYTES) && offset.is_multiple_of(PAGE_BYTES as u64), "not on pages");
        let mut state = self.disk.0.borrow_mut();
        let outcome = state.step();
        // The write during which the power goes off may still reach the disk, in part.
        let written = &mut state.files[self.id].written;
        let end = offset as usize + buffer.len();
        written.resize(written.len().max(end), 0);
        written[offset as usize..end].copy_from_slice(&buffer);
        outcome
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let state = self.disk.0.borrow();
        let written = &state.files[self.id].written;
        let from = written.len().min(offset as usize);
        Ok(written[from..written.len().min(from + bytes)].to_vec())
    }

    async fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.0.borrow_mut();
        state.step()?;
        state.syncs += 1;
        let content = &mut state.files[self.id];
        content.durable = content.written.clone();
        Ok(())
    }

    async fn preallocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.0.borrow_mut();
        state.step()?;
        state.files[self.id].written.resize(bytes as usize, 0);
        Ok(())
    }

    async fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.borrow().files[self.id].written.len() as u64)
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}

/// Small bounds, so that segments roll and memtables fill soon.
pub fn small_options() -> RecoverOptions {
    RecoverOptions {
        shard: 3,
        salt: 0x5EED,
        unix_seconds: 1_800_000_000,
        generation: 1,
        vnode_bits: 4,
        store: StoreLimits {
            memtable_bytes_max: 16 * 1024,
            cache_bytes_max: 64 * 1024,
            log_bytes_max: 1 << 20,
            pending_bytes_max: 1 << 20,
            filter_bytes_max: 1 << 20,
        },
        wal: WalLimits { segment_bytes: 32 * 1024, reserve_bytes: 16 * 1024 },
    }
}

/// What a reader is told of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    Object(Vec<u8>),
    Absent,
    Unreadable,
}

/// A shard on a disk: store, log and sorted store, driven by hand.
pub struct Shard<D: Disk = CrashDisk> {
    pub disk: D,
    pub recovered: Recovered,
    pub writer: WalWriter<D>,
}

impl<D: Disk> Shard<D> {
    pub fn open(disk: &D, sorted: &mut dyn SortedStore, options: RecoverOptions) -> Result<Shard<D>, StorageError> {
        let recovered = run_ready(recover(disk, sorted, options))?;
        let writer = WalWriter::resume(disk.clone(), recovered.position.clone(), options.wal);
        Ok(Shard { disk: disk.clone(), recovered, writer })
    }

    /// Appends without writing.
    pub fn append(&mut self, key: u64, object: Vec<u8>) -> Lsn {
        let lsn = self.recovered.store.last_lsn().next();
        let routed = format!("key-{key}");
        let record = LogRecord::Object { token: token(key), routed: routed.as_bytes(), object: object.into() };
        self.recovered.store.append(lsn, record);
        lsn
    }

    /// Writes everything appended; what it returns is acknowledged.
    pub fn commit(&mut self) -> Result<Lsn, StorageError> {
        while let Some(batch) = self.recovered.store.take_batch() {
            let upto = run_ready(self.writer.write(batch)).map_err(|failure| failure.error)?;
            self.recovered.store.committed(upto);
        }
        Ok(self.recovered.store.committed_lsn())
    }

    pub fn put(&mut self, key: u64, object: Vec<u8>) -> Result<Lsn, StorageError> {
        self.append(key, object);
        self.commit()
    }

    /// The object of a key, asking the sorted store if need be; nothing may be missing.
    pub fn get(&mut self, sorted: &dyn SortedStore, key: u64) -> Option<Vec<u8>> {
        match self.look(sorted, key) {
            Seen::Object(object) => Some(object),
            Seen::Absent => None,
            Seen::Unreadable => panic!("key {key} is unreadable: {:?}", self.recovered.report),
        }
    }

    /// What a reader is told of a key.
    pub fn look(&mut self, sorted: &dyn SortedStore, key: u64) -> Seen {
        let routed = format!("key-{key}");
        let (token, routed) = (token(key), routed.as_bytes());
        let delivery = match self.recovered.store.lookup(token, routed) {
            Lookup::Hit { object, lsn } => Delivery::Object { object, lsn },
            Lookup::Absent => Delivery::Absent,
            Lookup::Unreadable => Delivery::Unreadable,
            Lookup::Cold => {
                let found = match sorted.get(token, routed) {
                    Ok(Some(stored)) => ColdFound::Object(stored),
                    Ok(None) => ColdFound::Absent,
                    Err(SortedStoreError::Unreadable { .. }) => ColdFound::Unreadable,
                    Err(error) => panic!("{error}"),
                };
                self.recovered.store.loaded(token, routed, found)
            }
        };
        match delivery {
            Delivery::Object { object, .. } => Seen::Object(object.to_vec()),
            Delivery::Absent => Seen::Absent,
            Delivery::Unreadable => Seen::Unreadable,
        }
    }

    /// A clean stop.
    pub fn seal(&mut self) -> Result<(), StorageError> {
        run_ready(seal_log(&self.writer, &mut self.recovered.manifest))
    }

    /// A whole checkpoint, if there is something to write.
    pub fn checkpoint(&mut self, sorted: &mut dyn SortedStore) -> Result<(), StorageError> {
        let Some(frozen) = self.recovered.store.freeze() else { return Ok(()) };
        let mut job = rondo_storage::CheckpointJob::new(frozen);
        while !job.step(sorted)? {}
        let frozen = job.into_table();
        run_ready(rondo_storage::finish_checkpoint(&mut self.writer, &mut self.recovered.manifest, &frozen, 1))?;
        self.recovered.store.checkpointed(frozen.last_lsn());
        Ok(())
    }
}

/// Two keys share a token, so that the token alone never decides.
pub fn token(key: u64) -> u128 {
    u128::from(key / 2) << 100
}
