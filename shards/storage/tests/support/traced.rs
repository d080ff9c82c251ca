//! A disk in memory that remembers every change, so that the power can be cut at any of them, in every way that a file
//! system allows: unsynced writes lost, kept or torn by sectors, names before or after a change, lengths before or after.

use super::Dice;
use rondo_storage::limits::PAGE_BYTES;
use rondo_storage::{Disk, DiskFile};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

const SECTOR_BYTES: usize = 512;
/// All combinations are tried up to here; beyond, the extremes and as many that the dice choose.
const STATES_MAX: usize = 24;

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// One change, as it was asked for.
#[derive(Clone, Debug)]
pub enum Change {
    Write {
        file: usize,
        offset: usize,
        bytes: Vec<u8>,
    },
    Length {
        file: usize,
        bytes: usize,
    },
    Sync {
        file: usize,
    },
    /// What was to be synced may never get there, whatever a later sync says.
    SyncFailed {
        file: usize,
    },
    Create {
        path: String,
        file: usize,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        path: String,
    },
    SyncDir {
        dir: String,
    },
}

#[derive(Debug, Default)]
struct State {
    trace: Vec<Change>,
    contents: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    faults: BTreeMap<usize, io::ErrorKind>,
    steps: usize,
    /// Files of which a write or a sync has failed, and whether they were touched afterwards.
    failed: BTreeSet<usize>,
    touched_after_failure: bool,
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        self.faults.get(&(self.steps - 1)).map_or(Ok(()), |kind| Err(io::Error::from(*kind)))
    }

    fn touch(&mut self, file: usize) {
        self.touched_after_failure |= self.failed.contains(&file);
    }
}

#[derive(Clone, Debug, Default)]
pub struct TracedDisk(Rc<RefCell<State>>);

#[derive(Debug)]
pub struct TracedFile {
    disk: TracedDisk,
    id: usize,
}

impl TracedDisk {
    /// A disk with these files, all of them durable.
    pub fn with(files: &Files) -> TracedDisk {
        let contents = files.values().cloned().collect();
        let names = files.keys().cloned().zip(0..).collect();
        TracedDisk(Rc::new(RefCell::new(State { contents, names, ..State::default() })))
    }

    /// The `step`-th change from now on (0 is the next) fails like this.
    pub fn fail(&self, step: usize, kind: io::ErrorKind) {
        let mut state = self.0.borrow_mut();
        let at = state.steps + step;
        state.faults.insert(at, kind);
    }

    /// Changes asked for, failed ones included.
    pub fn steps(&self) -> usize {
        self.0.borrow().steps
    }

    pub fn trace_len(&self) -> usize {
        self.0.borrow().trace.len()
    }

    pub fn trace(&self) -> Vec<Change> {
        self.0.borrow().trace.clone()
    }

    /// Was a file written or synced after one of its writes or syncs had failed?
    pub fn touched_after_failure(&self) -> bool {
        self.0.borrow().touched_after_failure
    }

    pub fn paths(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// What a reader sees now.
    pub fn files(&self) -> Files {
        let state = self.0.borrow();
        state.names.iter().map(|(path, &file)| (path.clone(), state.contents[file].clone())).collect()
    }
}

/// What is durable at a place in a trace, and what hangs in the air.
#[derive(Clone, Debug, Default)]
pub struct AtPowerCut {
    durable: Vec<Vec<u8>>,
    /// Writes and lengths since the last sync, in order; the flag says that a failed sync has given them up.
    pending: Vec<(Change, bool)>,
    names: BTreeMap<String, usize>,
    /// Creations, renames and removals since the last sync of their directory, in order.
    pending_names: Vec<Change>,
}

impl AtPowerCut {
    /// Before the first change of a disk with these files.
    pub fn begin(files: &Files) -> AtPowerCut {
        let names = files.keys().cloned().zip(0..).collect();
        AtPowerCut { durable: files.values().cloned().collect(), names, ..AtPowerCut::default() }
    }

