//! Power cuts under a single shard: the quick kind.
//!
//! ```text
//! start the child ──► random moment ──cut──► kill ──► power back ──► look at every key ──► the next round on the same disk
//! ```

use super::image::{Cutter, Image};
use super::record::Record;
use super::summary::Summary;
use crate::content::Version;
use crate::random::Dice;
use crate::shard::Found;
use core::time::Duration;
use rondo_storage::Engine;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Size of the disk.
const IMAGE_MIB: u64 = 768;
/// Rounds on one disk, before a fresh one.
const ROUNDS_PER_IMAGE: u64 = 6;
/// Keys of a disk.
const KEYS: u32 = 200;
/// Longest wait for a child to get through its opening, or to end.
const CHILD_WITHIN: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug)]
pub struct ShardRounds {
    /// The program whose child process is cut: this one.
    pub program: PathBuf,
    /// Where images are made.
    pub parent: PathBuf,
    /// The engine.
    pub engine: Engine,
    /// Cuts.
    pub cuts: u64,
    /// Draws everything.
    pub seed: u64,
    /// Name of a bug to plant in the child.
    pub planted: Option<String>,
}

/// When the power goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    Opening,
    Load,
    Stopping,
}

/// What a child has said so far.
#[derive(Debug, Default)]
struct Said {
    record: Record,
    phase: String,
    last_version: u64,
    found: Vec<(u32, Found)>,
    is_done: bool,
    /// It says nothing more.
    has_ended: bool,
    /// The power is going. An `fdatasync` that overlaps ext4's shutdown may report a success that never reached the disk (the
    /// end of its write is not told that the journal is gone); after a real cut nobody could have heard of it.
    is_cut: bool,
}

impl ShardRounds {
    /// Cuts; stops early at a violation.
    ///
    /// # Errors
    /// The experiment could not be made.
    pub fn run(&self) -> Result<Summary, String> {
        let mut summary = Summary::default();
        let mut dice = Dice::new(self.seed, 0xC075);
        while summary.cuts < self.cuts && summary.violations.is_empty() {
            let rounds = ROUNDS_PER_IMAGE.min(self.cuts - summary.cuts);
            self.rounds_on_one_image(rounds, &mut dice, &mut summary)?;
        }
        Ok(summary)
    }

    fn rounds_on_one_image(&self, rounds: u64, dice: &mut Dice, summary: &mut Summary) -> Result<(), String> {
        let mut image = Image::create(&self.parent, IMAGE_MIB)?;
        let (mut record, mut first_version) = (Record::default(), 1);
        for _ in 0..rounds {
            let said = self.cut_once(&mut image, record, first_version, dice, summary)?;
            (record, first_version) = (said.record, first_version.max(said.last_version + 1));
            image.restore()?;
            self.verify(&image, &mut record, summary)?;
            if !summary.violations.is_empty() {
                break;
            }
        }
        summary.acknowledged += record.acknowledgements();
        Ok(())
    }

    fn cut_once(
        &self,
        image: &mut Image,
        record: Record,
        first_version: u64,
        dice: &mut Dice,
        summary: &mut Summary,
    ) -> Result<Said, String> {
        let moment = *dice.pick(&[Moment::Load, Moment::Load, Moment::Load, Moment::Opening, Moment::Stopping]);
        let cutter = Cutter::arm(&[image])?;
        let arguments = ["run", "--seed", &self.seed.to_string(), "--first-version", &first_version.to_string()];
        let mut running = Running::start(self, image, &arguments, Said { record, ..Said::default() })?;
        running.reach(moment, dice);
        let phase = running.last_phase();
        let ended = running.child.try_wait().map_err(|error| error.to_string())?;
        cutter.cut()?;
        if ended.is_some_and(|status| !status.success()) {
            summary.violations.push(format!("{} ended by itself while {phase}:\n{}", self.engine, log_of(image)));
        }
        summary.cut(&format!("shard: {}", if ended.is_some() { "stopped" } else { &phase }));
        running.finish(true)
    }

