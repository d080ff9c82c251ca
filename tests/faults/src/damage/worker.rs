//! The process that does the damage: fault after fault, one line each.
//!
//! ```text
//! begin NUMBER                      before the fault
//! end NUMBER OUTCOME|LOST|DETAIL    after it
//! ```
//! A number that began and did not end killed its process, or hangs.

use super::cell::Cell;
use super::examine::{Verdict, examine};
use super::fault::Fault;
use super::files::{self, FileKind};
use super::outcome::Outcome;
use super::template::{Model, Template};
use crate::random::Dice;
use crate::shard::Settings;
use rondo_storage::Engine;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Which faults, of which templates.
#[derive(Clone, Debug)]
pub struct Work {
    /// Where the templates lie.
    pub templates: PathBuf,
    /// A directory of its own.
    pub scratch: PathBuf,
    /// Draws everything.
    pub seed: u64,
    /// The first fault.
    pub from: u64,
    /// The one behind the last.
    pub to: u64,
    /// Leaves the directory of the last fault where it is.
    pub keeps: bool,
}

/// One template as it lies on disk.
struct Prepared {
    template: Template,
    path: PathBuf,
    model: Model,
    files: Vec<(FileKind, PathBuf)>,
}

/// The cell of a fault: round and round, so that each has its share.
pub fn cell_of(engine: Engine, number: u64) -> Cell {
    let cells = Cell::all(engine);
    cells[(number % cells.len() as u64) as usize]
}

/// Does the work.
///
/// # Errors
/// The templates are not what the list of files says, or the scratch directory cannot be used.
pub fn run(work: &Work, settings: Settings) -> Result<(), String> {
    let templates: Vec<Prepared> =
        Template::ALL.into_iter().map(|template| prepare(&work.templates, template)).collect::<Result<_, _>>()?;
    for number in work.from..work.to {
        say(&format!("begin {number}"))?;
        let cell = cell_of(settings.engine, number);
        let mut dice = Dice::new(work.seed, number);
        let having: Vec<&Prepared> =
            templates.iter().filter(|prepared| prepared.files.iter().any(|(kind, _)| *kind == cell.file)).collect();
        if having.is_empty() {
            return Err(format!("no template has a file of the kind {}", cell.file));
        }
        let prepared = dice.pick(&having);
        let scratch = work.scratch.join(format!("fault-{number}"));
        let verdict = one_fault(prepared, cell, &scratch, settings, &mut dice)?;
        say(&format!("end {number} {}|{}|{}", verdict.outcome, verdict.lost, verdict.detail))?;
        if !work.keeps {
            fs::remove_dir_all(&scratch).map_err(|error| format!("cannot remove {}: {error}", scratch.display()))?;
        }
    }
    Ok(())
}

fn prepare(templates: &Path, template: Template) -> Result<Prepared, String> {
    let path = templates.join(template.name());
    let model_path = path.with_extension("model");
    let text = fs::read_to_string(&model_path).map_err(|error| format!("{}: {error}", model_path.display()))?;
    let (model, files) = (Model::decode(&text)?, files::list(&path)?);
    Ok(Prepared { template, path, model, files })
}

fn one_fault(
    prepared: &Prepared,
    cell: Cell,
    scratch: &Path,
    settings: Settings,
    dice: &mut Dice,
) -> Result<Verdict, String> {
    let failed = |error: std::io::Error| format!("cannot prepare {}: {error}", scratch.display());
    files::copy_tree(&prepared.path, scratch).map_err(failed)?;
    let candidates: Vec<&PathBuf> =
        prepared.files.iter().filter(|(kind, _)| *kind == cell.file).map(|(_, path)| path).collect();
    let file = *dice.pick(&candidates);
    let donors: Vec<&PathBuf> = prepared.files.iter().map(|(_, path)| path).filter(|path| *path != file).collect();
    let donor = scratch.join(dice.pick(&donors));
    let what = cell.fault.inject(&scratch.join(file), &donor, dice).map_err(failed)?;
    let ends = ends(prepared, cell, file);
    let looked = catch_unwind(AssertUnwindSafe(|| examine(scratch, settings, &prepared.model, &ends, dice)));
    let mut verdict =
        looked.unwrap_or_else(|panic| Verdict::new(Outcome::Violation, format!("a panic came out: {}", text(&*panic))));
    if !verdict.outcome.is_allowed(cell, prepared.template) && verdict.outcome != Outcome::Violation {
        verdict.detail = format!("not allowed here: {}: {}", verdict.outcome, verdict.detail);
        verdict.outcome = Outcome::Violation;
    }
    verdict.detail = format!("{}: {}: {what}: {}", prepared.template, file.display(), verdict.detail);
    Ok(verdict)
}

/// Where the log may have been cut without a word: nowhere, unless the process was killed; then before its last batch, and
/// where a whole segment is gone, before that.
fn ends(prepared: &Prepared, cell: Cell, file: &Path) -> Vec<u64> {
    if prepared.template.is_left_cleanly() || cell.file != FileKind::LogSegment {
        return Vec::new();
    }
    let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let first = u64::from_str_radix(name.split('-').next().unwrap_or_default(), 16);
    let of_segment = first.ok().filter(|_| cell.fault == Fault::Deleted);
    [prepared.model.last_batch].into_iter().chain(of_segment).collect()
}

fn text(panic: &(dyn core::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}
