//! Which fault meets which file: a cell of the matrix.

use super::fault::Fault;
use super::files::FileKind;
use core::fmt;
use rondo_storage::Engine;

/// A row of the table: one fault, one kind of file, one engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cell {
    /// The file.
    pub file: FileKind,
    /// What happens to it.
    pub fault: Fault,
}

impl Cell {
    /// Every fault with every file that a directory of that engine has, where it can happen.
    pub fn all(engine: Engine) -> Vec<Cell> {
        let files = FileKind::ALL.into_iter().filter(|file| file.is_of(engine));
        let cells = files.flat_map(|file| Fault::ALL.into_iter().map(move |fault| Cell { file, fault }));
        cells.filter(|cell| !(cell.fault == Fault::SwappedPages && cell.file.is_one_page())).collect()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.fault, self.file)
    }
}
