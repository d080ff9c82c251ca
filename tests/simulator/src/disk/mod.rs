//! A disk that takes its time and forgets, in a power cut, what was not synced.
//!
//! Each shard has one. An operation is begun by the first poll of its future and ends when the world says that its time
//! has come ([`SimDisk::complete`]); what a crash leaves behind is [`contents`]' business.

pub mod contents;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use rondo_storage::limits::PAGE_BYTES;
use rondo_storage::{Disk, DiskFile};

use crate::profile::DiskMix;
use crate::random::Random;
pub use contents::CrashDamage;
use contents::{Contents, FileId};

/// A handle on one shard's directory.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Rc<RefCell<State>>,
}

/// An open file.
#[derive(Debug)]
pub struct SimFile {
    state: Rc<RefCell<State>>,
    file: FileId,
}

#[derive(Debug)]
struct State {
    contents: Contents,
    mix: DiskMix,
    random: Random,
    times: u32,
    slow_operations: u64,
    next_operation: u64,
    /// Operations under way: `true` once their time has come.
    under_way: BTreeMap<u64, bool>,
    /// Operations begun since the world last asked, and how long each will take.
    begun: Vec<(u64, Duration)>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(mix: DiskMix, random: Random) -> SimDisk {
        let state = State {
            contents: Contents::default(),
            mix,
            random,
            times: 1,
            slow_operations: 0,
            next_operation: 0,
            under_way: BTreeMap::new(),
            begun: Vec::new(),
        };
        SimDisk { state: Rc::new(RefCell::new(state)) }
    }

    /// Operations begun since the last call, and how long each takes: to be given to [`SimDisk::complete`] then.
    pub fn take_begun(&self) -> Vec<(u64, Duration)> {
        core::mem::take(&mut self.state.borrow_mut().begun)
    }

    /// The time of `operation` has come: its future is ready at the next poll. False if a crash was quicker.
    pub fn complete(&self, operation: u64) -> bool {
        match self.state.borrow_mut().under_way.get_mut(&operation) {
            Some(done) => {
                *done = true;
                true
            }
            None => false,
        }
    }

    /// From now on each operation takes `times` as long.
    pub fn set_speed(&self, times: u32) {
        self.state.borrow_mut().times = times.max(1);
    }

    /// Operations that took many times as long as usual.
    pub fn slow_operations(&self) -> u64 {
        self.state.borrow().slow_operations
    }

    /// The power fails. All futures over this disk must have been dropped.
    pub fn crash(&self) -> CrashDamage {
        let state = &mut *self.state.borrow_mut();
        state.under_way.clear();
        state.begun.clear();
        state.contents.crash(&state.mix, &mut state.random)
    }
}

/// One operation: begins at the first poll, ends when its time has come.
struct Wait<'a> {
    state: &'a RefCell<State>,
    operation: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let state = &mut *self.state.borrow_mut();
        let Some(operation) = self.operation else {
            self.operation = Some(state.begin());
            return Poll::Pending;
        };
        match state.under_way.get(&operation) {
            Some(false) => Poll::Pending,
            Some(true) | None => {
                state.under_way.remove(&operation);
                Poll::Ready(())
            }
        }
    }
}

impl State {
    fn begin(&mut self) -> u64 {
        let operation = self.next_operation;
        self.next_operation += 1;
        let (quickest, slowest) = self.mix.latency;
        let time = self.random.time(quickest, slowest) * self.times;
        self.slow_operations += u64::from(self.times > 1);
        self.under_way.insert(operation, false);
        self.begun.push((operation, time));
        operation
    }
}

async fn wait(state: &RefCell<State>) {
    Wait { state, operation: None }.await;
}

impl SimDisk {
    fn file(&self, file: FileId) -> SimFile {
        SimFile { state: Rc::clone(&self.state), file }
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, bytes: usize) -> Vec<u8> {
        assert!(bytes.is_multiple_of(PAGE_BYTES), "a buffer of {bytes} bytes is no whole number of pages");
        // "Undefined content", so that whoever forgets to fill a buffer is found out.
        vec![0xA5; bytes]
    }

    async fn create(&self, path: &str) -> io::Result<SimFile> {
        wait(&self.state).await;
        let created = self.state.borrow_mut().contents.create(path);
        created.map(|file| self.file(file))
    }

    async fn open(&self, path: &str) -> io::Result<SimFile> {
        wait(&self.state).await;
        let found = self.state.borrow().contents.open(path);
        found.map(|file| self.file(file))
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        wait(&self.state).await;
        self.state.borrow_mut().contents.rename(from, to)
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        wait(&self.state).await;
        self.state.borrow_mut().contents.remove(path)
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        wait(&self.state).await;
        self.state.borrow().contents.list(dir)
    }

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        wait(&self.state).await;
        self.state.borrow_mut().contents.create_dir(dir);
        Ok(())
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let journal = self.state.borrow().contents.journal_end(dir);
        wait(&self.state).await;
        self.state.borrow_mut().contents.sync_dir(dir, journal);
        Ok(())
    }

    async fn exists(&self, path: &str) -> io::Result<bool> {
        wait(&self.state).await;
        Ok(self.state.borrow().contents.exists(path))
    }
}

impl DiskFile for SimFile {
    type Buffer = Vec<u8>;

    async fn write_at(&self, buffer: Vec<u8>, offset: u64) -> io::Result<()> {
        assert!(buffer.len().is_multiple_of(PAGE_BYTES), "a write of {} bytes is not aligned", buffer.len());
        assert!(offset.is_multiple_of(PAGE_BYTES as u64), "a write at {offset} is not aligned");
        // On its way from the first moment: a crash during the write may find any part of it on the disk.
        self.state.borrow_mut().contents.write(self.file, offset, buffer);
        wait(&self.state).await;
        Ok(())
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        wait(&self.state).await;
        Ok(self.state.borrow().contents.read(self.file, offset, bytes))
    }

    async fn sync_data(&self) -> io::Result<()> {
        let written = self.state.borrow().contents.written(self.file);
        wait(&self.state).await;
        self.state.borrow_mut().contents.sync(self.file, written);
        Ok(())
    }

    async fn preallocate(&self, bytes: u64) -> io::Result<()> {
        wait(&self.state).await;
        self.state.borrow_mut().contents.preallocate(self.file, bytes);
        Ok(())
    }

    async fn len(&self) -> io::Result<u64> {
        wait(&self.state).await;
        Ok(self.state.borrow().contents.len(self.file))
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}
