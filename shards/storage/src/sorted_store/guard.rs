//! No panic of an engine leaves its store.
//!
//! Both engines panic on some damaged bytes where they might return an error. A read that panics says that what it looked
//! for cannot be read; the engines' own state is behind locks that do not poison, so other reads go on.

use super::{FailureKind, SortedStoreError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Runs a read.
pub(super) fn reading<T>(read: impl FnOnce() -> Result<T, SortedStoreError>) -> Result<T, SortedStoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        Err(SortedStoreError::Unreadable { what: format!("the engine panicked: {}", panic_text(&*panic)) })
    })
}

/// Runs what changes the store at `path`: after a panic nobody can say how far it came.
pub(super) fn changing<T>(
    engine: &'static str,
    path: &Path,
    change: impl FnOnce() -> Result<T, SortedStoreError>,
) -> Result<T, SortedStoreError> {
    catch_unwind(AssertUnwindSafe(change)).unwrap_or_else(|panic| {
        let what = format!("it panicked: {}", panic_text(&*panic));
        Err(SortedStoreError::Failed { engine, path: path.display().to_string(), what, kind: FailureKind::Damaged })
    })
}

pub(super) fn panic_text(panic: &(dyn core::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
