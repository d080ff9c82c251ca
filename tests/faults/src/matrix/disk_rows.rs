//! The troubles of a disk that tells the truth: what happens, and the test that makes it happen.

/// One trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskRow {
    /// What the disk does.
    pub fault: &'static str,
    /// What becomes of the node.
    pub outcome: &'static str,
    /// The test in `tests/disk_faults.rs` that shows it.
    pub test: &'static str,
}

/// All of them.
pub const DISK_ROWS: &[DiskRow] = &[];

/// The head of [`markdown`].
pub const HEAD: &str = "| fault | outcome | test |\n|---|---|---|\n";

/// Rows of Markdown.
pub fn markdown() -> String {
    DISK_ROWS.iter().map(|row| format!("| {} | {} | `{}` |\n", row.fault, row.outcome, row.test)).collect()
}
