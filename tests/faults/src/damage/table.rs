//! The counts of a campaign, and the table that is kept in the documents.

use super::cell::Cell;
use super::outcome::Outcome;
use rondo_storage::Engine;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What came of the faults of one cell.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// How many ended how.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Keys that were reported as lost, all faults together.
    pub lost: u64,
}

/// What came of all faults of one engine.
#[derive(Clone, Debug)]
pub struct Table {
    /// The engine.
    pub engine: Engine,
    /// By cell; all cells are there from the start.
    pub rows: BTreeMap<Cell, Row>,
    /// Each violation, with the command that repeats it.
    pub violations: Vec<String>,
}

impl Table {
    /// A table without counts.
    pub fn new(engine: Engine) -> Table {
        let rows = Cell::all(engine).into_iter().map(|cell| (cell, Row::default())).collect();
        Table { engine, rows, violations: Vec::new() }
    }

    /// Counts a fault.
    pub fn count(&mut self, cell: Cell, outcome: Outcome, lost: u64) {
        let row = self.rows.entry(cell).or_default();
        *row.outcomes.entry(outcome).or_default() += 1;
        row.lost += lost;
    }

    /// Faults that ended so.
    pub fn total(&self, outcome: Outcome) -> u64 {
        self.rows.values().filter_map(|row| row.outcomes.get(&outcome)).sum()
    }

    /// All faults.
    pub fn faults(&self) -> u64 {
        Outcome::ALL.into_iter().map(|outcome| self.total(outcome)).sum()
    }

    /// One line with all counts.
    pub fn summary(&self) -> String {
        let counts = Outcome::ALL.into_iter().map(|outcome| format!("{} {outcome}", self.total(outcome)));
        format!("damage, {}: {} faults: {}", self.engine, self.faults(), counts.collect::<Vec<_>>().join(", "))
    }

    /// Rows of Markdown, one a cell: engine, file, fault, counts, mean of the keys lost where some were.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (cell, row) in &self.rows {
            write!(text, "| {} | {} | {} |", self.engine, cell.file, cell.fault).expect("a string takes everything");
            for outcome in Outcome::ALL {
                write!(text, " {} |", row.outcomes.get(&outcome).copied().unwrap_or(0)).expect("as above");
            }
            let losses = row.outcomes.get(&Outcome::ReportedLoss).copied().unwrap_or(0);
            let mean = if losses == 0 { 0.0 } else { row.lost as f64 / losses as f64 };
            writeln!(text, " {mean:.1} |").expect("as above");
        }
        text
    }

    /// The head of [`Table::markdown`].
    pub fn head() -> String {
        let names = Outcome::ALL.map(Outcome::name).join(" | ");
        let rule = "---|".repeat(Outcome::ALL.len() + 4);
        format!("| engine | file | fault | {names} | keys lost, mean |\n|{rule}\n")
    }
}