    fn verify(&self, image: &Image, record: &mut Record, summary: &mut Summary) -> Result<(), String> {
        let said = Running::start(self, image, &["look"], Said::default())?.finish(false)?;
        if !said.is_done {
            summary.violations.push(format!("{}: after a cut it did not open:\n{}", self.engine, log_of(image)));
            return Ok(());
        }
        for (key, found) in &said.found {
            match record.check(*key, found) {
                Ok(()) => summary.verified += 1,
                Err(what) => summary.violations.push(format!("{}: {what}", self.engine)),
            }
        }
        if !summary.violations.is_empty() {
            summary.violations.insert(0, format!("{}: its start said: {}", self.engine, log_of(image)));
        }
        Ok(())
    }
}

fn log_path(image: &Image) -> PathBuf {
    image.path().with_file_name("child.log")
}

fn log_of(image: &Image) -> String {
    std::fs::read_to_string(log_path(image)).unwrap_or_default()
}

/// What a child says, for who waits for a word of it.
#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    changed: Condvar,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, hear: impl FnOnce(&mut Said)) {
        hear(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits as long as `is_awaited` holds, at most [`CHILD_WITHIN`].
    fn wait_while(&self, is_awaited: impl Fn(&Said) -> bool) {
        let waited = self.changed.wait_timeout_while(self.lock(), CHILD_WITHIN, |said| is_awaited(said));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A child and the thread that listens to it.
struct Running {
    child: Child,
    heard: Arc<Heard>,
    listener: JoinHandle<()>,
}

impl Running {
    fn start(rounds: &ShardRounds, image: &Image, arguments: &[&str], said: Said) -> Result<Running, String> {
        let log = File::create(log_path(image)).map_err(|error| format!("cannot create the child's log: {error}"))?;
        let mut command = Command::new(&rounds.program);
        command.arg("child").args(arguments);
        command.args(["--engine", rounds.engine.name(), "--keys", &KEYS.to_string(), "--data"]);
        command.arg(data_path(image));
        if let Some(bug) = &rounds.planted {
            command.args(["--plant", bug]);
        }
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = spawned.map_err(|error| format!("cannot run {}: {error}", rounds.program.display()))?;
        let output = BufReader::new(child.stdout.take().expect("its output was asked to be piped"));
        let heard = Arc::new(Heard { said: Mutex::new(said), ..Heard::default() });
        let hearing = Arc::clone(&heard);
        let listener = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                hearing.note(|said| said.hear(&line));
            }
            hearing.note(|said| said.has_ended = true);
        });
        Ok(Running { child, heard, listener })
    }

    /// What it was doing last; from here on its acknowledgements do not count.
    fn last_phase(&self) -> String {
        let mut said = self.heard.lock();
        said.is_cut = true;
        said.phase.clone()
    }

    fn reach(&mut self, moment: Moment, dice: &mut Dice) {
        let millis = Duration::from_millis;
        if moment == Moment::Opening {
            return std::thread::sleep(dice.time(millis(1), millis(250)));
        }
        self.heard.wait_while(|said| matches!(said.phase.as_str(), "" | "opening") && !said.has_ended);
        std::thread::sleep(dice.time(millis(100), millis(1500)));
        if moment == Moment::Stopping {
            drop(self.child.stdin.take());
            std::thread::sleep(dice.time(millis(0), millis(60)));
        }
    }

    /// Kills it (or waits for its end) and gives what it has said, to the last line.
    fn finish(mut self, is_killed: bool) -> Result<Said, String> {
        self.heard.wait_while(|said| !is_killed && !said.has_ended);
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        self.child.wait().map_err(|error| format!("cannot wait for the child: {error}"))?;
        self.listener.join().map_err(|_| "the listener panicked".to_owned())?;
        let said = std::mem::take(&mut *self.heard.lock());
        Ok(said)
    }
}

fn data_path(image: &Image) -> PathBuf {
    Path::new(&image.path()).join("data")
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        let key = number(1) as u32;
        let version = Version { key, number: number(2) };
        match words[0] {
            "phase" => self.phase = words.get(1).copied().unwrap_or_default().to_owned(),
            "sent" => {
                self.last_version = self.last_version.max(version.number);
                self.record.sent(version);
            }
            "acked" if self.is_cut => {}
            "acked" => self.record.acknowledged(version),
            "found" => self.found.push((key, Found::Version(version))),
            "absent" => self.found.push((key, Found::Absent)),
            "unreadable" => self.found.push((key, Found::Unreadable)),
            "wrong" => self.found.push((key, Found::Wrong(vec![0; number(2) as usize].into()))),
            _ => self.is_done |= line == "done",
        }
    }
}
