//! A directory of backups.
//!
//! ```text
//! DIR/repository            whose backups these are
//! DIR/ID.partial/…          one that is being written (or was: the node's next backup removes it)
//! DIR/ID/manifest           a whole one
//! DIR/ID/shard-000.data
//! ```
//! A backup gets its name when all of it is durable, so what has a name is whole.

use super::error::BackupError;
use super::manifest::{BackupManifest, MANIFEST};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MARK: &str = "repository";
const MARK_NEW: &str = "repository.new";
const MARK_MAGIC: &str = "RONDOBKR";
const MARK_VERSION: u32 = 1;
/// A mark is three short lines.
const MARK_BYTES_MAX: u64 = 4096;
const PARTIAL: &str = ".partial";

/// A directory that holds the backups of one cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repository {
    path: PathBuf,
    cluster_id: u128,
}

/// A backup as the directory lists it.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// Its manifest, or why it cannot be read.
    pub manifest: Result<BackupManifest, BackupError>,
}

/// What lies in a repository.
#[derive(Debug)]
pub struct Listing {
    /// The backups, oldest first.
    pub backups: Vec<Listed>,
    /// Backups that were not finished.
    pub partial: Vec<String>,
    /// What rondo did not put there.
    pub foreign: Vec<String>,
}

/// A backup that is being written.
#[derive(Debug)]
pub struct Partial {
    repository: PathBuf,
    path: PathBuf,
    id: String,
}

impl Repository {
    /// Opens a repository to write to. A directory that is not there, or empty, becomes one.
    pub fn create(path: &Path, cluster_id: u128) -> Result<Repository, BackupError> {
        create_dir(path, true)?;
        if !path.join(MARK).exists() {
            refuse_strangers(path)?;
            write_mark(path, cluster_id)?;
        }
        let repository = Repository::open(path)?;
        repository.check_cluster(cluster_id)?;
        Ok(repository)
    }

