//! The files of a node's directory, by what they are for.
//!
//! A file that is not in this list stops the campaign: whoever gives the node a new file says here what it is, and in
//! `docs/faults.md` what becomes of its damage.

use core::fmt;
use rondo_storage::Engine;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// Whose directory it is.
    Identity,
    /// The copy of it.
    IdentityCopy,
    /// What is checkpointed.
    Manifest,
    /// The copy of it.
    ManifestCopy,
    /// What was lost.
    Wounds,
    /// The copy of it.
    WoundsCopy,
    /// A segment of the log.
    LogSegment,
    /// The segment that is set aside for a full disk.
    LogReserve,
    /// The list of the keys in a sled store.
    KeyJournal,
    /// sled's pages.
    SledDb,
    /// sled's settings.
    SledConf,
    /// sled's page table.
    SledSnapshot,
    /// Which version of the LSM tree counts.
    LsmCurrent,
    /// The tables and blob files of a version.
    LsmVersion,
    /// The copy of `current` and the version.
    LsmCopy,
    /// A sorted table.
    LsmTable,
    /// Large values.
    LsmBlob,
}

impl FileKind {
    /// All of them, in the order of the table.
    pub const ALL: [FileKind; 17] = [
        FileKind::Identity,
        FileKind::IdentityCopy,
        FileKind::Manifest,
        FileKind::ManifestCopy,
        FileKind::Wounds,
        FileKind::WoundsCopy,
        FileKind::LogSegment,
        FileKind::LogReserve,
        FileKind::KeyJournal,
        FileKind::SledDb,
        FileKind::SledConf,
        FileKind::SledSnapshot,
        FileKind::LsmCurrent,
        FileKind::LsmVersion,
        FileKind::LsmCopy,
        FileKind::LsmTable,
        FileKind::LsmBlob,
    ];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Identity => "identity",
            FileKind::IdentityCopy => "identity copy",
            FileKind::Manifest => "manifest",
            FileKind::ManifestCopy => "manifest copy",
            FileKind::Wounds => "wounds",
            FileKind::WoundsCopy => "wounds copy",
            FileKind::LogSegment => "log segment",
            FileKind::LogReserve => "log reserve",
            FileKind::KeyJournal => "key journal",
            FileKind::SledDb => "sled: db",
            FileKind::SledConf => "sled: conf",
            FileKind::SledSnapshot => "sled: snapshot",
            FileKind::LsmCurrent => "lsm: current",
            FileKind::LsmVersion => "lsm: version",
            FileKind::LsmCopy => "lsm: copy of the version",
            FileKind::LsmTable => "lsm: table",
            FileKind::LsmBlob => "lsm: blob file",
        }
    }

    /// Does a directory of that engine have such a file?
    pub fn is_of(self, engine: Engine) -> bool {
        match self {
            FileKind::Identity
            | FileKind::IdentityCopy
            | FileKind::Manifest
            | FileKind::ManifestCopy
            | FileKind::Wounds
            | FileKind::WoundsCopy
            | FileKind::LogSegment
            | FileKind::LogReserve => true,
            FileKind::KeyJournal | FileKind::SledDb | FileKind::SledConf | FileKind::SledSnapshot => {
                engine == Engine::Sled
            }
            FileKind::LsmCurrent
            | FileKind::LsmVersion
            | FileKind::LsmCopy
            | FileKind::LsmTable
            | FileKind::LsmBlob => engine == Engine::Lsm,
        }
    }

    /// Is it never longer than a page? Then it has no two that could change places.
    pub fn is_one_page(self) -> bool {
        match self {
            FileKind::Identity
            | FileKind::IdentityCopy
            | FileKind::Manifest
            | FileKind::ManifestCopy
            | FileKind::Wounds
            | FileKind::WoundsCopy
            | FileKind::SledConf
            | FileKind::SledSnapshot
            | FileKind::LsmCurrent
            | FileKind::LsmVersion
            | FileKind::LsmCopy => true,
            FileKind::LogSegment
            | FileKind::LogReserve
            | FileKind::KeyJournal
            | FileKind::SledDb
            | FileKind::LsmTable
            | FileKind::LsmBlob => false,
        }
    }

    /// What the file at `path` (relative to the node's directory) is for.
    fn of(path: &Path) -> Option<FileKind> {
        let text = path.to_string_lossy();
        let name = path.file_name()?.to_string_lossy();
        let is_in = |directory: &str| text.contains(directory);
        match name.as_ref() {
            "identity" => Some(FileKind::Identity),
            "identity.copy" => Some(FileKind::IdentityCopy),
            "manifest" if !is_in("lsm-") => Some(FileKind::Manifest),
            "manifest.copy" if !is_in("lsm-") => Some(FileKind::ManifestCopy),
            "wounds" => Some(FileKind::Wounds),
            "wounds.copy" => Some(FileKind::WoundsCopy),
            // The spare, too: nothing that stands in it is read.
            "reserve" | "spare" if is_in("/wal/") => Some(FileKind::LogReserve),
            _ if is_in("/wal/") && name.ends_with(".log") => Some(FileKind::LogSegment),
            _ if name.starts_with("keys-") => Some(FileKind::KeyJournal),
            "db" if is_in("/sled-") => Some(FileKind::SledDb),
            "conf" if is_in("/sled-") => Some(FileKind::SledConf),
            _ if is_in("/sled-") && name.starts_with("snap.") => Some(FileKind::SledSnapshot),
            "copy-of-version" if is_in("/lsm-") => Some(FileKind::LsmCopy),
            "current" if is_in("/lsm-") => Some(FileKind::LsmCurrent),
            _ if is_in("/tables/") && is_in("/lsm-") => Some(FileKind::LsmTable),
            _ if is_in("/blobs/") && is_in("/lsm-") => Some(FileKind::LsmBlob),
            _ if is_in("/lsm-") && name.starts_with('v') => Some(FileKind::LsmVersion),
            _ => None,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Empty or meaningless by contract, or set aside: nothing reads them.
fn is_ignored(path: &Path) -> bool {
    let is_set_aside = path.iter().any(|part| rondo_storage::is_set_aside(&part.to_string_lossy()));
    is_set_aside || path.file_name().is_some_and(|name| name == "LOCK" || name == "lock")
}

/// Every file below `root` with what it is for, relative to it, in the order of their names; empty ones are left out.
///
/// # Errors
/// A file that nobody has listed, or the directory cannot be read.
pub fn list(root: &Path) -> Result<Vec<(FileKind, PathBuf)>, String> {
    let mut paths = Vec::new();
    walk(root, Path::new(""), &mut paths).map_err(|error| format!("cannot list {}: {error}", root.display()))?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let has_bytes = fs::metadata(root.join(&path)).is_ok_and(|metadata| metadata.len() > 0);
        if is_ignored(&path) || !has_bytes {
            continue;
        }
        let kind = FileKind::of(&path);
        files.push((kind.ok_or_else(|| format!("{} is in no list of `FileKind`", path.display()))?, path));
    }
    Ok(files)
}

/// All files below `root`, relative to it.
pub fn walk(root: &Path, inside: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(inside))? {
        let entry = entry?;
        let path = inside.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(root, &path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// Copies a directory with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
