//! The checks of the project, one after the other, and one count at the end.
//!
//! A step that fails does not hide the ones after it: all run, all are reported, and the exit status says whether any
//! failed. Test counts are read from the closing lines of the test harness, so nothing is counted that did not run.

use clap::Args;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Options of `cargo xtask ci`.
#[derive(Args)]
pub struct CiOptions {
    /// Seeds that the simulator runs.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
}

/// What the closing lines of the test harness add up to.
#[derive(Default)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

struct Step {
    name: &'static str,
    command: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    /// A step that is no test harness counts as one test, unless it says itself that it was skipped.
    counts_itself: bool,
}

fn step(name: &'static str, command: &str) -> Step {
    Step {
        name,
        command: command.split_whitespace().map(str::to_owned).collect(),
        environment: vec![],
        counts_itself: true,
    }
}

/// Each target over its seeds and some thousand changes of each, on the stable compiler.
const FUZZ_TARGETS: &str = "cargo test --manifest-path fuzz/Cargo.toml --lib --no-default-features";

/// Runs all steps. `Err` names the ones that failed.
pub fn run(options: &CiOptions) -> Result<(), String> {
    let seeds =
        format!("cargo run --release -q -p rondo-simulator -- run --seeds {} --from {}", options.seeds, options.from);
    let steps = [
        Step { counts_itself: false, ..step("tests (the README's command)", "cargo test --workspace --no-fail-fast") },
        Step { counts_itself: false, ..step("fuzz targets, as plain tests", FUZZ_TARGETS) },
        step("formatting", "cargo fmt --all --check"),
        step("clippy", "cargo clippy --workspace --all-targets -q -- -D warnings"),
        Step {
            environment: vec![("RUSTDOCFLAGS", "-D warnings")],
            ..step("documentation", "cargo doc --workspace --no-deps -q")
        },
        step("release build", "cargo build --release -q -p rondo -p rondo-loadgen"),
        step("simulator: seeds", &seeds),
        step("simulator: planted bugs", "cargo run --release -q -p rondo-simulator -- planted"),
        step("faults: damage", "cargo run --release -q -p rondo-faults -- damage --faults 500 --engine both"),
        step("faults: power cuts", "cargo run --release -q -p rondo-faults -- power-cuts --cuts 5 --engine both"),
        step("faults: planted bugs", "cargo run --release -q -p rondo-faults -- planted"),
    ];
    let mut count = Count::default();
    let mut failures = Vec::new();
    for step in &steps {
        println!("\n=== {}: {}", step.name, step.command.join(" "));
        let start = Instant::now();
        let skipped_before = count.skipped;
        let succeeded = perform(step, &mut count)?;
        println!(
            "=== {}: {} in {:.0} s",
            step.name,
            if succeeded { "ok" } else { "FAILED" },
            start.elapsed().as_secs_f64()
        );
        let was_skipped = count.skipped > skipped_before;
        if step.counts_itself && !(succeeded && was_skipped) {
            *(if succeeded { &mut count.passed } else { &mut count.failed }) += 1;
        }
        if !succeeded {
            failures.push(step.name);
        }
    }
    if !failures.is_empty() && count.failed == 0 {
        count.failed = 1; // A build that broke before its harness could count.
    }
    println!("\n{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
    if failures.is_empty() { Ok(()) } else { Err(format!("failed: {}", failures.join(", "))) }
}

/// Runs one step with its output shown, counting the harness's closing lines and the loud skips.
fn perform(step: &Step, count: &mut Count) -> Result<bool, String> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut child = Command::new(cargo)
        .args(&step.command[1..])
        .envs(step.environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", step.command.join(" ")))?;
    let output = child.stdout.take().expect("stdout was asked to be piped");
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("cannot read the output of {}: {error}", step.name))?;
        // A step that counts itself may still say what it could not do.
        if !step.counts_itself || line.starts_with("SKIPPED") {
            count.add_line(&line);
        }
        println!("{line}");
        let _ = std::io::stdout().flush();
    }
    let status = child.wait().map_err(|error| format!("cannot wait for {}: {error}", step.name))?;
    Ok(status.success())
}

impl Count {
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; …`, and `SKIPPED` where a test says that it could not run here.
    fn add_line(&mut self, line: &str) {
        if line.starts_with("SKIPPED") {
            self.skipped += 1;
        }
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let Some(Ok(number)) = words.next().map(str::parse::<u64>) else { continue };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.skipped += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn closing_lines_of_the_harness_are_added_up() {
        let mut count = Count::default();
        count
            .add_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s");
        count.add_line(
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        );
        count.add_line("test something ... ok");
        count.add_line("SKIPPED network namespaces: not root");
        assert_eq!((count.passed, count.failed, count.skipped), (14, 1, 2));
    }
}
