//! The generations of a shard's store: the manifest names one, and the others go.

use crate::disk::{StdDisk, run_ready};
use crate::key_journal::journal_path;
use crate::set_aside::set_aside;
use crate::sorted_store::{Engine, store_dir};
use crate::unpinned;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Beside a store that is to be set aside: `sled-0001.unusable`.
const MARK: &str = "unusable";

/// Notes durably that the store of that generation is damaged: when it does not count any more it is set aside, not removed.
pub(crate) fn mark_damaged(shard: &Path, engine: Engine, generation: u32, what: &str) -> io::Result<()> {
    let mark = mark_of(shard, engine, generation);
    fs::write(&mark, what)?;
    File::open(&mark)?.sync_all()?;
    File::open(shard)?.sync_all()
}

fn mark_of(shard: &Path, engine: Engine, generation: u32) -> PathBuf {
    shard.join(format!("{}.{MARK}", store_dir(engine, generation)))
}

fn unmark(shard: &Path, engine: Engine, generation: u32) -> io::Result<()> {
    or_gone(fs::remove_file(mark_of(shard, engine, generation)))
}

fn or_gone(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A store that does not count any more goes, with its list of keys; one that is damaged is set aside: where to.
pub(crate) fn retire_generation(shard: &Path, engine: Engine, generation: u32) -> io::Result<Vec<String>> {
    if !mark_of(shard, engine, generation).exists() {
        return remove_generation(shard, engine, generation).map(|()| Vec::new());
    }
    let store = shard.join(store_dir(engine, generation));
    let disk = StdDisk::open(shard)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut aside = Vec::new();
    for path in [journal_path(&store), store].into_iter().filter(|path| path.exists()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        aside.push(run_ready(set_aside(&disk, &name, MARK, seconds)).map_err(io::Error::other)?);
    }
    unmark(shard, engine, generation)?;
    Ok(aside)
}

/// Removes a generation (or sets it aside, if it is damaged) on a thread of its own: large files take their time. What fails is
/// logged, and left to the next start.
pub fn remove_generation_later(shard: &Path, engine: Engine, generation: u32) {
    let shard = shard.to_owned();
    let remove = move || {
        if let Err(error) = retire_generation(&shard, engine, generation) {
            tracing::warn!(shard = %shard.display(), generation, %error, "an old store could not be removed");
        }
    };
    if let Err(error) = unpinned::spawn("remove-store", remove) {
        tracing::warn!(generation, %error, "no thread to remove an old store");
    }
}

/// Removes the store of that generation from the directory `shard`, with its list of keys, and syncs the directory. It is no
/// error if there is none.
pub fn remove_generation(shard: &Path, engine: Engine, generation: u32) -> io::Result<()> {
    let store = shard.join(store_dir(engine, generation));
    or_gone(fs::remove_dir_all(&store))?;
    or_gone(fs::remove_file(journal_path(&store)))?;
    unmark(shard, engine, generation)?;
    File::open(shard)?.sync_all()
}

/// Removes what crashes left in the directory `shard`: stores of `engine`, and lists of keys, of generations that the
/// manifest does not name; one that is damaged is set aside. What was set aside stays.
pub fn remove_leftovers(shard: &Path, engine: Engine, generation: u32) -> io::Result<()> {
    for entry in fs::read_dir(shard)? {
        let name = entry?.file_name();
        let Some((kind, number)) = name.to_str().and_then(|name| name.rsplit_once('-')) else { continue };
        let Some(number) = number.parse().ok().filter(|number| *number != generation) else { continue };
        if kind == engine.name() || kind == "keys" {
            let aside = retire_generation(shard, engine, number)?;
            tracing::info!(shard = %shard.display(), name = %name.display(), ?aside, "a store that does not count goes");
        }
    }
    unmark(shard, engine, generation)
}
