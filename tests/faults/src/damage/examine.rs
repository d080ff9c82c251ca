//! Looks at a damaged directory the way a node would use it, and judges what comes back.

use super::outcome::Outcome;
use super::template::{KEYS, Model};
use crate::content::Version;
use crate::random::Dice;
use crate::shard::{DrivenShard, Found, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Versions that are written after the damage.
const WRITES_AFTER: u64 = 30;

/// What came of a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// In one word.
    pub outcome: Outcome,
    /// Keys reported as lost.
    pub lost: usize,
    /// What was seen, in one line.
    pub detail: String,
}

impl Verdict {
    /// A verdict without losses.
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Verdict {
        Verdict { outcome, lost: 0, detail: detail.into().replace('\n', " / ") }
    }
}

/// What one look at all keys found.
#[derive(Default)]
struct Look {
    /// Keys that the shard says it cannot read.
    lost: BTreeSet<u32>,
    /// Keys with another answer than the right one: what was found, what is right.
    wrong: Vec<(u32, Found, u64)>,
}

impl Look {
    fn at(shard: &mut DrivenShard, right: &BTreeMap<u32, u64>) -> Result<Look, String> {
        let mut look = Look::default();
        for key in 0..KEYS {
            let right = right.get(&key).copied().unwrap_or(0);
            match shard.get(key)? {
                Found::Unreadable => drop(look.lost.insert(key)),
                Found::Version(version) if version.number == right => {}
                Found::Absent if right == 0 => {}
                found => look.wrong.push((key, found, right)),
            }
        }
        Ok(look)
    }

    /// Are the wrong ones as `before` has them?
    fn is_as(&self, before: &BTreeMap<u32, u64>) -> bool {
        self.wrong.iter().all(|(key, found, _)| match (before.get(key), found) {
            (None, Found::Absent) => true,
            (Some(&before), Found::Version(version)) => version.number == before,
            _ => false,
        })
    }

    fn wrong_in_words(&self) -> String {
        let words = self.wrong.iter().take(3).map(|(key, found, right)| match found {
            Found::Version(version) => format!("key {key} has version {}, not {right}", version.number),
            Found::Absent => format!("key {key} is absent, version {right} was written"),
            Found::Wrong(bytes) => format!("key {key} has {} bytes that nobody wrote", bytes.len()),
            Found::Unreadable => format!("key {key} is unreadable"),
        });
        format!("{} wrong: {}", self.wrong.len(), words.collect::<Vec<_>>().join(", "))
    }
}

/// Opens `path`, reads everything, writes more, opens again, reads everything again. `ends` are the versions before which
/// the log may have been cut: what a killed process wrote last looks like what it was about to write.
pub fn examine(path: &Path, settings: Settings, model: &Model, ends: &[u64], dice: &mut Dice) -> Verdict {
    let mut shard = match DrivenShard::open(path, settings) {
        Ok(shard) => shard,
        Err(what) => return Verdict::new(Outcome::Refused, what),
    };
    let mut right = model.all();
    let look = match Look::at(&mut shard, &right) {
        Ok(look) => look,
        Err(what) => return Verdict::new(Outcome::Refused, format!("reads ended: {what}")),
    };
    let is_torn = !look.wrong.is_empty();
    if is_torn {
        let Some(before) = ends.iter().map(|&end| model.before(end)).find(|before| look.is_as(before)) else {
            return Verdict::new(Outcome::Violation, look.wrong_in_words());
        };
        right = before;
    }
    match write_and_look_again(shard, path, settings, (model.clone(), right), dice) {
        Err(what) => Verdict::new(Outcome::Refused, format!("writes ended: {what}")),
        Ok(again) if !again.wrong.is_empty() => {
            Verdict::new(Outcome::Violation, format!("after writing more and opening again {}", again.wrong_in_words()))
        }
        Ok(again) => judge(path, is_torn, look.lost.union(&again.lost).count()),
    }
}

fn write_and_look_again(
    mut shard: DrivenShard,
    path: &Path,
    settings: Settings,
    (mut model, mut right): (Model, BTreeMap<u32, u64>),
    dice: &mut Dice,
) -> Result<Look, String> {
    for _ in 0..WRITES_AFTER {
        let version: Version = model.next_version(dice.below(KEYS.into()) as u32);
        right.insert(version.key, version.number);
        shard.append(version);
        shard.commit()?;
    }
    shard.checkpoint()?;
    if dice.below(2) == 0 {
        shard.close()?
    } else {
        shard.abandon()?
    }
    let mut shard = DrivenShard::open(path, settings)?;
    let look = Look::at(&mut shard, &right)?;
    shard.close()?;
    Ok(look)
}

fn judge(path: &Path, is_torn: bool, lost: usize) -> Verdict {
    let set_aside = set_aside(path);
    let outcome = match (lost > 0, is_torn, set_aside.is_empty()) {
        (true, _, _) => Outcome::ReportedLoss,
        (false, true, _) => Outcome::TornTail,
        (false, false, false) => Outcome::Healed,
        (false, false, true) => Outcome::NoEffect,
    };
    Verdict { lost, ..Verdict::new(outcome, set_aside.join(", ")) }
}

/// Names below `path` that say that something was set aside.
fn set_aside(path: &Path) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    // A directory that cannot be listed has nothing to show.
    let _ = super::files::walk(path, Path::new(""), &mut paths);
    for path in paths {
        let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
        names.extend(parts.filter(|part| part.contains(".damaged-")));
    }
    names.into_iter().collect()
}
