//! Watching the threads: progress every second, the record, the servers' processor time, and the sum at the end.

use core::time::Duration;
use std::io::{self, IsTerminal};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::executor::{Finished, Recent, Report, Threads};
use crate::limits::{READY_WITHIN, SILENCE_MAX};
use crate::plan::{Plan, Work};
use crate::record::RecordFile;
use crate::server_cpu::CpuTime;
use crate::slo::{Quantile, show_duration};
use crate::tally::Tally;

/// What came of it all.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) measured: Tally,
    /// The time that was measured.
    pub(crate) took: Duration,
    /// Requests that were due and never sent.
    pub(crate) unsent: u64,
    pub(crate) bad_keys: Vec<(u64, &'static str)>,
    /// Processor time of the servers in that time.
    pub(crate) server_cpu: Option<CpuTime>,
    /// What happened in each second.
    pub(crate) timeline: Vec<Second>,
}

/// One second of the run, warm-up included.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Second {
    pub(crate) second: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) retries: u64,
    pub(crate) backlog: u64,
    pub(crate) connections: usize,
    pub(crate) p99_micros: Option<u64>,
}

/// Someone who watches.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    plan: &'a Plan,
    server_pids: &'a [u32],
    record: Option<RecordFile>,
    bar: Option<ProgressBar>,
    is_quiet: bool,
    started_at: Instant,
    cpu_before: Option<CpuTime>,
    cpu: Option<CpuTime>,
    /// What the threads have said in the present second.
    recent: Vec<Recent>,
    timeline: Vec<Second>,
    done: u64,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(plan: &'a Plan, server_pids: &'a [u32], record: Option<RecordFile>, is_quiet: bool) -> Watch<'a> {
        let bar = (!is_quiet && io::stderr().is_terminal()).then(|| bar_of(plan));
        Watch {
            plan,
            server_pids,
            record,
            bar,
            is_quiet,
            started_at: Instant::now(),
            cpu_before: None,
            cpu: None,
            recent: Vec::new(),
            timeline: Vec::new(),
            done: 0,
        }
    }

    /// Until all threads have finished.
    pub(crate) fn follow(mut self, threads: &Threads) -> io::Result<Result> {
        for _ in 0..self.plan.threads {
            match threads.reports.recv_timeout(READY_WITHIN) {
                Ok(Report::Ready) => {}
                _ => return Err(io::Error::new(io::ErrorKind::TimedOut, "no connection could be opened within 10 s")),
            }
        }
        self.started_at = Instant::now();
        // Set once, here.
        let _ = threads.start.set(self.started_at);
        let mut finished = Vec::new();
        let mut heard_at = Instant::now();
        while finished.len() < self.plan.threads {
            self.look_at_cpu()?;
            match threads.reports.recv_timeout(self.until_next_look()) {
                Ok(Report::Recent(recent)) => self.hear(*recent),
                Ok(Report::Record(lines)) => self.keep(&lines)?,
                Ok(Report::Finished(last)) => finished.push(*last),
                Ok(Report::Ready) => {}
                Err(_) if heard_at.elapsed() > SILENCE_MAX => return Err(io::Error::other("the threads fell silent")),
                Err(_) => continue,
            }
            heard_at = Instant::now();
        }
        self.end(finished)
    }

    /// Reads the servers' processor time where the measured window begins and ends.
    fn look_at_cpu(&mut self) -> io::Result<()> {
        if self.server_pids.is_empty() {
            return Ok(());
        }
        let now = self.started_at.elapsed().as_nanos() as u64;
        let (start, end) = self.plan.window();
        if self.cpu_before.is_none() && now >= start {
            self.cpu_before = Some(CpuTime::of(self.server_pids)?);
        }
        if self.cpu.is_none() && now >= end {
            self.measure_cpu()?;
        }
        Ok(())
    }

    fn measure_cpu(&mut self) -> io::Result<()> {
        if let Some(before) = self.cpu_before {
            self.cpu = Some(CpuTime::of(self.server_pids)?.since(before));
        }
        Ok(())
    }

    /// Until the next border of the window, or a second.
    fn until_next_look(&self) -> Duration {
        let now = self.started_at.elapsed().as_nanos() as u64;
        let (start, end) = self.plan.window();
        let borders = [start, end].into_iter().filter(|border| *border > now);
        let nanos = borders.map(|border| border - now).min().unwrap_or(u64::MAX);
        Duration::from_nanos(nanos.min(1_000_000_000))
    }

    fn keep(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.record {
            Some(record) => record.append(lines),
            None => Ok(()),
        }
    }

    /// One thread's second; when all have spoken, it is shown.
    fn hear(&mut self, recent: Recent) {
        self.recent.push(recent);
        if self.recent.len() < self.plan.threads {
            return;
        }
        let mut tally = Tally::new();
        let (mut backlog, mut connections) = (0, 0);
        for recent in self.recent.drain(..) {
            tally.add(&recent.tally);
            backlog += recent.backlog;
            connections += recent.connections;
        }
        let p99 = tally.latency(None, Quantile::Share(0.99));
        let second = Second {
            second: self.started_at.elapsed().as_secs(),
            done: tally.done_total(),
            failed: tally.failed_total(),
            retries: tally.retries,
            backlog,
            connections,
            p99_micros: p99.map(|p99| p99.as_micros() as u64),
        };
        self.done += second.done + second.failed;
        self.show(&second, p99);
        self.timeline.push(second);
    }

    fn show(&self, second: &Second, p99: Option<Duration>) {
        if self.is_quiet {
            return;
        }
        let Second { second, done, failed, retries, backlog, connections, .. } = second;
        let p99 = p99.map_or("-".to_owned(), show_duration);
        let line = format!(
            "{done}/s  p99 {p99}  failed {failed}  retries {retries}  backlog {backlog}  connections {connections}"
        );
        match &self.bar {
            Some(bar) => {
                let position = if self.plan.operations().is_some() { self.done } else { *second };
                bar.set_position(position);
                bar.set_message(line);
            }
            None => eprintln!("{second:>4}s  {line}"),
        }
    }

    fn end(mut self, finished: Vec<Finished>) -> io::Result<Result> {
        if !self.server_pids.is_empty() && self.cpu.is_none() {
            self.measure_cpu()?;
        }
        if let Some(record) = &mut self.record {
            record.flush()?;
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mut measured = Tally::new();
        let (mut unsent, mut bad_keys, mut took) = (0, Vec::new(), Duration::ZERO);
        for last in finished {
            measured.add(&last.measured);
            unsent += last.unsent;
            bad_keys.extend(last.bad_keys);
            took = took.max(last.took);
        }
        if let Work::Run(run) = &self.plan.work {
            took = run.duration;
        }
        bad_keys.sort_unstable();
        Ok(Result { measured, took, unsent, bad_keys, server_cpu: self.cpu, timeline: self.timeline })
    }
}

fn bar_of(plan: &Plan) -> ProgressBar {
    let (length, unit) = match (&plan.work, plan.operations()) {
        (Work::Run(run), _) => ((run.warmup + run.duration).as_secs(), "s"),
        (_, operations) => (operations.unwrap_or(0), " keys"),
    };
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}}{unit}  {{msg}}"));
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
