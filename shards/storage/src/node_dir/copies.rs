//! The two files of the identity: what is read of them, and how they are replaced.
//!
//! Each is replaced by a new file that takes its name when it is durable; one after the other, so that at every moment one
//! is good. Where the disk is full they are written over in place instead, again one after the other.

use super::identity::{self, Birthmark, Fault, Written};
use super::{DirNotice, Identity, NodeDirError, io_error, sync_directory};
use crate::disk::{StdDisk, run_ready};
use crate::set_aside::set_aside;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The files, in the order in which they are written.
pub(super) const NAMES: [&str; 2] = ["identity", "identity.copy"];
/// Files of this many bytes are read; an identity is far smaller.
const IDENTITY_BYTES_MAX: u64 = 4096;

/// What the two files say.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) identity: Identity,
    pub(super) sequence: u64,
    /// The file is not the one that was written: somebody copied the directory, or restored it.
    pub(super) is_copy: bool,
    /// Damaged files beside a good one.
    pub(super) bad: Vec<(&'static str, String)>,
    /// Is a file missing?
    pub(super) is_lonely: bool,
}

/// Reads both files; `None` if neither is there.
pub(super) fn read(directory: &Path) -> Result<Option<Found>, NodeDirError> {
    let mut good: Option<(Written, Birthmark)> = None;
    let (mut bad, mut claims, mut missing) = (Vec::new(), Vec::new(), 0);
    for name in NAMES {
        let Some((bytes, birthmark)) = read_file(&directory.join(name))? else {
            missing += 1;
            continue;
        };
        match identity::decode(&bytes) {
            Ok(written) if good.as_ref().is_none_or(|(other, _)| other.sequence < written.sequence) => {
                good = Some((written, birthmark));
            }
            Ok(_) => {}
            Err(Fault::Version(found)) => return Err(other_version(found)),
            Err(Fault::Damaged { what, claims: claimed }) => {
                claims.push(claimed);
                bad.push((name, what));
            }
        }
    }
    match (good, claims.as_slice()) {
        (Some((written, birthmark)), _) => {
            let Written { identity, sequence, birthmark: of_old } = written;
            Ok(Some(Found { identity, sequence, is_copy: birthmark != of_old, bad, is_lonely: missing > 0 }))
        }
        (None, []) => Ok(None),
        // No rot makes both files agree about another version: then it is one, with another checksum.
        (None, [Some(one), Some(other)]) if one == other && *one != identity::FORMAT_VERSION => {
            Err(other_version(*one))
        }
        (None, _) => {
            let what = bad.iter().map(|(name, what)| format!("{name}: {what}")).collect::<Vec<_>>().join("; ");
            Err(NodeDirError::Damaged { what })
        }
    }
}

fn other_version(found: u16) -> NodeDirError {
    let known = identity::FORMAT_VERSION;
    if found > known { NodeDirError::NewerFormat { found, known } } else { NodeDirError::OlderFormat { found, known } }
}

fn read_file(path: &Path) -> Result<Option<(Vec<u8>, Birthmark)>, NodeDirError> {
    use std::io::Read;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let birthmark = Birthmark::of(&file.metadata().map_err(io_error("look at", path))?);
    let mut bytes = Vec::new();
    match file.take(IDENTITY_BYTES_MAX).read_to_end(&mut bytes) {
        Ok(_) => {}
        // A sector that cannot be read is as bad as one that reads wrong: the other file may be good.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => bytes.clear(),
        Err(error) => return Err(io_error("read", path)(error)),
    }
    Ok(Some((bytes, birthmark)))
}

/// Sets damaged files aside under names that say why.
pub(super) fn set_bad_aside(
    directory: &Path,
    found: &Found,
    unix_seconds: u64,
) -> Result<Vec<DirNotice>, NodeDirError> {
    if found.bad.is_empty() {
        return Ok(Vec::new());
    }
    let disk = StdDisk::open(directory).map_err(io_error("open", directory))?;
    let aside = |(name, what): &(&'static str, String)| {
        let aside = run_ready(set_aside(&disk, name, "checksum", unix_seconds))?;
        Ok(DirNotice::IdentitySetAside { name, aside, what: what.clone() })
    };
    found.bad.iter().map(aside).collect()
}

/// Replaces both files durably. After an error the old identity or the new one is in force.
pub(super) fn write(directory: &Path, identity: &Identity, sequence: u64) -> Result<(), NodeDirError> {
    for name in NAMES {
        let path = directory.join(name);
        match replace(directory, &path, identity, sequence) {
            Err(NodeDirError::Io { source, .. }) if is_no_room(&source) && path.exists() => {
                write_over(&path, identity, sequence)?;
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn replace(directory: &Path, path: &Path, identity: &Identity, sequence: u64) -> Result<(), NodeDirError> {
    let new_path = new_path(path);
    // A leftover keeps an old birth: begin with a file of our own.
    match fs::remove_file(&new_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &new_path)(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::create_new(&new_path).map_err(io_error("create", &new_path))?;
    let bytes = encode_for(&file, identity, sequence).map_err(io_error("look at", &new_path))?;
    file.write_all(&bytes).map_err(io_error("write", &new_path))?;
    file.sync_all().map_err(io_error("sync", &new_path))?;
    fs::rename(&new_path, path).map_err(io_error("replace", path))?;
    sync_directory(directory)
}

/// Without asking the disk for room: the bytes go where the old ones are.
fn write_over(path: &Path, identity: &Identity, sequence: u64) -> Result<(), NodeDirError> {
    let file = OpenOptions::new().write(true).open(path).map_err(io_error("open", path))?;
    let bytes = encode_for(&file, identity, sequence).map_err(io_error("look at", path))?;
    file.write_all_at(&bytes, 0).map_err(io_error("write", path))?;
    file.set_len(bytes.len() as u64).map_err(io_error("cut", path))?;
    file.sync_all().map_err(io_error("sync", path))
}

fn encode_for(file: &File, identity: &Identity, sequence: u64) -> io::Result<Vec<u8>> {
    let birthmark = Birthmark::of(&file.metadata()?);
    Ok(identity::encode(&Written { identity: identity.clone(), sequence, birthmark }))
}

/// Under which name the next file is made.
pub(super) fn new_path(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}
