//! The engines side by side: what a put and a get cost, cached and cold, idle and beside flushes and merges.
//!
//! `engines [KEYS] [DIRECTORY]` measures each engine in a process of its own, one after the other, on keys of 16 bytes and
//! values of 1 KB that do not compress, and prints one Markdown table. Beside our stores stand plain sled and plain fjall,
//! used directly and synced as often. CPU is that of the whole process, its background threads included; rates are not
//! given, because they tell of the disk and the neighbours.

mod measure;
mod stores;

use measure::Figures;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const KEYS_DEFAULT: u64 = 20_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [flag, engine, keys, directory] if flag == "--engine" => one(engine, keys, Path::new(directory)),
        [] => all(KEYS_DEFAULT, &std::env::temp_dir()),
        [keys] => number(keys).and_then(|keys| all(keys, &std::env::temp_dir())),
        [keys, directory] => number(keys).and_then(|keys| all(keys, Path::new(directory))),
        _ => Err("usage: engines [KEYS] [DIRECTORY]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("engines: {why}");
            ExitCode::from(2)
        }
    }
}

fn number(keys: &str) -> Result<u64, String> {
    keys.parse().map_err(|_| format!("{keys:?} is no number of keys"))
}

/// Measures one engine in this process.
fn one(engine: &str, keys: &str, directory: &Path) -> Result<(), String> {
    let figures = measure::measure(engine, number(keys)?, directory)?;
    println!("{}", figures.encode());
    Ok(())
}

fn all(keys: u64, parent: &Path) -> Result<(), String> {
    let mut columns = Vec::new();
    for engine in stores::ENGINES {
        eprintln!("measuring {engine} …");
        let directory = Scratch::new(parent, engine)?;
        let output = Command::new(std::env::current_exe().map_err(|error| error.to_string())?)
            .args(["--engine", engine, &keys.to_string()])
            .arg(&directory.0)
            .output()
            .map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let figures = Figures::decode(said.trim());
        columns.push(figures.ok_or_else(|| format!("{engine}: {}", String::from_utf8_lossy(&output.stderr)))?);
    }
    println!("{keys} keys of 1 KB\n\n| | {} |", stores::ENGINES.join(" | "));
    println!("|---|{}", "--:|".repeat(columns.len()));
    for (row, name) in measure::ROWS.iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|figures| figures.cell(row)).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    Ok(())
}

/// A directory that goes when it is no longer needed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path, engine: &str) -> Result<Scratch, String> {
        let path = parent.join(format!("rondo-engines-{}-{}", std::process::id(), engine.replace(' ', "-")));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
