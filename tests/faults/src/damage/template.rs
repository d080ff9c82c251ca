//! Directories with known content, made once and copied for every fault.
//!
//! Each is built by a process of its own, so that the ones that end without a clean stop really end that way.

use crate::content::Version;
use crate::random::Dice;
use crate::shard::{DrivenShard, Settings};
use core::fmt;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Keys of a directory.
pub const KEYS: u32 = 120;

/// How a directory came to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Template {
    /// Everything is in the sorted store, and the stop was clean.
    Checkpointed,
    /// Some is in the sorted store, some in the log; the stop was clean.
    Stopped,
    /// Some is in the sorted store, some in several segments of the log; the process was killed.
    Killed,
    /// Everything is in the log; the process was killed.
    LogOnly,
}

impl Template {
    /// All of them.
    pub const ALL: [Template; 4] = [Template::Checkpointed, Template::Stopped, Template::Killed, Template::LogOnly];

    /// Its name: also that of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Template::Checkpointed => "checkpointed",
            Template::Stopped => "stopped",
            Template::Killed => "killed",
            Template::LogOnly => "log-only",
        }
    }

    /// The template of that name.
    pub fn by_name(name: &str) -> Option<Template> {
        Template::ALL.into_iter().find(|template| template.name() == name)
    }

    /// Does it end with a clean stop?
    pub fn is_left_cleanly(self) -> bool {
        match self {
            Template::Checkpointed | Template::Stopped => true,
            Template::Killed | Template::LogOnly => false,
        }
    }

    /// Builds it in `path`; where it ends without a clean stop, the caller ends the process next.
    ///
    /// # Errors
    /// The shard's own.
    pub fn build(self, path: &Path, settings: Settings, seed: u64) -> Result<Model, String> {
        let mut building = Building { dice: Dice::new(seed, self as u64), model: Model::default() };
        let mut shard = DrivenShard::open(path, settings)?;
        let rounds = if self == Template::LogOnly { 1 } else { 3 };
        for round in 0..rounds {
            building.write(&mut shard, 40)?;
            if self != Template::LogOnly {
                shard.checkpoint()?;
            }
            // A second life in between: its segments and snapshots belong to what a directory has.
            if round == 1 {
                shard.close()?;
                shard = DrivenShard::open(path, settings)?;
            }
        }
        match self {
            Template::Checkpointed => shard.close()?,
            Template::Stopped => {
                building.write(&mut shard, 12)?;
                shard.close()?;
            }
            Template::Killed | Template::LogOnly => {
                building.write(&mut shard, 25)?;
                // Not dropped: a killed process tidies nothing up.
                std::mem::forget(shard);
            }
        }
        Ok(building.model)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

struct Building {
    dice: Dice,
    model: Model,
}

impl Building {
    fn write(&mut self, shard: &mut DrivenShard, batches: u64) -> Result<(), String> {
        for _ in 0..batches {
            self.model.before_last_batch.clear();
            for _ in 0..self.dice.between(1, 4) {
                let version = self.model.next_version(self.dice.below(KEYS.into()) as u32);
                let before = self.model.keys.insert(version.key, version.number).unwrap_or(0);
                self.model.before_last_batch.entry(version.key).or_insert(before);
                shard.append(version);
            }
            shard.commit()?;
        }
        Ok(())
    }
}

/// What a directory holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    /// The last version of each key; all were acknowledged.
    pub keys: BTreeMap<u32, u64>,
    /// What the keys of the last batch held before it; 0 for nothing.
    pub before_last_batch: BTreeMap<u32, u64>,
    last_version: u64,
}

impl Model {
    /// A version that is newer than all.
    pub fn next_version(&mut self, key: u32) -> Version {
        self.last_version += 1;
        Version { key, number: self.last_version }
    }

    /// As lines.
    pub fn encode(&self) -> String {
        let mut text = format!("last {}\n", self.last_version);
        for (key, number) in &self.keys {
            writeln!(text, "key {key} {number}").expect("a string takes everything");
        }
        for (key, number) in &self.before_last_batch {
            writeln!(text, "before {key} {number}").expect("a string takes everything");
        }
        text
    }

    /// The inverse of [`Model::encode`].
    ///
    /// # Errors
    /// A line that is none.
    pub fn decode(text: &str) -> Result<Model, String> {
        let mut model = Model::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let numbers: Vec<u64> = words[1..].iter().filter_map(|word| word.parse().ok()).collect();
            match (words[0], numbers.as_slice()) {
                ("last", &[number]) => model.last_version = number,
                ("key", &[key, number]) => drop(model.keys.insert(key as u32, number)),
                ("before", &[key, number]) => drop(model.before_last_batch.insert(key as u32, number)),
                _ => return Err(format!("{line:?} is no line of a model")),
            }
        }
        Ok(model)
    }
}