    /// One change further.
    pub fn pass(&mut self, change: &Change) {
        match change {
            Change::Write { .. } | Change::Length { .. } => self.pending.push((change.clone(), false)),
            Change::Sync { file } => {
                let (now, later) = core::mem::take(&mut self.pending)
                    .into_iter()
                    .partition(|(change, is_given_up)| of_file(change) == *file && !is_given_up);
                self.pending = later;
                let now: Vec<(Change, bool)> = now;
                now.iter().for_each(|(change, _)| write(&mut self.durable, change, |_| true));
            }
            Change::SyncFailed { file } => {
                let of_it = self.pending.iter_mut().filter(|(change, _)| of_file(change) == *file);
                of_it.for_each(|(_, is_given_up)| *is_given_up = true);
            }
            Change::Create { file, .. } => {
                self.durable.resize(self.durable.len().max(file + 1), Vec::new());
                self.pending_names.push(change.clone());
            }
            Change::Rename { .. } | Change::Remove { .. } => self.pending_names.push(change.clone()),
            Change::SyncDir { dir } => {
                let (now, later) =
                    core::mem::take(&mut self.pending_names).into_iter().partition(|change| dir_of(change) == *dir);
                self.pending_names = later;
                let now: Vec<Change> = now;
                now.iter().for_each(|change| name(&mut self.names, change));
            }
        }
    }

    /// What the disk may hold when the power is back.
    pub fn states(&self, dice: &mut Dice) -> Vec<Files> {
        let mut choices: Vec<u64> = self.pending.iter().map(|_| VARIANTS).collect();
        choices.push(self.pending_names.len() as u64 + 1);
        let all = choices.iter().try_fold(1u64, |all, choice| all.checked_mul(*choice)).unwrap_or(u64::MAX);
        if all <= STATES_MAX as u64 {
            return (0..all).map(|number| self.state(&digits(number, &choices))).collect();
        }
        let lowest = vec![0; choices.len()];
        let highest: Vec<u64> = choices.iter().map(|choice| choice - 1).collect();
        let names_only = [vec![0; choices.len() - 1], vec![self.pending_names.len() as u64]].concat();
        let rolled = (3..STATES_MAX).map(|_| choices.iter().map(|choice| dice.roll(*choice)).collect());
        [lowest, highest, names_only].into_iter().chain(rolled).map(|choice: Vec<u64>| self.state(&choice)).collect()
    }

    fn state(&self, choices: &[u64]) -> Files {
        let mut contents = self.durable.clone();
        for ((change, _), variant) in self.pending.iter().zip(choices) {
            write(&mut contents, change, |place| is_kept(*variant, place));
        }
        let mut names = self.names.clone();
        let passed = choices[self.pending.len()] as usize;
        self.pending_names[..passed].iter().for_each(|change| name(&mut names, change));
        names.into_iter().map(|(path, file)| (path, contents[file].clone())).collect()
    }
}

/// Ways in which an unsynced write may have reached the disk.
const VARIANTS: u64 = 6;

/// Did the sector at `place` of so many reach the disk? Not at all, the first half, the second half, the first alone, the
/// last alone, or everything.
fn is_kept(variant: u64, (place, sectors): (usize, usize)) -> bool {
    match variant {
        0 => false,
        1 => place < sectors.div_ceil(2),
        2 => place >= sectors / 2,
        3 => place == 0,
        4 => place + 1 == sectors,
        _ => true,
    }
}

fn digits(mut number: u64, choices: &[u64]) -> Vec<u64> {
    choices
        .iter()
        .map(|choice| {
            let digit = number % choice;
            number /= choice;
            digit
        })
        .collect()
}

fn of_file(change: &Change) -> usize {
    match change {
        Change::Write { file, .. } | Change::Length { file, .. } => *file,
        other => panic!("{other:?} is about no content"),
    }
}

fn dir_of(change: &Change) -> String {
    let (Change::Create { path, .. } | Change::Remove { path } | Change::Rename { to: path, .. }) = change else {
        panic!("{change:?} is about no name")
    };
    path.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned()
}

fn write(contents: &mut [Vec<u8>], change: &Change, is_kept: impl Fn((usize, usize)) -> bool) {
    match change {
        Change::Write { file, offset, bytes } => {
            let sectors = bytes.len() / SECTOR_BYTES;
            for (place, sector) in
                bytes.chunks(SECTOR_BYTES).enumerate().filter(|(place, _)| is_kept((*place, sectors)))
            {
                let at = offset + place * SECTOR_BYTES;
                let content = &mut contents[*file];
                content.resize(content.len().max(at + sector.len()), 0);
                content[at..at + sector.len()].copy_from_slice(sector);
            }
        }
        Change::Length { file, bytes } if is_kept((0, 1)) => {
            let content = &mut contents[*file];
            content.resize(content.len().max(*bytes), 0);
        }
        _ => {}
    }
}

fn name(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Create { path, file } => {
            names.insert(path.clone(), *file);
        }
        Change::Rename { from, to } => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Change::Remove { path } => {
            names.remove(path);
        }
        _ => {}
    }
}

