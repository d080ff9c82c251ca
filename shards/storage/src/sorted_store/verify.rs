//! Checking the files of a store directly, some at a time.

/// Where a check of the files stands. Begins with the default; only the store that handed it out can read it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileCursor {}

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
