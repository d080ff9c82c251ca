//! The simulator's command line: run seeds, hunt planted bugs, play stories.
//!
//! Whatever fails is printed with the one command that repeats it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rondo_simulator::coverage::Coverage;
use rondo_simulator::planted::{Bug, Hunt, SEEDS_MAX};
use rondo_simulator::scenario::Scenario;
use rondo_simulator::simulation::{self, Report};

/// Time between two lines of progress.
const PROGRESS_GAP: Duration = Duration::from_secs(5);
/// Lines of the diary that are shown unless all are asked for.
const TAIL_LINES: usize = 120;

/// A whole cluster in one thread, with everything that can go wrong.
#[derive(Parser)]
#[command(name = "rondo-simulator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run seeds until one breaks a promise.
    Run {
        /// How many seeds.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Threads, each with runs of its own.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// A line for each seed.
        #[arg(long)]
        verbose: bool,
        /// Show what led to a violation: the faults and the end of the diary.
        #[arg(long)]
        trace: bool,
        /// Lines of the diary to show.
        #[arg(long, default_value_t = TAIL_LINES)]
        tail: usize,
    },
    /// Plant each known bug and see whether a checker finds it.
    Planted {
        /// Only the bug of this name.
        #[arg(long)]
        only: Option<String>,
        /// Seeds to try before a bug counts as escaped.
        #[arg(long, default_value_t = SEEDS_MAX)]
        seeds: u64,
    },
    /// Play stories from text files.
    Scenario {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Show the end of the diary of a story that fails.
        #[arg(long)]
        trace: bool,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { seeds, from, jobs, verbose, trace, tail } => {
            run(from..from + seeds, jobs.max(1), verbose, trace.then_some(tail))
        }
        Command::Planted { only, seeds } => planted(only.as_deref(), seeds),
        Command::Scenario { files, trace } => scenarios(&files, trace),
    }
}

fn run(seeds: core::ops::Range<u64>, jobs: usize, verbose: bool, tail: Option<usize>) -> ExitCode {
    let began = Instant::now();
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let (sender, reports) = mpsc::channel();
    let (total, failed) = std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, stop, end) = (sender.clone(), &next, &stop, seeds.end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if sender.send((seed, simulation::run_seed(seed, tail.is_some()))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        gather(&reports, &stop, verbose, began)
    });
    if let Some((seed, report)) = failed {
        print_failure(&report, tail);
        println!("repeat: cargo run --release -p rondo-simulator -- run --seeds 1 --from {seed} --trace");
        return ExitCode::FAILURE;
    }
    println!("{total}");
    println!("{:.1} s", began.elapsed().as_secs_f64());
    match total.check() {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            println!("VIOLATION {violation}");
            ExitCode::FAILURE
        }
    }
}

fn gather(
    reports: &mpsc::Receiver<(u64, Report)>,
    stop: &AtomicBool,
    verbose: bool,
    began: Instant,
) -> (Coverage, Option<(u64, Report)>) {
    let mut total = Coverage::default();
    let mut failed: Option<(u64, Report)> = None;
    let mut progress_at = Instant::now() + PROGRESS_GAP;
    for (seed, report) in reports {
        total.add(&report.coverage);
        if verbose {
            let verdict = report.violation.as_ref().map_or("kept every promise".into(), ToString::to_string);
            println!("seed {seed}: {:016x} {verdict}", report.hash);
        }
        if report.violation.is_some() && failed.as_ref().is_none_or(|(known, _)| seed < *known) {
            stop.store(true, Ordering::Relaxed);
            failed = Some((seed, report));
        }
        if Instant::now() >= progress_at {
            progress_at += PROGRESS_GAP;
            println!("{} seeds in {:.0} s", total.runs, began.elapsed().as_secs_f64());
        }
    }
    (total, failed)
}

fn print_failure(report: &Report, tail: Option<usize>) {
    if let Some(tail) = tail {
        println!("faults:");
        report.script.iter().for_each(|line| println!("  {line}"));
        println!("diary:");
        let skipped = report.tail.len().saturating_sub(tail);
        report.tail[skipped..].iter().for_each(|line| println!("  {line}"));
    }
    if let Some(violation) = &report.violation {
        println!("VIOLATION {violation}");
    }
}

fn planted(only: Option<&str>, seeds: u64) -> ExitCode {
    let wanted: Vec<Bug> =
        Bug::ALL.into_iter().filter(|bug| only.is_none_or(|name| bug.name().eq_ignore_ascii_case(name))).collect();
    if wanted.is_empty() {
        let names: Vec<String> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        println!("no bug of that name; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut all_caught = true;
    for bug in wanted {
        let hunt = bug.hunt(seeds);
        all_caught &= matches!(hunt, Hunt::Caught { .. });
        match hunt {
            Hunt::Caught { seeds, violation } => {
                println!(
                    "{:<22} caught by {:<13} after {seeds:>2} seeds: {}",
                    bug.name(),
                    violation.checker,
                    violation.what
                );
            }
            Hunt::Escaped { seeds } => println!("{:<22} ESCAPED in {seeds} seeds", bug.name()),
            Hunt::FalseAlarm { seed, violation } => {
                println!("{:<22} FALSE ALARM without the bug, seed {seed}: {violation}", bug.name());
            }
        }
    }
    if all_caught { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn scenarios(files: &[PathBuf], trace: bool) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let scenario =
            std::fs::read_to_string(file).map_err(|error| error.to_string()).and_then(|text| Scenario::parse(&text));
        match scenario {
            Err(what) => {
                println!("{}: {what}", file.display());
                code = ExitCode::from(2);
            }
            Ok(scenario) => {
                let report = scenario.play(0, trace);
                if report.violation.is_some() {
                    println!("{}:", file.display());
                    print_failure(&report, trace.then_some(TAIL_LINES));
                    code = ExitCode::FAILURE;
                } else {
                    println!("{}: as told", file.display());
                }
            }
        }
    }
    code
}
