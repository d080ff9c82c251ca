//! Checking the files of a store directly, some at a time.

use xxhash_rust::xxh3::Xxh3;

/// Where a check of the files stands. Begins with the default; only the store that handed it out can read it.
#[derive(Clone, Default)]
pub struct FileCursor {
    /// The file under way or, if there is no sum, the last one that is finished: its kind and number.
    pub(super) file: Option<(u8, u64)>,
    /// Bytes of it that are summed up.
    pub(super) offset: u64,
    /// Their sum so far.
    pub(super) sum: Option<Box<Xxh3>>,
}

impl core::fmt::Debug for FileCursor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FileCursor").field("file", &self.file).field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// What one call has checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileCheck {
    /// Bytes read.
    pub bytes: u64,
    /// Files that are not as they were written: the path inside the store's directory, and what is wrong.
    pub damaged: Vec<(String, String)>,
    /// All files have been looked at; the next call begins anew.
    pub is_done: bool,
}