impl Disk for TracedDisk {
    type File = TracedFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, bytes: usize) -> Vec<u8> {
        vec![0xAA; bytes]
    }

    async fn create(&self, path: &str) -> io::Result<TracedFile> {
        let mut state = self.0.borrow_mut();
        if state.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        state.step()?;
        let file = state.contents.len();
        state.contents.push(Vec::new());
        state.names.insert(path.to_owned(), file);
        state.trace.push(Change::Create { path: path.to_owned(), file });
        Ok(TracedFile { disk: self.clone(), id: file })
    }

    async fn open(&self, path: &str) -> io::Result<TracedFile> {
        let id = self.0.borrow().names.get(path).copied().ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        Ok(TracedFile { disk: self.clone(), id })
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step()?;
        let file = state.names.remove(from).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        state.names.insert(to.to_owned(), file);
        state.trace.push(Change::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    async fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if !state.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        state.step()?;
        state.names.remove(path);
        state.trace.push(Change::Remove { path: path.to_owned() });
        Ok(())
    }

    async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let state = self.0.borrow();
        let inside = state.names.keys().filter_map(|path| path.strip_prefix(&prefix));
        Ok(inside.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    async fn create_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.step()?;
        state.trace.push(Change::SyncDir { dir: dir.to_owned() });
        Ok(())
    }

    async fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(self.0.borrow().names.contains_key(path))
    }
}

impl DiskFile for TracedFile {
    type Buffer = Vec<u8>;

    /// A write that fails may still have reached the disk, in part.
    async fn write_at(&self, buffer: Vec<u8>, offset: u64) -> io::Result<()> {
        assert!(buffer.len().is_multiple_of(PAGE_BYTES) && offset.is_multiple_of(PAGE_BYTES as u64), "not on pages");
        let mut state = self.disk.0.borrow_mut();
        state.touch(self.id);
        let outcome = state.step();
        if outcome.is_err() {
            state.failed.insert(self.id);
        }
        let change = Change::Write { file: self.id, offset: offset as usize, bytes: buffer };
        write(&mut state.contents, &change, |_| true);
        state.trace.push(change);
        outcome
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let state = self.disk.0.borrow();
        let content = &state.contents[self.id];
        let from = content.len().min(offset as usize);
        Ok(content[from..content.len().min(from + bytes)].to_vec())
    }

    async fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.0.borrow_mut();
        state.touch(self.id);
        let outcome = state.step();
        if outcome.is_err() {
            state.failed.insert(self.id);
        }
        let (file, is_ok) = (self.id, outcome.is_ok());
        state.trace.push(if is_ok { Change::Sync { file } } else { Change::SyncFailed { file } });
        outcome
    }

    async fn preallocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.0.borrow_mut();
        state.step()?;
        let change = Change::Length { file: self.id, bytes: bytes as usize };
        write(&mut state.contents, &change, |_| true);
        state.trace.push(change);
        Ok(())
    }

    async fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.borrow().contents[self.id].len() as u64)
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}