    /// Opens a repository to read.
    pub fn open(path: &Path) -> Result<Repository, BackupError> {
        let mark = path.join(MARK);
        let mut text = String::new();
        match File::open(&mark) {
            Ok(file) => file.take(MARK_BYTES_MAX).read_to_string(&mut text).map_err(BackupError::io("read", &mark))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_dir() => {
                let found = first_name(path)?.unwrap_or_else(|| "nothing".to_owned());
                return Err(BackupError::NotOurs { path: path.to_owned(), found });
            }
            Err(error) => return Err(BackupError::io("open", &mark)(error)),
        };
        Ok(Repository { path: path.to_owned(), cluster_id: parse_mark(&text, &mark)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose backups it holds.
    pub fn cluster_id(&self) -> u128 {
        self.cluster_id
    }

    fn check_cluster(&self, expected: u128) -> Result<(), BackupError> {
        if self.cluster_id == expected {
            return Ok(());
        }
        Err(BackupError::OtherCluster { path: self.path.clone(), found: self.cluster_id, expected })
    }

    /// Everything that lies there.
    pub fn list(&self) -> Result<Listing, BackupError> {
        let mut listing = Listing { backups: Vec::new(), partial: Vec::new(), foreign: Vec::new() };
        let mut names = names_in(&self.path)?;
        names.sort();
        for name in names {
            if name == MARK || name == MARK_NEW || name == "lost+found" {
                continue;
            }
            if name.ends_with(PARTIAL) {
                listing.partial.push(name);
            } else if self.path.join(&name).is_dir() && is_id(&name) {
                let manifest = self.manifest(&name);
                listing.backups.push(Listed { id: name, manifest });
            } else {
                listing.foreign.push(name);
            }
        }
        Ok(listing)
    }

    /// The directory of a backup.
    pub fn backup_path(&self, id: &str) -> PathBuf {
        self.path.join(id)
    }

    /// The manifest of a backup.
    pub fn manifest(&self, id: &str) -> Result<BackupManifest, BackupError> {
        let directory = self.path.join(id);
        if !is_id(id) || !directory.is_dir() {
            return Err(BackupError::NoSuchBackup { id: id.to_owned(), path: self.path.clone() });
        }
        let path = directory.join(MANIFEST);
        let manifest = BackupManifest::read(&path)?;
        if manifest.id != id {
            return Err(BackupError::damaged(&path, None, format!("it is the manifest of {}", manifest.id)));
        }
        match manifest.cluster_id() {
            Some(found) if found != self.cluster_id => {
                Err(BackupError::OtherCluster { path, found, expected: self.cluster_id })
            }
            Some(_) | None => Ok(manifest),
        }
    }

    /// The newest whole backup of a node with the same choice of keyspaces: what the next increment is of.
    pub fn newest(&self, node: &str, keyspace: Option<&str>) -> Result<Option<BackupManifest>, BackupError> {
        let manifests = self.list()?.backups.into_iter().filter_map(|listed| listed.manifest.ok());
        Ok(manifests.filter(|found| found.node == node && found.keyspace.as_deref() == keyspace).last())
    }

    /// Begins a backup, and removes what an earlier one of the same node left unfinished.
    pub fn begin(&self, id: &str, node: &str) -> Result<Partial, BackupError> {
        assert!(is_id(id), "{id:?} is not the name of a backup");
        let is_mine = |name: &String| {
            name.strip_suffix(PARTIAL).filter(|id| is_id(id)).and_then(node_of).is_some_and(|of| of == node)
        };
        for name in names_in(&self.path)?.into_iter().filter(is_mine) {
            let left = self.path.join(name);
            fs::remove_dir_all(&left).map_err(BackupError::io("remove", &left))?;
        }
        let path = self.path.join(format!("{id}{PARTIAL}"));
        create_dir(&path, false)?;
        Ok(Partial { repository: self.path.clone(), path, id: id.to_owned() })
    }
}

impl Partial {
    /// Where its files are written. Each is synced by whoever writes it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it a backup: manifest, directory, name.
    pub fn finish(self, manifest: &BackupManifest) -> Result<PathBuf, BackupError> {
        assert_eq!(manifest.id, self.id, "the manifest of another backup");
        manifest.write(&self.path.join(MANIFEST))?;
        sync_dir(&self.path)?;
        let whole = self.repository.join(&self.id);
        fs::rename(&self.path, &whole).map_err(BackupError::io("rename", &self.path))?;
        sync_dir(&self.repository)?;
        Ok(whole)
    }

    /// Removes it. What cannot be removed stays under a name that nobody takes for a backup.
    pub fn discard(self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished backup could not be removed; the next one tries again");
        }
    }
}

/// The name of a backup that a node begins now. Names of one node sort by time.
pub fn backup_id(unix_millis: u64, node: &str) -> String {
    let (seconds, millis) = (unix_millis / 1000, unix_millis % 1000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{millis:03}Z-{node}")
}

/// The date of a day since 1970-01-01, in the Gregorian calendar. Years begin in March here, so that the odd day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// `20261125T195117.123Z-NODE`: nothing that leads out of a directory.
fn is_id(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let (Some(node), Some((time, _))) = (node_of(name), name.split_once("Z-")) else { return false };
    time.len() == 19 && time.as_bytes()[8] == b'T' && !node.is_empty() && name.bytes().all(is_plain)
}

/// Whose backup it is, by its name.
fn node_of(id: &str) -> Option<&str> {
    id.split_once("Z-").map(|(_, node)| node)
}

/// For this user alone: what is in a backup is as secret as what is in the data directory.
fn create_dir(path: &Path, with_parents: bool) -> Result<(), BackupError> {
    let made = DirBuilder::new().mode(0o700).recursive(with_parents).create(path);
    made.map_err(BackupError::io("create", path))
}

/// A new file for this user alone.
pub(super) fn create_file(path: &Path) -> Result<File, BackupError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(BackupError::io("create", path))
}

fn write_mark(path: &Path, cluster_id: u128) -> Result<(), BackupError> {
    let body = format!("{MARK_MAGIC} {MARK_VERSION}\ncluster {cluster_id:032x}\n");
    let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
    let (new_path, final_path) = (path.join(MARK_NEW), path.join(MARK));
    let mut file = File::create(&new_path).map_err(BackupError::io("create", &new_path))?;
    file.write_all(text.as_bytes()).map_err(BackupError::io("write", &new_path))?;
    file.sync_all().map_err(BackupError::io("sync", &new_path))?;
    fs::rename(&new_path, &final_path).map_err(BackupError::io("rename", &new_path))?;
    sync_dir(path)
}

fn parse_mark(text: &str, path: &Path) -> Result<u128, BackupError> {
    let damaged = |what: &str| BackupError::damaged(path, None, what);
    let (body, crc) = text.rsplit_once("crc32c ").ok_or_else(|| damaged("it has no checksum"))?;
    if format!("{:08x}", crc32c::crc32c(body.as_bytes())) != crc.trim_end() {
        return Err(damaged("its checksum does not agree"));
    }
    let mut lines = body.lines();
    let version = lines.next().and_then(|line| line.strip_prefix(MARK_MAGIC)).map(str::trim);
    let version = version.ok_or_else(|| damaged("it does not begin with RONDOBKR"))?;
    if version != MARK_VERSION.to_string() {
        let found = version.to_owned();
        return Err(BackupError::NewerFormat { path: path.to_owned(), found, known: MARK_VERSION });
    }
    let cluster = lines.next().and_then(|line| line.strip_prefix("cluster "));
    cluster.and_then(|hex| u128::from_str_radix(hex, 16).ok()).ok_or_else(|| damaged("it names no cluster"))
}

fn refuse_strangers(path: &Path) -> Result<(), BackupError> {
    let stranger = names_in(path)?.into_iter().find(|name| name != MARK_NEW && name != "lost+found");
    stranger.map_or(Ok(()), |found| Err(BackupError::NotOurs { path: path.to_owned(), found }))
}

fn first_name(path: &Path) -> Result<Option<String>, BackupError> {
    Ok(names_in(path)?.into_iter().min())
}

/// The names in a directory, in any order.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>, BackupError> {
    let entries = fs::read_dir(path).map_err(BackupError::io("list", path))?;
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(BackupError::io("list", path))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(BackupError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dates_that_sort() {
        assert_eq!(backup_id(0, "n1"), "19700101T000000.000Z-n1");
        assert_eq!(backup_id(951_782_400_000, "n1"), "20000229T000000.000Z-n1");
        assert_eq!(backup_id(1_795_636_277_123, "a-b.c"), "20261125T195117.123Z-a-b.c");
        assert!(is_id(&backup_id(1_795_636_277_123, "a-b.c")));
        for name in ["", "..", "20261125T195117.123Z-", "20261125T195117.123Z-../x", "manifest", "Z-n1"] {
            assert!(!is_id(name), "{name:?}");
        }
    }
}
