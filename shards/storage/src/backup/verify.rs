//! Looks at every byte of a backup: names, lengths, checksums, order and counts.

use super::chain::Chain;
use super::cursor::RunCursor;
use super::error::BackupError;
use super::manifest::{BackupManifest, DataFile, MANIFEST};
use super::reader::DataReader;
use super::repository::{Repository, names_in};
use crate::limits::BACKUP_LOSSES_MAX;
use std::path::Path;
use std::sync::Arc;

/// Bytes that are read at once for the checksum of a whole file.
const READ_BYTES: usize = 1 << 20;

/// What was found out about one backup.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// The backup.
    pub id: String,
    /// Data bytes that were read.
    pub bytes: u64,
    /// Records that were counted.
    pub records: u64,
    /// What is wrong with it, file by file; nothing if it is as it was written. At most [`BACKUP_LOSSES_MAX`].
    pub problems: Vec<String>,
    /// What the node itself could not read when the backup was made.
    pub losses: Vec<String>,
}

/// Verifies one backup and that its chain can be followed. `progress` is told how many bytes were read since the last time.
pub fn verify_backup(repository: &Repository, id: &str, progress: &mut dyn FnMut(u64)) -> Verified {
    let mut verified = Verified { id: id.to_owned(), ..Verified::default() };
    let manifest = match repository.manifest(id) {
        Ok(manifest) => manifest,
        Err(error) => {
            verified.problems.push(error.to_string());
            return verified;
        }
    };
    verified.losses = manifest.losses();
    if let Err(error) = Chain::resolve(repository, id) {
        verified.problems.push(error.to_string());
    }
    let directory = repository.backup_path(id);
    verified.names(&directory, &manifest);
    for file in &manifest.files {
        if !directory.join(&file.name).exists() {
            continue; // Said already.
        }
        if let Err(error) = verified.file(&directory, &manifest, file, progress) {
            verified.note(error.to_string());
        }
    }
    verified
}

impl Verified {
    /// Is it as it was written?
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn note(&mut self, problem: String) {
        if self.problems.len() < BACKUP_LOSSES_MAX {
            self.problems.push(problem);
        }
    }

    fn names(&mut self, directory: &Path, manifest: &BackupManifest) {
        let mut names = match names_in(directory) {
            Ok(names) => names,
            Err(error) => return self.note(error.to_string()),
        };
        names.sort();
        for file in manifest.files.iter().filter(|file| !names.contains(&file.name)) {
            self.note(format!("{} is missing", directory.join(&file.name).display()));
        }
        let is_ours = |name: &String| name == MANIFEST || manifest.files.iter().any(|file| file.name == *name);
        for name in names.iter().filter(|name| !is_ours(name)) {
            self.note(format!("{} is foreign: no file of this backup", directory.join(name).display()));
        }
    }

    fn file(
        &mut self,
        directory: &Path,
        manifest: &BackupManifest,
        file: &DataFile,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BackupError> {
        let reader = Arc::new(DataReader::open(directory, file)?);
        let before = self.problems.len();
        if let Err(error) = reader.check(file, manifest.vnode_bits) {
            self.note(error.to_string());
        }
        let mut crc = 0;
        let mut offset = 0;
        while offset < reader.bytes() {
            let piece = reader.read_raw(offset, READ_BYTES)?;
            crc = crc32c::crc32c_append(crc, &piece);
            offset += piece.len() as u64;
            self.bytes += piece.len() as u64;
            progress(piece.len() as u64);
        }
        for run in &file.runs {
            let mut cursor = RunCursor::open(&reader, file, *run, manifest.vnode_bits)?;
            while cursor.take()?.is_some() {
                self.records += 1;
            }
            for gap in cursor.gaps() {
                self.note(BackupError::damaged(reader.path(), Some(gap.offset), &gap.what).to_string());
            }
        }
        if Some(crc) != file.crc() && self.problems.len() == before {
            let what = format!("checksum {crc:08x}, expected {}", file.crc32c);
            return Err(BackupError::damaged(reader.path(), None, what));
        }
        Ok(())
    }
}
