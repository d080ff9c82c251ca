//! Is the path a place where data can lie? Looked at before anything is written.

use super::{DirNotice, NodeDirError, copies, io_error, sync_directory};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "LOCK";
/// Write permission for everybody.
const OTHERS_WRITE: u32 = 0o002;
/// Any permission for everybody.
const OTHERS_ANY: u32 = 0o007;

/// The directory that `path` means: a link to one is followed. `None` if nothing is there.
pub(super) fn resolve(path: &Path) -> Result<Option<PathBuf>, NodeDirError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(NodeDirError::NotADirectory { path: path.to_owned() });
        }
        Err(error) => return Err(io_error("look at", path)(error)),
        Ok(_) => {}
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::canonicalize(path).map(Some).map_err(io_error("look at", path)),
        Ok(_) => Err(NodeDirError::NotADirectory { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let target = fs::read_link(path).map_err(io_error("look at", path))?;
            Err(NodeDirError::DanglingLink { path: path.to_owned(), target })
        }
        Err(error) => Err(io_error("look at", path)(error)),
    }
}

/// Makes the directory, for this user alone, and those above it that are missing; durably.
pub(super) fn create(path: &Path) -> Result<PathBuf, NodeDirError> {
    let mut missing = Vec::new();
    for place in path.ancestors().filter(|place| !place.as_os_str().is_empty()) {
        if place.exists() {
            break;
        }
        missing.push(place);
    }
    for &place in missing.iter().rev() {
        match DirBuilder::new().mode(0o700).create(place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome.map_err(io_error("create", place))?,
        }
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))?;
    }
    fs::canonicalize(path).map_err(io_error("look at", path))
}

/// Refuses a directory that everybody may write into; a word if everybody may look.
pub(super) fn check_permissions(path: &Path) -> Result<Option<DirNotice>, NodeDirError> {
    let mode = fs::metadata(path).map_err(io_error("look at", path))?.permissions().mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(NodeDirError::OthersMayWrite { path: path.to_owned(), mode });
    }
    Ok((mode & OTHERS_ANY != 0).then(|| DirNotice::OthersMayLook { path: path.to_owned(), mode }))
}

/// A directory without identity must be empty (a crash while it was created may have left the lock and a half identity).
pub(super) fn refuse_strangers(path: &Path) -> Result<(), NodeDirError> {
    let has_identity = copies::NAMES.iter().any(|name| path.join(name).exists());
    if has_identity {
        return Ok(());
    }
    let new = copies::NAMES.map(|name| copies::new_path(Path::new(name)).into_os_string());
    for file in fs::read_dir(path).map_err(io_error("list", path))? {
        let name = file.map_err(io_error("list", path))?.file_name();
        // Every file system has `lost+found` at its root.
        let is_expected = name == *LOCK || name == *"lost+found" || new.contains(&name);
        if !is_expected {
            let found = name.to_string_lossy().into_owned();
            return Err(NodeDirError::NotOurs { path: path.to_owned(), found });
        }
    }
    Ok(())
}

/// Locks the directory for as long as the file is open.
pub(super) fn lock(path: &Path) -> Result<File, NodeDirError> {
    let lock_path = path.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
    let lock = opened.map_err(io_error("open", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(NodeDirError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &lock_path)(error)),
    }
}
