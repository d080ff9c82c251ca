//! The generations of a shard's store: the manifest names one, and the others go.

use crate::key_journal::journal_path;
use crate::sorted_store::{Engine, store_dir};
use crate::unpinned;
use std::fs;
use std::io;
use std::path::Path;

/// Removes a generation on a thread of its own: large files take their time. What fails is logged, and left to the next start.
pub fn remove_generation_later(shard: &Path, engine: Engine, generation: u32) {
    let shard = shard.to_owned();
    let remove = move || {
        if let Err(error) = remove_generation(&shard, engine, generation) {
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
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    fs::remove_dir_all(&store).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
    fs::remove_file(journal_path(&store)).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
    fs::File::open(shard)?.sync_all()
}

/// Removes what crashes left in the directory `shard`: stores of `engine`, and lists of keys, of generations that the
/// manifest does not name. What was set aside stays.
pub fn remove_leftovers(shard: &Path, engine: Engine, generation: u32) -> io::Result<()> {
    for entry in fs::read_dir(shard)? {
        let name = entry?.file_name();
        let Some((kind, number)) = name.to_str().and_then(|name| name.rsplit_once('-')) else { continue };
        let Some(number) = number.parse().ok().filter(|number| *number != generation) else { continue };
        if kind == engine.name() || kind == "keys" {
            tracing::info!(shard = %shard.display(), name = %name.display(), "a store that never counted is removed");
            remove_generation(shard, engine, number)?;
        }
    }
    Ok(())
}
