//! What a disk holds, in two states at once: as its user sees it, and as a power cut would leave it.
//!
//! Think of wet paint. A write is seen at once and stays wet until a sync dries it; a power cut smears each wet piece on
//! its own: it stays, it is lost, or it is garbled. A sync that failed leaves paint that no later sync dries, though it
//! says so: the system has forgotten that it is wet. Names in a directory are a journal: a power cut keeps some first part
//! of it, never less than was synced.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use crate::profile::DiskMix;
use crate::random::Random;

/// A file, whatever it is called at the moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileId(usize);

/// What a power cut did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CrashDamage {
    /// Wet pieces that stayed.
    pub kept: u64,
    /// Wet pieces that are gone.
    pub lost: u64,
    /// Wet pieces that hold something else now.
    pub garbled: u64,
    /// Changes of names that are gone.
    pub names_lost: u64,
}

/// A directory tree and its files.
#[derive(Debug, Default)]
pub struct Contents {
    files: Vec<FileBytes>,
    names: BTreeMap<String, FileId>,
    durable_names: BTreeMap<String, FileId>,
    dirs: Vec<String>,
    journals: BTreeMap<String, Vec<NameChange>>,
}

#[derive(Debug, Default)]
struct FileBytes {
    seen: Vec<u8>,
    durable: Vec<u8>,
    wet: Vec<Wet>,
    writes: u64,
}

#[derive(Debug)]
struct Wet {
    number: u64,
    offset: usize,
    /// A sync of it failed: no later one makes it durable.
    is_forgotten: bool,
    /// `None`: the file was made this long (`offset`), no bytes were written.
    bytes: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set { name: String, file: FileId },
    Rename { from: String, to: String },
    Remove { name: String },
}

impl Contents {
    /// Makes a new file.
    pub fn create(&mut self, path: &str) -> io::Result<FileId> {
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = FileId(self.files.len());
        self.files.push(FileBytes::default());
        self.change(path, NameChange::Set { name: path.to_owned(), file });
        Ok(file)
    }

    /// The file of that name.
    pub fn open(&self, path: &str) -> io::Result<FileId> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives a file another name, in the same directory.
    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        assert_eq!(parent(from), parent(to), "the simulated disk renames inside a directory only");
        self.open(from)?;
        self.change(from, NameChange::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    /// Forgets a name.
    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        self.open(path)?;
        self.change(path, NameChange::Remove { name: path.to_owned() });
        Ok(())
    }

    /// The names in a directory, in order.
    pub fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        if !dir.is_empty() && !self.dirs.iter().any(|known| known == dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let files = self.names.keys().filter(|path| parent(path) == dir);
        let dirs = self.dirs.iter().filter(|path| parent(path) == dir);
        Ok(files.chain(dirs).map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect())
    }

    /// Makes a directory, durably: the checks of a missing one belong to the real disk's tests.
    pub fn create_dir(&mut self, dir: &str) {
        if !dir.is_empty() && !self.dirs.iter().any(|known| known == dir) {
            self.dirs.push(dir.to_owned());
            self.create_dir(parent(dir));
        }
    }

    /// Is there anything of that name?
    pub fn exists(&self, path: &str) -> bool {
        self.names.contains_key(path) || self.dirs.iter().any(|dir| dir == path)
    }

    /// Changes of names in `dir` that are not durable yet.
    pub fn journal_end(&self, dir: &str) -> usize {
        self.journals.get(dir).map_or(0, Vec::len)
    }

    /// The first `changes` changes of names in `dir` are durable.
    pub fn sync_dir(&mut self, dir: &str, changes: usize) {
        let Some(journal) = self.journals.get_mut(dir) else { return };
        for change in journal.drain(..changes.min(journal.len())) {
            change.apply(&mut self.durable_names);
        }
    }

    /// Writes, visibly but wet.
    pub fn write(&mut self, file: FileId, offset: u64, bytes: Vec<u8>) {
        let file = &mut self.files[file.0];
        put(&mut file.seen, offset as usize, &bytes);
        file.add(offset as usize, Some(bytes));
    }

