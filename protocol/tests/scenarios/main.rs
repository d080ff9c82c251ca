//! Behaviour of one core, read aloud: each file of this folder tells a few short stories, line by line.
//!
//! A story sets the stage (`nodes`, `key`, `object`), lets things happen (`client`, `n2 replicated`, `durable`, `wait`),
//! and after each happening names every effect with `expect`, in any order. An effect not named fails the story, so
//! what is *not* said is tested too. The language is in `stage.rs`, the words of the effects in `words.rs`.

mod stage;
mod words;

use stage::Stage;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The stories of one file: name, and lines with their numbers.
fn stories(text: &str) -> Vec<(String, Vec<(usize, &str)>)> {
    let mut stories: Vec<(String, Vec<(usize, &str)>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix("scenario ") {
            stories.push((name.to_owned(), Vec::new()));
        } else if !line.is_empty() {
            let (_, lines) = stories.last_mut().expect("a file begins with a scenario line");
            lines.push((index + 1, line));
        }
    }
    stories
}

/// Plays a story; the first line that fails, and why.
fn play(lines: &[(usize, &str)]) -> Result<(), String> {
    let mut stage = Stage::default();
    for (number, line) in lines {
        let played =
            catch_unwind(AssertUnwindSafe(|| stage.play(line))).unwrap_or(Err("a panic, see above".to_owned()));
        played.map_err(|why| format!("line {number}: {line}\n    {why}"))?;
    }
    stage.end()
}

#[test]
fn every_scenario_goes_as_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the folder is there").flatten().map(|f| f.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut played = 0;
    let mut failures = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a scenario file is text");
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (name, lines) in stories(&text) {
            played += 1;
            if let Err(why) = play(&lines) {
                failures.push(format!("{file}: {name}\n  {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {played} scenarios failed\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(25 <= played, "only {played} scenarios were found");
}
