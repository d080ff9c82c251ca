//! Small files that are kept twice, so that no single fault costs what they say.
//!
//! `NAME` and `NAME.copy` hold the same bytes with a sequence number. Each is replaced as a whole: the new one is written
//! and synced beside it, takes its name, and the directory is synced; first the main one, then the copy. Who reads them takes
//! the valid one with the higher number.

use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::limits::{PAGE_BYTES, TWIN_BYTES_MAX};
use crate::set_aside::set_aside;
use crate::wal::create_anew;

/// The names of a file and its copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Twin {
    pub(crate) main: &'static str,
    pub(crate) copy: &'static str,
}

/// Why the bytes of one file are not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CopyFault {
    /// Not what was written.
    Bad(String),
    /// Of a version that is not ours, by its own account.
    Version(u16),
}

/// What one of the two files holds.
#[derive(Debug)]
pub(crate) enum OneFile<T> {
    Absent,
    Good { sequence: u64, value: T },
    Bad(CopyFault),
}

/// What both hold.
#[derive(Debug)]
pub(crate) struct Copies<T> {
    pub(crate) main: OneFile<T>,
    pub(crate) copy: OneFile<T>,
}

/// The value that counts, and what is to be said about the files.
#[derive(Debug)]
pub(crate) struct Choice<T> {
    pub(crate) value: Option<T>,
    /// Files that do not hold what was written, and why.
    pub(crate) bad: Vec<(&'static str, String)>,
    /// The files are not both there with the same content: write them again.
    pub(crate) is_uneven: bool,
    /// The main file, which is written first, is not there, and the copy is.
    pub(crate) is_main_missing: bool,
}

impl Twin {
    /// Reads both files.
    pub(crate) async fn read<D: Disk, T>(
        self,
        disk: &D,
        decode: impl Fn(&[u8]) -> Result<(u64, T), CopyFault>,
    ) -> Result<Copies<T>, StorageError> {
        let main = read_one(disk, self.main, &decode).await?;
        Ok(Copies { main, copy: read_one(disk, self.copy, &decode).await? })
    }

    /// Replaces both files durably. After an error the old or the new bytes are in force.
    pub(crate) async fn write<D: Disk>(self, disk: &D, bytes: &[u8]) -> Result<(), StorageError> {
        replace(disk, self.main, bytes).await?;
        replace(disk, self.copy, bytes).await
    }

    /// Refuses files of another version by name: both say so, or one and the other says nothing.
    pub(crate) fn choose<T>(self, copies: Copies<T>, version: u16) -> Result<Choice<T>, StorageError> {
        let foreign = match (&copies.main, &copies.copy) {
            (OneFile::Bad(CopyFault::Version(found)), OneFile::Bad(CopyFault::Version(_)) | OneFile::Absent)
            | (OneFile::Absent, OneFile::Bad(CopyFault::Version(found))) => Some(*found),
            _ => None,
        };
        if let Some(found) = foreign {
            let what = format!("format version {found}, this program knows {version}; start the version that wrote it");
            return Err(StorageError::Foreign { path: self.main.to_owned(), what });
        }
        let bad =
            [(self.main, &copies.main), (self.copy, &copies.copy)].into_iter().filter_map(|(path, copy)| match copy {
                OneFile::Bad(CopyFault::Bad(what)) => Some((path, what.clone())),
                OneFile::Bad(CopyFault::Version(found)) => Some((path, format!("format version {found}"))),
                OneFile::Absent | OneFile::Good { .. } => None,
            });
        let bad = bad.collect();
        let is_main_missing =
            matches!((&copies.main, &copies.copy), (OneFile::Absent, OneFile::Good { .. } | OneFile::Bad(_)));
        let (value, is_uneven) = match (copies.main, copies.copy) {
            (OneFile::Good { sequence, value }, OneFile::Good { sequence: behind, .. }) if behind <= sequence => {
                (Some(value), behind != sequence)
            }
            (_, OneFile::Good { value, .. }) | (OneFile::Good { value, .. }, _) => (Some(value), true),
            (OneFile::Absent, OneFile::Absent) => (None, false),
            (OneFile::Absent | OneFile::Bad(_), OneFile::Absent | OneFile::Bad(_)) => (None, true),
        };
        Ok(Choice { value, bad, is_uneven, is_main_missing })
    }

    /// Renames the bad files, and says where they are now.
    pub(crate) async fn set_aside_bad<D: Disk>(
        disk: &D,
        bad: &[(&'static str, String)],
        unix_seconds: u64,
    ) -> Result<Vec<(String, String)>, StorageError> {
        let mut gone = Vec::new();
        for (path, why) in bad {
            gone.push((set_aside(disk, path, "checksum", unix_seconds).await?, why.clone()));
        }
        Ok(gone)
    }
}

async fn read_one<D: Disk, T>(
    disk: &D,
    path: &str,
    decode: &impl Fn(&[u8]) -> Result<(u64, T), CopyFault>,
) -> Result<OneFile<T>, StorageError> {
    let file = match disk.open(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(OneFile::Absent),
        opened => opened.map_err(StorageError::io("open", path))?,
    };
    let bytes = file.read_at(0, TWIN_BYTES_MAX).await.map_err(StorageError::io("read", path))?;
    file.close().await.map_err(StorageError::io("close", path))?;
    Ok(match decode(&bytes) {
        Ok((sequence, value)) => OneFile::Good { sequence, value },
        Err(fault) => OneFile::Bad(fault),
    })
}

/// Replaces one file durably.
pub(crate) async fn replace<D: Disk>(disk: &D, path: &str, bytes: &[u8]) -> Result<(), StorageError> {
    let new = format!("{path}.new");
    let mut buffer = disk.buffer(bytes.len().next_multiple_of(PAGE_BYTES).max(PAGE_BYTES));
    let (used, rest) = buffer.split_at_mut(bytes.len());
    used.copy_from_slice(bytes);
    rest.fill(0);
    let file = create_anew(disk, &new).await?;
    file.write_at(buffer, 0).await.map_err(StorageError::io("write", &new))?;
    file.sync_data().await.map_err(StorageError::io("sync", &new))?;
    file.close().await.map_err(StorageError::io("close", &new))?;
    disk.rename(&new, path).await.map_err(StorageError::io("replace", path))?;
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    disk.sync_dir(dir).await.map_err(StorageError::io("sync the directory of", path))
}
