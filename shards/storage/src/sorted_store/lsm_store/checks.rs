//! What the crate does not check.
//!
//! It checks every block and every blob that it reads, and the table of contents of every file. Two files it believes: the
//! version (which tables and blob files there are, and their checksums) and `current`, which names the version and keeps
//! its checksum. A damaged pair would make it forget tables, or remove them as leftovers; so both are checked before it is
//! let in, and restored from a copy if need be. Whole files are checked by [`verify`], for the scrubber.

use super::{SortedStoreError, copy, failed_as, failed_io};
use crate::sorted_store::{FailureKind, FileCheck, FileCursor};
use lsm_tree::{AbstractTree, AnyTree};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Bytes of `current`: version, its checksum, kind of checksum.
pub(super) const CURRENT_BYTES: usize = 8 + 16 + 1;
/// Bytes read at once while a file is checked.
const READ_BYTES: usize = 256 * 1024;

/// Makes the directory, or checks the one that is there; removes what a crash left of the crate's temporary files.
pub(super) fn prepare(path: &Path) -> Result<(), SortedStoreError> {
    let failed_io = |error: io::Error| failed_io(path, &error);
    if !path.is_dir() {
        fs::create_dir_all(path).map_err(failed_io)?;
        if let Some(parent) = path.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed_io)?;
        }
        return Ok(());
    }
    for file in fs::read_dir(path).map_err(failed_io)? {
        let file = file.map_err(failed_io)?;
        if file.file_name().to_string_lossy().starts_with(".tmp") {
            fs::remove_file(file.path()).map_err(failed_io)?;
        }
    }
    let Err(what) = check_version(path) else { return Ok(()) };
    if copy::restore(path).map_err(failed_io)? {
        return check_version(path).map_err(|what| failed_as(path, what, FailureKind::Damaged));
    }
    Err(failed_as(path, what, FailureKind::Damaged))
}

/// Is the version that `current` names the one that was written? `Ok` also for a directory in which nothing was flushed.
fn check_version(path: &Path) -> Result<(), String> {
    if !path.join("current").exists() {
        let has_tables = fs::read_dir(path.join("tables")).is_ok_and(|mut tables| tables.next().is_some());
        return if has_tables { Err("there are tables, but the file `current` is missing".to_owned()) } else { Ok(()) };
    }
    read_version(path).map(|_| ())
}

/// `current`, and the version that it names, checked.
pub(super) fn read_version(path: &Path) -> Result<([u8; CURRENT_BYTES], Vec<u8>), String> {
    let current = fs::read(path.join("current")).map_err(|error| format!("the file `current`: {error}"))?;
    let fields: [u8; CURRENT_BYTES] = current
        .as_slice()
        .try_into()
        .map_err(|_| format!("the file `current` has {} bytes, expected {CURRENT_BYTES}", current.len()))?;
    let version = u64::from_le_bytes(fields[0..8].try_into().expect("eight bytes"));
    let expected = u128::from_le_bytes(fields[8..24].try_into().expect("sixteen bytes"));
    if fields[24] != 0 {
        return Err(format!("the file `current` names the checksum {}, this program knows 0", fields[24]));
    }
    let name = format!("v{version}");
    let content = fs::read(path.join(&name)).map_err(|error| format!("the version `{name}`: {error}"))?;
    let found = xxh3_128(&content);
    if found == expected {
        Ok((fields, content))
    } else {
        Err(format!("the version `{name}` has the checksum {found:032x}, the file `current` expects {expected:032x}"))
    }
}

/// The same while versions may follow each other: what was found counts only if none did meanwhile.
fn check_version_while_open(path: &Path, tree: &AnyTree) -> Result<(), String> {
    loop {
        let before = tree.current_version().id();
        let found = check_version(path);
        if found.is_ok() || tree.current_version().id() == before {
            return found;
        }
    }
}

/// Is every table the one that its name says, and as long as it says itself?
pub(super) fn opened(path: &Path, tree: &AnyTree) -> Result<(), SortedStoreError> {
    let damaged = |what: String| failed_as(path, what, FailureKind::Damaged);
    for table in tree.current_version().iter_tables() {
        let name = table.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name != table.id().to_string() {
            return Err(damaged(format!("the table `{name}` says that it is table {}", table.id())));
        }
    }
    Ok(())
}

/// A file that has a checksum, in the order in which files are checked: tables, then blob files, each by number.
struct Checked {
    place: (u8, u64),
    path: PathBuf,
    sum: u128,
}

fn next_file(tree: &AnyTree, after: Option<(u8, u64)>, is_same: bool) -> Option<Checked> {
    let version = tree.current_version();
    let tables = version.iter_tables().map(|table| Checked {
        place: (0, table.id()),
        path: table.path.to_path_buf(),
        sum: table.checksum().into_u128(),
    });
    let blobs = version.blob_files.iter().map(|blob| Checked {
        place: (1, blob.id()),
        path: blob.path().to_path_buf(),
        sum: blob.checksum().into_u128(),
    });
    let follows = |file: &Checked| after.is_none_or(|after| file.place > after || (is_same && file.place == after));
    tables.chain(blobs).filter(follows).min_by_key(|file| file.place)
}

/// Checks the files behind the cursor, about `bytes_max` bytes of them. A file that is merged away meanwhile is left out.
pub(super) fn verify(
    path: &Path,
    tree: &AnyTree,
    cursor: &mut FileCursor,
    bytes_max: u64,
) -> Result<FileCheck, SortedStoreError> {
    let mut check = FileCheck::default();
    if cursor.file.is_none()
        && let Err(what) = check_version_while_open(path, tree)
    {
        check.damaged.push(("current".to_owned(), what));
    }
    while check.bytes < bytes_max {
        let is_same = cursor.sum.is_some();
        let Some(file) = next_file(tree, cursor.file, is_same) else {
            *cursor = FileCursor::default();
            check.is_done = true;
            return Ok(check);
        };
        if cursor.file != Some(file.place) || cursor.sum.is_none() {
            *cursor = FileCursor { file: Some(file.place), offset: 0, sum: Some(Box::new(Xxh3::new())) };
        }
        let name = file.path.strip_prefix(path).unwrap_or(&file.path).display().to_string();
        match sum_up(&file, cursor, bytes_max - check.bytes) {
            Ok((bytes, is_whole)) => {
                check.bytes += bytes;
                if is_whole {
                    let found = cursor.sum.take().map_or(0, |sum| sum.digest128());
                    if found != file.sum {
                        let what = format!("checksum {found:032x}, expected {:032x}", file.sum);
                        check.damaged.push((name, what));
                    }
                }
            }
            // Merged away while it was read: what took its place has a number of its own.
            Err(_) if next_file(tree, cursor.file, true).is_none_or(|next| next.place != file.place) => {
                cursor.sum = None
            }
            Err(error) => {
                cursor.sum = None;
                check.damaged.push((name, error.to_string()));
            }
        }
    }
    Ok(check)
}

/// Reads on in a file; how many bytes, and whether it is read to its end.
fn sum_up(file: &Checked, cursor: &mut FileCursor, bytes_max: u64) -> io::Result<(u64, bool)> {
    let open = File::open(&file.path)?;
    let (mut bytes, mut buffer) = (0, vec![0; READ_BYTES]);
    while bytes < bytes_max {
        let read = open.read_at(&mut buffer, cursor.offset)?;
        if read == 0 {
            return Ok((bytes, true));
        }
        if let Some(sum) = &mut cursor.sum {
            sum.update(&buffer[..read]);
        }
        cursor.offset += read as u64;
        bytes += read as u64;
    }
    Ok((bytes, false))
}
