//! Thousands of faults, handed to worker processes in pieces.

use super::outcome::Outcome;
use super::table::Table;
use super::template::Template;
use super::worker::cell_of;
use core::time::Duration;
use rondo_storage::Engine;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Longest time for one fault: opening twice, reading and writing a megabyte, on a busy machine.
const FAULT_WITHIN: Duration = Duration::from_secs(60);
/// Faults that one process works off: what a broken store leaks goes with it.
const FAULTS_PER_WORKER: u64 = 100;

/// What to do.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The program that the workers run: this one.
    pub program: PathBuf,
    /// Where templates and copies are made.
    pub parent: PathBuf,
    /// The engine.
    pub engine: Engine,
    /// The first fault.
    pub first: u64,
    /// Faults.
    pub faults: u64,
    /// Draws everything.
    pub seed: u64,
    /// Worker processes at a time.
    pub workers: u64,
    /// Name of a bug to plant in the workers.
    pub planted: Option<String>,
    /// Leaves templates and damaged directories where they are.
    pub keeps: bool,
}

impl Campaign {
    /// Does it.
    ///
    /// # Errors
    /// The experiment could not be made.
    pub fn run(&self) -> Result<Table, String> {
        let directory = tempfile::Builder::new().prefix("rondo-damage-").tempdir_in(&self.parent);
        let mut directory = directory.map_err(|error| format!("no directory in {}: {error}", self.parent.display()))?;
        self.build_templates(&directory)?;
        let (next, table) = (AtomicU64::new(self.first), Mutex::new(Table::new(self.engine)));
        let outcomes: Vec<Result<(), String>> = std::thread::scope(|scope| {
            let work = || scope.spawn(|| self.take_pieces(directory.path(), &next, &table));
            let workers: Vec<_> = (0..self.workers).map(|_| work()).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|_| Err("a thread panicked".into())))
                .collect()
        });
        if self.keeps {
            directory.disable_cleanup(true);
            println!("left in {}", directory.path().display());
        }
        outcomes.into_iter().collect::<Result<(), String>>()?;
        Ok(table.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn build_templates(&self, directory: &TempDir) -> Result<(), String> {
        for template in Template::ALL {
            let path = directory.path().join(template.name());
            let mut command = Command::new(&self.program);
            command.args(["worker", "build", "--template", template.name(), "--engine", self.engine.name()]);
            command.args(["--seed", &self.seed.to_string(), "--data"]).arg(&path);
            let output = command.output().map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
            if !output.status.success() {
                return Err(format!("{template} was not built: {}", String::from_utf8_lossy(&output.stderr)));
            }
            let model = path.with_extension("model");
            std::fs::write(&model, output.stdout).map_err(|error| format!("{}: {error}", model.display()))?;
        }
        Ok(())
    }

    fn take_pieces(&self, directory: &Path, next: &AtomicU64, table: &Mutex<Table>) -> Result<(), String> {
        let end = self.first + self.faults;
        loop {
            let from = next.fetch_add(FAULTS_PER_WORKER, Ordering::Relaxed);
            // A planted bug that was noticed need not be noticed again.
            let is_noticed = || !table.lock().unwrap_or_else(PoisonError::into_inner).violations.is_empty();
            if from >= end || (self.planted.is_some() && is_noticed()) {
                return Ok(());
            }
            let (mut at, to) = (from, end.min(from + FAULTS_PER_WORKER));
            while at < to {
                at = self.one_worker(directory, at, to, table)?;
            }
        }
    }

    /// Runs one process over `from..to`; says where the next has to go on.
    fn one_worker(&self, directory: &Path, from: u64, to: u64, table: &Mutex<Table>) -> Result<u64, String> {
        let mut worker = Worker::start(self, directory, from, to)?;
        let mut at = from;
        let why = loop {
            match worker.lines.recv_timeout(FAULT_WITHIN) {
                Ok(line) => {
                    if let Some(end) = line.strip_prefix(&format!("end {at} ")) {
                        self.count(at, end, table);
                        at += 1;
                    }
                }
                Err(RecvTimeoutError::Timeout) => break format!("no answer within {FAULT_WITHIN:?}"),
                Err(RecvTimeoutError::Disconnected) if at == to => return Ok(to),
                Err(RecvTimeoutError::Disconnected) => break "the process died".to_owned(),
            }
        };
        let said = worker.end();
        if said.contains("rondo-faults: ") {
            return Err(format!("fault {at} of {}: {said}", self.engine));
        }
        self.count(at, &format!("violation|0|{why}: {}", said.replace('\n', " / ")), table);
        Ok(at + 1)
    }

    fn count(&self, number: u64, end: &str, table: &Mutex<Table>) {
        let cell = cell_of(self.engine, number);
        let mut parts = end.splitn(3, '|');
        let outcome = parts.next().and_then(Outcome::by_name).unwrap_or(Outcome::Violation);
        let lost = parts.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let detail = parts.next().unwrap_or(end);
        if self.faults == 1 {
            println!("{cell}: {outcome}, {lost} keys lost: {detail}");
        }
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        table.count(cell, outcome, lost);
        if outcome == Outcome::Violation {
            table.violations.push(format!(
                "{cell}: {detail}\n  again: rondo-faults damage --engine {} --seed {} --only {number}",
                self.engine, self.seed
            ));
        }
    }
}

/// A worker process and its lines.
struct Worker {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Worker {
    fn start(campaign: &Campaign, directory: &Path, from: u64, to: u64) -> Result<Worker, String> {
        let scratch = directory.join(format!("work-{from}"));
        std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
        let log = scratch.join("log");
        let file = std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(&campaign.program);
        command.args(["worker", "damage", "--engine", campaign.engine.name(), "--seed", &campaign.seed.to_string()]);
        command.args(["--from", &from.to_string(), "--to", &to.to_string(), "--data"]).arg(directory);
        command.arg("--scratch").arg(&scratch);
        if let Some(bug) = &campaign.planted {
            command.args(["--plant", bug]);
        }
        if campaign.keeps {
            command.arg("--keep");
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn();
        let mut child = spawned.map_err(|error| format!("cannot run {}: {error}", campaign.program.display()))?;
        let output = BufReader::new(child.stdout.take().expect("its output was asked to be piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Worker { child, lines, log })
    }

    /// Ends it and gives the last of what it wrote to its error output.
    fn end(&mut self) -> String {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(4)..].join("\n")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}
