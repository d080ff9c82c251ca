//! What lies in a data directory, as far as its names and sizes tell.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rondo_storage::is_set_aside;

/// Bytes in one block of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// Directories below each other that are followed; a data directory has five.
const DEPTH_MAX: usize = 16;

/// Bytes that a file, or a directory with everything in it, takes on disk. What cannot be read counts as nothing: a running
/// node makes and removes files.
pub(crate) fn tree_bytes(path: &Path) -> u64 {
    let mut bytes = 0;
    walk(path, 0, &mut |_, metadata| {
        bytes += metadata.blocks() * BLOCK_BYTES;
        true
    });
    bytes
}

/// Files and directories that were set aside below `path`, with what they take on disk, by path.
pub(crate) fn set_aside_in(path: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    walk(path, 0, &mut |path, _| {
        let is_aside = path.file_name().and_then(|name| name.to_str()).is_some_and(is_set_aside);
        if is_aside {
            found.push((path.to_owned(), tree_bytes(path)));
        }
        !is_aside
    });
    found.sort();
    found
}

/// Visits `path` and, as long as `visit` says so, what is in it.
fn walk(path: &Path, depth: usize, visit: &mut dyn FnMut(&Path, &fs::Metadata) -> bool) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if !visit(path, &metadata) || !metadata.is_dir() || depth == DEPTH_MAX {
        return;
    }
    for file in fs::read_dir(path).into_iter().flatten().flatten() {
        walk(&file.path(), depth + 1, visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_is_found_wherever_it_lies_and_not_looked_into() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = dir.path().join("layout-0001/shard-000/sled-0001.damaged-7-unopenable");
        fs::create_dir_all(&store).expect("made");
        fs::write(store.join("db"), vec![1; 10_000]).expect("written");
        fs::write(store.join("db.damaged-8-twice"), "x").expect("written");
        fs::write(dir.path().join("identity.damaged-9-checksum"), "x").expect("written");
        let found = set_aside_in(dir.path());
        let names: Vec<_> = found.iter().map(|(path, _)| path.strip_prefix(dir.path()).expect("below")).collect();
        assert_eq!(
            names,
            [
                Path::new("identity.damaged-9-checksum"),
                Path::new("layout-0001/shard-000/sled-0001.damaged-7-unopenable")
            ]
        );
        assert!(found[1].1 >= 10_000, "{found:?}");
    }
}
