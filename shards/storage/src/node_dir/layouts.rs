//! The directories of the shards: `layout-%04/shard-%03`. Only the layout that the identity names counts.

use super::{NodeDir, NodeDirError, io_error, sync_directory};
use crate::set_aside::is_set_aside;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where set-aside files go when their layout does.
const SET_ASIDE: &str = "set-aside";

impl NodeDir {
    /// The directory of a layout: `layout-0001`.
    pub fn layout_path(&self, layout: u32) -> PathBuf {
        self.path.join(layout_name(layout))
    }

    /// The directory of a shard of the layout in force: `layout-0001/shard-000`.
    pub fn shard_path(&self, shard: u16) -> PathBuf {
        self.layout_path(self.identity.layout).join(shard_name(shard))
    }

    /// The directory of a shard of any layout.
    pub fn shard_path_in(&self, layout: u32, shard: u16) -> PathBuf {
        self.layout_path(layout).join(shard_name(shard))
    }

    /// Makes the directories of a layout's shards durably; those that are there stay.
    pub fn create_shard_dirs(&self, layout: u32, shards: u16) -> Result<(), NodeDirError> {
        let layout_path = self.layout_path(layout);
        for shard in 0..shards {
            let path = layout_path.join(shard_name(shard));
            fs::create_dir_all(&path).map_err(io_error("create", &path))?;
        }
        sync_directory(&layout_path)?;
        sync_directory(&self.path)
    }

    /// Removes what a move that did not end has left behind: layouts that are not in force. Their numbers.
    pub fn remove_leftovers(&self) -> Result<Vec<u32>, NodeDirError> {
        let mut removed = Vec::new();
        for file in fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let name = file.map_err(io_error("list", &self.path))?.file_name();
            let Some(layout) = name.to_str().and_then(layout_number) else { continue };
            if layout != self.identity.layout {
                self.remove_layout(layout)?;
                removed.push(layout);
            }
        }
        Ok(removed)
    }

    /// What was set aside in a layout that is about to go moves to `DIR/set-aside`: only a human removes it.
    pub(crate) fn keep_set_aside(&self, layout: u32) -> Result<(), NodeDirError> {
        let place = self.path.join(SET_ASIDE);
        let mut has_some = false;
        for shard in list(&self.layout_path(layout))? {
            for directory in [shard.clone(), shard.join("wal")] {
                let shard_name = shard.file_name().unwrap_or_default().to_string_lossy();
                for path in list(&directory)? {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if !is_set_aside(&name) {
                        continue;
                    }
                    fs::create_dir_all(&place).map_err(io_error("create", &place))?;
                    let target = place.join(format!("{}-{shard_name}-{name}", layout_name(layout)));
                    fs::rename(&path, &target).map_err(io_error("move", &path))?;
                    has_some = true;
                }
            }
        }
        if has_some { sync_directory(&place).and_then(|()| sync_directory(&self.path)) } else { Ok(()) }
    }

    /// Removes a layout that is not in force.
    pub(crate) fn remove_layout(&self, layout: u32) -> Result<(), NodeDirError> {
        assert_ne!(layout, self.identity.layout, "the layout in force is never removed");
        let path = self.layout_path(layout);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("remove", &path)(error)),
            Ok(()) => sync_directory(&self.path),
        }
    }
}

/// What is in a directory; nothing, if it is none.
fn list(directory: &Path) -> Result<Vec<PathBuf>, NodeDirError> {
    match fs::read_dir(directory) {
        Ok(files) => files.map(|file| Ok(file?.path())).collect::<io::Result<_>>().map_err(io_error("list", directory)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(io_error("list", directory)(error)),
    }
}

fn layout_name(layout: u32) -> String {
    format!("layout-{layout:04}")
}

fn shard_name(shard: u16) -> String {
    format!("shard-{shard:03}")
}

/// The inverse of [`layout_name`]; whatever else stands there (what was set aside) is no layout.
fn layout_number(name: &str) -> Option<u32> {
    let layout = name.strip_prefix("layout-")?.parse().ok()?;
    (layout_name(layout) == name).then_some(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_layouts() {
        assert_eq!(layout_number("layout-0007"), Some(7));
        assert_eq!(layout_number("layout-12345"), Some(12345));
        for name in ["layout-7", "layout-0007.damaged-1-rot", "layout-+007", "layout-", "shard-0007"] {
            assert_eq!(layout_number(name), None, "{name}");
        }
    }
}