    /// Up to `bytes` bytes from `offset`.
    pub fn read(&self, file: FileId, offset: u64, bytes: usize) -> Vec<u8> {
        let seen = &self.files[file.0].seen;
        let from = seen.len().min(offset as usize);
        seen[from..seen.len().min(from.saturating_add(bytes))].to_vec()
    }

    /// A number for everything written to the file so far, for [`Contents::sync`].
    pub fn written(&self, file: FileId) -> u64 {
        self.files[file.0].writes
    }

    /// What had been written when `written` was asked for is dry.
    pub fn sync(&mut self, file: FileId, written: u64) {
        let file = &mut self.files[file.0];
        for wet in file.wet.extract_if(.., |wet| wet.number < written && !wet.is_forgotten) {
            wet.dry(&mut file.durable);
        }
    }

    /// The sync of what had been written when `written` was asked for failed.
    pub fn fail_sync(&mut self, file: FileId, written: u64) {
        let wet = self.files[file.0].wet.iter_mut().filter(|wet| wet.number < written);
        wet.for_each(|wet| wet.is_forgotten = true);
    }

    /// Makes the file at least that long.
    pub fn preallocate(&mut self, file: FileId, bytes: u64) {
        let file = &mut self.files[file.0];
        let length = file.seen.len().max(bytes as usize);
        file.seen.resize(length, 0);
        file.add(length, None);
    }

    /// The length of the file.
    pub fn len(&self, file: FileId) -> u64 {
        self.files[file.0].seen.len() as u64
    }

    /// The power fails.
    pub fn crash(&mut self, mix: &DiskMix, random: &mut Random) -> CrashDamage {
        let mut damage = CrashDamage::default();
        for file in &mut self.files {
            file.crash(mix, random, &mut damage);
        }
        for journal in self.journals.values_mut() {
            let kept = random.index(journal.len() + 1);
            damage.names_lost += (journal.len() - kept) as u64;
            for change in journal.drain(..).take(kept) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names.clone_from(&self.durable_names);
        damage
    }

    fn change(&mut self, path: &str, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.journals.entry(parent(path).to_owned()).or_default().push(change);
    }
}

impl FileBytes {
    fn add(&mut self, offset: usize, bytes: Option<Vec<u8>>) {
        self.wet.push(Wet { number: self.writes, offset, is_forgotten: false, bytes });
        self.writes += 1;
    }

    fn crash(&mut self, mix: &DiskMix, random: &mut Random, damage: &mut CrashDamage) {
        for wet in self.wet.drain(..) {
            let Some(bytes) = &wet.bytes else {
                if random.happens(mix.kept) {
                    wet.dry(&mut self.durable);
                }
                continue;
            };
            for (place, piece) in bytes.chunks(mix.piece_bytes).enumerate() {
                let offset = wet.offset + place * mix.piece_bytes;
                if random.happens(mix.kept) {
                    put(&mut self.durable, offset, piece);
                    damage.kept += 1;
                } else if random.happens(mix.garbled) {
                    put(&mut self.durable, offset, &garble(piece, random));
                    damage.garbled += 1;
                } else {
                    damage.lost += 1;
                }
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

impl Wet {
    fn dry(&self, durable: &mut Vec<u8>) {
        match &self.bytes {
            Some(bytes) => put(durable, self.offset, bytes),
            None => durable.resize(durable.len().max(self.offset), 0),
        }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, FileId>) {
        match self {
            NameChange::Set { name, file } => {
                names.insert(name, file);
            }
            NameChange::Rename { from, to } => {
                if let Some(file) = names.remove(&from) {
                    names.insert(to, file);
                }
            }
            NameChange::Remove { name } => {
                names.remove(&name);
            }
        }
    }
}

// A garbled piece keeps its beginning as often as not: a head that reads well before a body that does not is the
// nastiest thing to recover from.
fn garble(piece: &[u8], random: &mut Random) -> Vec<u8> {
    let from = random.index(piece.len().max(1));
    let mut garbled = piece.to_vec();
    for byte in &mut garbled[from..] {
        *byte ^= random.between(1, 255) as u8;
    }
    garbled
}

fn put(bytes: &mut Vec<u8>, offset: usize, piece: &[u8]) {
    let end = offset + piece.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(piece);
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
