//! `docs/faults.md`: where the matrix stands in it, and which rows it has.

use std::path::Path;

const BEGIN: &str = "<!-- matrix: printed by `rondo-faults matrix`, not written by hand -->\n";
const END: &str = "<!-- end of the matrix -->\n";

/// Puts `matrix` where the document at `path` has its own.
///
/// # Errors
/// The document cannot be read or written, or has no place for it.
pub fn write(path: &Path, matrix: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| format!("{} has no {BEGIN:?}", path.display()))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{} has no {END:?}", path.display()))?;
    std::fs::write(path, format!("{before}{BEGIN}\n{matrix}\n{END}{after}")).map_err(failed)
}

/// The first `columns` cells of each row of the table in `text` that is headed by `head` (as printed, with its rule).
pub fn rows(text: &str, head: &str, columns: usize) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (at, _) in text.match_indices(head) {
        let lines = text[at + head.len()..].lines().take_while(|line| line.starts_with('|'));
        rows.extend(
            lines.map(|line| line.split('|').skip(1).take(columns).map(|cell| cell.trim().to_owned()).collect()),
        );
    }
    rows
}
