//! Directories with known content, made once and copied for every fault.
//!
//! Each is built by a process of its own, so that the ones that end without a clean stop really end that way.

use crate::content::Version;
use crate::random::Dice;
use crate::shard::{DrivenShard, Settings};
use core::fmt;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where the records of a segment begin: behind its header and the copy of that.
const LOG_DATA_AT: usize = 2 * 4096;

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
    /// Some has been lost before, and the shard knows it; the stop was clean.
    Wounded,
}

impl Template {
    /// All of them.
    pub const ALL: [Template; 5] =
        [Template::Checkpointed, Template::Stopped, Template::Killed, Template::LogOnly, Template::Wounded];

    /// Its name: also that of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Template::Checkpointed => "checkpointed",
            Template::Stopped => "stopped",
            Template::Killed => "killed",
            Template::LogOnly => "log-only",
            Template::Wounded => "wounded",
        }
    }

    /// The template of that name.
    pub fn by_name(name: &str) -> Option<Template> {
        Template::ALL.into_iter().find(|template| template.name() == name)
    }

    /// Does it end with a clean stop?
    pub fn is_left_cleanly(self) -> bool {
        match self {
            Template::Checkpointed | Template::Stopped | Template::Wounded => true,
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
            Template::Wounded => {
                building.write(&mut shard, 12)?;
                shard.close()?;
                rot_last_record(path)?;
                shard = DrivenShard::open(path, settings)?;
                if shard.report().wounds.is_empty() {
                    return Err("a record has rotted, and nothing was lost".to_owned());
                }
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

/// Flips a bit in the object of the last record of the log.
fn rot_last_record(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let (mut files, mut segments) = (Vec::new(), Vec::new());
    super::files::walk(path, Path::new(""), &mut files).map_err(failed)?;
    segments.extend(files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "log")));
    segments.sort();
    for segment in segments.iter().rev().map(|segment| path.join(segment)) {
        let mut bytes = fs::read(&segment).map_err(failed)?;
        if let Some(last) = last_byte_written(&bytes) {
            bytes[last] ^= 1;
            return fs::write(&segment, bytes).map_err(failed);
        }
    }
    Err("no segment of the log has a record".to_owned())
}

/// The last byte of the last batch: batches follow each other, each from a page on.
fn last_byte_written(segment: &[u8]) -> Option<usize> {
    let (mut at, mut last) = (LOG_DATA_AT, None);
    while let Some(header) = segment.get(at..at + 32).filter(|header| header.starts_with(b"RBAT")) {
        let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes")) as usize;
        let end = at + 32 + 32 * u32_at(12) + u32_at(8);
        (last, at) = (Some(end - 1), end.next_multiple_of(4096));
    }
    last.filter(|last| *last < segment.len())
}

struct Building {
    dice: Dice,
    model: Model,
}

impl Building {
    fn write(&mut self, shard: &mut DrivenShard, batches: u64) -> Result<(), String> {
        for _ in 0..batches {
            self.model.last_batch = self.model.keys.len() as u64 + 1;
            for _ in 0..self.dice.between(1, 4) {
                shard.append(self.model.next_version(self.dice.below(KEYS.into()) as u32));
            }
            shard.commit()?;
        }
        Ok(())
    }
}

/// What a directory holds: every version that was ever written to it, and acknowledged. A version's number is also the
/// number of its record in the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    /// The key of each version, in order: the first is that of version 1.
    keys: Vec<u32>,
    /// The first version of the last batch.
    pub last_batch: u64,
}

impl Model {
    /// A version that is newer than all.
    pub fn next_version(&mut self, key: u32) -> Version {
        self.keys.push(key);
        Version { key, number: self.keys.len() as u64 }
    }

    /// The last version of each key, among those below `end`.
    pub fn before(&self, end: u64) -> BTreeMap<u32, u64> {
        self.keys.iter().copied().zip(1..end).collect()
    }

    /// The last version of each key.
    pub fn all(&self) -> BTreeMap<u32, u64> {
        self.before(u64::MAX)
    }

    /// As lines.
    pub fn encode(&self) -> String {
        let keys = self.keys.iter().map(|key| format!("{key}\n"));
        format!("last batch {}\n{}", self.last_batch, keys.collect::<String>())
    }

    /// The inverse of [`Model::encode`].
    ///
    /// # Errors
    /// A line that is none.
    pub fn decode(text: &str) -> Result<Model, String> {
        let bad = |line: &str| format!("{line:?} is no line of a model");
        let (first, rest) = text.split_once('\n').ok_or_else(|| bad(text))?;
        let last_batch = first.strip_prefix("last batch ").and_then(|number| number.parse().ok());
        let keys = rest.lines().map(|line| line.parse().map_err(|_| bad(line))).collect::<Result<_, _>>()?;
        Ok(Model { keys, last_batch: last_batch.ok_or_else(|| bad(first))? })
    }
}

#[cfg(test)]
mod tests {
    use super::Model;

    #[test]
    fn a_model_knows_what_stood_before_a_version() {
        let mut model = Model { last_batch: 3, ..Model::default() };
        for key in [5, 6, 5, 7] {
            model.next_version(key);
        }
        assert_eq!(model.before(3), [(5, 1), (6, 2)].into());
        assert_eq!(model.all(), [(5, 3), (6, 2), (7, 4)].into());
        assert_eq!(Model::decode(&model.encode()), Ok(model));
    }
}
