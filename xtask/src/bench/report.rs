//! The figures of one run, as a table or as JSON.

use std::path::Path;

use serde::Serialize;

/// One measured case.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figure {
    /// What was measured.
    pub case: String,
    /// Requests in flight on each connection.
    pub depth: usize,
    /// CPU of the server (all nodes together) per operation, in microseconds.
    pub cpu_micros: f64,
    /// Operations answered in the measured window.
    pub operations: u64,
    /// Median latency in microseconds, where it was measured.
    pub p50_micros: Option<f64>,
    /// 99th percentile of latency in microseconds, where it was measured.
    pub p99_micros: Option<f64>,
    /// What the budget allows, in microseconds of CPU per operation.
    pub budget_micros: Option<f64>,
}

/// A figure that is no rate.
#[derive(Clone, Debug, Serialize)]
pub struct Amount {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// In which unit.
    pub unit: &'static str,
    /// What the budget allows, in the same unit.
    pub budget: Option<f64>,
}

/// All of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    figures: Vec<Figure>,
    amounts: Vec<Amount>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a case.
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds an amount.
    pub fn add_amount(&mut self, amount: Amount) {
        self.amounts.push(amount);
    }

    /// Adds a remark for the reader.
    pub fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// The echo of the same depth in this run.
    fn echo_micros(&self, depth: usize) -> Option<f64> {
        let echo = self.figures.iter().find(|figure| figure.case == "kernel TCP echo" && figure.depth == depth);
        echo.map(|figure| figure.cpu_micros)
    }

    /// Writes JSON to `file` (`-` is standard output), or the table to standard output.
    pub fn write(&self, file: Option<&Path>) -> Result<(), String> {
        let json = || serde_json::to_string_pretty(self).map_err(|error| error.to_string());
        match file {
            Some(path) if path.as_os_str() == "-" => println!("{}", json()?),
            Some(path) => {
                std::fs::write(path, json()?).map_err(|error| format!("{}: {error}", path.display()))?;
                print!("{}", self.table());
            }
            None => print!("{}", self.table()),
        }
        Ok(())
    }

    /// Markdown, so that it can be pasted where people read it.
    fn table(&self) -> String {
        let mut table = String::from(
            "| case | depth | server CPU/op | x echo | budget | operations | p50 | p99 |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for figure in &self.figures {
            let ratio = self.echo_micros(figure.depth).filter(|echo| *echo > 0.0).map(|echo| figure.cpu_micros / echo);
            table += &format!(
                "| {} | {} | {:.2} us | {} | {} | {} | {} | {} |\n",
                figure.case,
                figure.depth,
                figure.cpu_micros,
                ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}")),
                micros(figure.budget_micros),
                figure.operations,
                micros(figure.p50_micros),
                micros(figure.p99_micros),
            );
        }
        if !self.amounts.is_empty() {
            table += "\n| amount | measured | budget |\n|---|--:|--:|\n";
        }
        for amount in &self.amounts {
            let budget = amount.budget.map_or_else(String::new, |budget| format!("{budget:.1} {}", amount.unit));
            table += &format!("| {} | {:.1} {} | {budget} |\n", amount.what, amount.value, amount.unit);
        }
        for note in &self.notes {
            table += &format!("\n{note}\n");
        }
        table
    }
}

fn micros(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.1} us"))
}
