//! A disk that takes its time and forgets, in a power cut, what was not synced.
//!
//! It can also be in a bad mood: fail, have no room, or keep what it was asked to itself ([`SimDisk::set_mood`]).
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
use rondo_storage::{Disk, DiskFile, Room};

use crate::fault::Mood;
use crate::profile::DiskMix;
use crate::random::{Permille, Random};
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
    mood: Mood,
    /// Operations whose time came while the disk hung.
    held: Vec<u64>,
    slow_operations: u64,
    trouble: Trouble,
    next_operation: u64,
    /// Operations under way: `true` once their time has come.
    under_way: BTreeMap<u64, bool>,
    /// Operations begun since the world last asked, and how long each will take.
    begun: Vec<(u64, Duration)>,
}

/// What a disk's moods have done, in operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trouble {
    /// Writes and changes of names that failed.
    pub writes_failed: u64,
    /// Syncs that failed.
    pub syncs_failed: u64,
    /// What there was no room for.
    pub refused: u64,
    /// What hung.
    pub hung: u64,
}

/// What an operation wants of the disk, as far as its mood is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Want {
    Read,
    Write,
    Sync,
    Room,
}

/// Of all operations on a disk that fails, those that do fail.
const FAILING: Permille = Permille(500);

impl SimDisk {
    /// An empty disk.
    pub fn new(mix: DiskMix, random: Random) -> SimDisk {
        let state = State {
            contents: Contents::default(),
            mix,
            random,
            times: 1,
            mood: Mood::Well,
            held: Vec::new(),
            slow_operations: 0,
            trouble: Trouble::default(),
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

    /// The time of `operation` has come: its future is ready at the next poll. False if a crash was quicker, or the disk
    /// hangs.
    pub fn complete(&self, operation: u64) -> bool {
        let state = &mut *self.state.borrow_mut();
        let Some(done) = state.under_way.get_mut(&operation) else { return false };
        if state.mood == Mood::Hung {
            state.held.push(operation);
            state.trouble.hung += 1;
            return false;
        }
        *done = true;
        true
    }

    /// From now on the disk behaves like this. What hung before ends now, as [`SimDisk::take_begun`] says.
    pub fn set_mood(&self, mood: Mood) {
        let state = &mut *self.state.borrow_mut();
        state.mood = mood;
        if mood != Mood::Hung {
            state.begun.extend(state.held.drain(..).map(|operation| (operation, Duration::ZERO)));
        }
    }

    /// What whoever looks at the free room sees.
    pub fn room(&self) -> Room {
        match self.state.borrow().mood {
            Mood::Full => Room::Little { free_bytes: 0 },
            Mood::Well | Mood::Failing | Mood::FullUnseen | Mood::Hung => Room::Enough { free_bytes: 1 << 40 },
        }
    }

    /// What its moods have done so far.
    pub fn trouble(&self) -> Trouble {
        self.state.borrow().trouble
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
        state.held.clear();
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

impl State {
    /// Whether the disk does what it was asked.
    fn judge(&mut self, want: Want) -> io::Result<()> {
        match (self.mood, want) {
            (Mood::Failing, Want::Write | Want::Room) if self.random.happens(FAILING) => {
                self.trouble.writes_failed += 1;
                Err(io::Error::other("the simulated disk fails"))
            }
            (Mood::Failing, Want::Sync) if self.random.happens(FAILING) => {
                self.trouble.syncs_failed += 1;
                Err(io::Error::other("the simulated disk fails to sync"))
            }
            (Mood::Full | Mood::FullUnseen, Want::Room) => {
                self.trouble.refused += 1;
                Err(io::ErrorKind::StorageFull.into())
            }
            (Mood::Well | Mood::Failing | Mood::Full | Mood::FullUnseen | Mood::Hung, _) => Ok(()),
        }
    }
}

async fn wait(state: &RefCell<State>, want: Want) -> io::Result<()> {
    Wait { state, operation: None }.await;
    state.borrow_mut().judge(want)
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
        wait(&self.state, Want::Write).await?;
        let created = self.state.borrow_mut().contents.create(path);
        created.map(|file| self.file(file))
    }

    async fn open(&self, path: &str) -> io::Result<SimFile> {
        wait(&self.state, Want::Read).await?;
        let found = self.state.borrow().contents.open(path);
        found.map(|file| self.file(file))
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        wait(&self.state, Want::Write).await?;
        self.state.borrow_mut().contents.rename(from, to)
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        wait(&self.state, Want::Write).await?;
        self.state.borrow_mut().contents.remove(path)
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        wait(&self.state, Want::Read).await?;
        self.state.borrow().contents.list(dir)
    }

    async fn create_dir(&self, dir: &str) -> io::Result<()> {
        wait(&self.state, Want::Write).await?;
        self.state.borrow_mut().contents.create_dir(dir);
        Ok(())
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let journal = self.state.borrow().contents.journal_end(dir);
        wait(&self.state, Want::Sync).await?;
        self.state.borrow_mut().contents.sync_dir(dir, journal);
        Ok(())
    }

    async fn exists(&self, path: &str) -> io::Result<bool> {
        wait(&self.state, Want::Read).await?;
        Ok(self.state.borrow().contents.exists(path))
    }
}

impl DiskFile for SimFile {
    type Buffer = Vec<u8>;

    async fn write_at(&self, buffer: Vec<u8>, offset: u64) -> io::Result<()> {
        assert!(buffer.len().is_multiple_of(PAGE_BYTES), "a write of {} bytes is not aligned", buffer.len());
        assert!(offset.is_multiple_of(PAGE_BYTES as u64), "a write at {offset} is not aligned");
        let grows = self.state.borrow().contents.len(self.file) < offset + buffer.len() as u64;
        let is_full = matches!(self.state.borrow().mood, Mood::Full | Mood::FullUnseen);
        if grows && is_full {
            return wait(&self.state, Want::Room).await;
        }
        // On its way from the first moment: a crash during the write may find any part of it on the disk.
        self.state.borrow_mut().contents.write(self.file, offset, buffer);
        wait(&self.state, Want::Write).await
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        wait(&self.state, Want::Read).await?;
        Ok(self.state.borrow().contents.read(self.file, offset, bytes))
    }

    async fn sync_data(&self) -> io::Result<()> {
        let written = self.state.borrow().contents.written(self.file);
        let outcome = wait(&self.state, Want::Sync).await;
        let contents = &mut self.state.borrow_mut().contents;
        match &outcome {
            Ok(()) => contents.sync(self.file, written),
            Err(_) => contents.fail_sync(self.file, written),
        }
        outcome
    }

    async fn preallocate(&self, bytes: u64) -> io::Result<()> {
        wait(&self.state, Want::Room).await?;
        self.state.borrow_mut().contents.preallocate(self.file, bytes);
        Ok(())
    }

    async fn len(&self) -> io::Result<u64> {
        wait(&self.state, Want::Read).await?;
        Ok(self.state.borrow().contents.len(self.file))
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}
