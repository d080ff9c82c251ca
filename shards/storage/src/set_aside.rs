//! Damaged files leave the way, and stay to be looked at.
//!
//! `NAME` becomes `NAME.damaged-SECONDS-REASON` in the same directory. Nothing ever opens such a name again; `rondo damage`
//! lists them, and only a human removes them.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::limits::SET_ASIDE_NAMES_MAX;

const MARK: &str = ".damaged-";

/// What a name that was set aside says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    /// What the file or directory was called, without its directory.
    pub name: String,
    /// When it was set aside, in seconds since 1970.
    pub unix_seconds: u64,
    /// Why, in lower-case words with hyphens between them.
    pub reason: String,
}

impl SetAside {
    /// What `name` (without its directory) says; `None` if nothing was set aside under it.
    pub fn parse(name: &str) -> Option<SetAside> {
        let (before, after) = name.split_once(MARK)?;
        let (seconds, reason) = after.split_once('-')?;
        let unix_seconds = seconds.parse().ok()?;
        Some(SetAside { name: before.to_owned(), unix_seconds, reason: reason.to_owned() })
    }
}

/// Was this name given by [`set_aside`]?
pub fn is_set_aside(name: &str) -> bool {
    name.contains(MARK)
}

/// Renames the file or directory at `path` so that it is never opened again, durably, and gives its new path. `reason` is a
/// few lower-case words with hyphens between them. After an error the old or the new name is in force.
pub async fn set_aside<D: Disk>(disk: &D, path: &str, reason: &str, unix_seconds: u64) -> Result<String, StorageError> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let taken = disk.list(dir).await.map_err(StorageError::io("list", dir))?;
    let wanted = format!("{name}{MARK}{unix_seconds}-{reason}");
    // The same name twice in one second: the second one gets a number.
    let numbered = (2..SET_ASIDE_NAMES_MAX).map(|number| format!("{wanted}-{number}"));
    let free = core::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or(wanted);
    let target = if dir.is_empty() { free } else { format!("{dir}/{free}") };
    disk.rename(path, &target).await.map_err(StorageError::io("set aside", path))?;
    disk.sync_dir(dir).await.map_err(StorageError::io("sync the directory of", path))?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{StdDisk, run_ready};

    #[test]
    fn what_is_set_aside_says_what_it_was_when_and_why() {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = StdDisk::open(dir.path()).expect("a disk");
        std::fs::create_dir(dir.path().join("wal")).expect("wal");
        for _ in 0..2 {
            std::fs::write(dir.path().join("wal/1.log"), "rot").expect("a file");
            run_ready(set_aside(&disk, "wal/1.log", "rot-in-the-middle", 1234)).expect("renamed");
        }
        let mut names = run_ready(disk.list("wal")).expect("listed");
        names.sort();
        assert_eq!(names, ["1.log.damaged-1234-rot-in-the-middle", "1.log.damaged-1234-rot-in-the-middle-2"]);
        let said = SetAside::parse(&names[0]).expect("a name that was set aside");
        assert_eq!((said.name.as_str(), said.unix_seconds, said.reason.as_str()), ("1.log", 1234, "rot-in-the-middle"));
        assert!(is_set_aside(&names[1]) && !is_set_aside("1.log"));
    }
}
