//! What a restore cannot give back, and what becomes of it in a data directory.

use super::manifest::{BackupManifest, DataFile, LostBefore};
use crate::record::Lsn;
use crate::wounds::{Wound, WoundCause};
use std::path::PathBuf;

/// What is not in what was read, because the backup is damaged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Losses {
    /// Runs with damage; at most [`crate::limits::BACKUP_LOSSES_MAX`] are kept, all are counted in the numbers.
    pub parts: Vec<LostPart>,
    /// Records that are lost, exactly. Some of their keys may have a newer record that was read.
    pub records: u64,
    /// Keys that were left out: what could be read of them may be older than what was lost.
    pub withheld: u64,
}

/// A damaged run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostPart {
    /// The data file.
    pub path: PathBuf,
    /// The vnode.
    pub vnode: u16,
    /// Records that are lost, exactly.
    pub records: u64,
    /// Where.
    pub places: Vec<LostPlace>,
}

/// A damaged place of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostPlace {
    /// The byte where it begins; 0 for the whole file.
    pub offset: u64,
    /// The lost records have this token or a higher one,
    pub from: u128,
    /// and this one or a lower one.
    pub to: u128,
    /// Expected and found.
    pub what: String,
}

impl Losses {
    /// Was everything read?
    pub fn is_empty(&self) -> bool {
        self.records == 0 && self.withheld == 0 && self.parts.is_empty()
    }

    /// The wounds of a data directory that holds what was read of the backup with this manifest: what is lost now, and what
    /// the node had lost when it was made. Each hides what is absent and nothing that is there.
    pub fn wounds(&self, manifest: &BackupManifest, unix_seconds: u64) -> Vec<Wound> {
        let wound = |from: u128, to: u128, keys: Option<u64>, what: String| {
            let (upto, cause, found_at_unix) = (Lsn(0), WoundCause::StoreLost, unix_seconds);
            Wound { from, to, upto, keys, cause, what, found_at_unix }
        };
        let mut wounds = Vec::new();
        for part in &self.parts {
            let file = part.path.display();
            let keys = Some(part.records).filter(|_| part.places.len() == 1 && self.withheld == 0);
            for LostPlace { offset, from, to, what } in &part.places {
                let what = format!("the backup {file} is damaged at byte {offset}: {what}");
                wounds.push(wound(*from, *to, keys, what));
            }
        }
        for file in &manifest.files {
            let ranges = file.lost_tokens();
            wounds.extend(ranges.into_iter().map(|(from, to, what)| wound(from, to, None, what)));
        }
        let told: u64 = self.parts.iter().map(|part| part.records).sum();
        if told < self.records {
            wounds.push(wound(0, u128::MAX, None, "the backup is damaged in too many places to tell".to_owned()));
        }
        wounds
    }
}

impl DataFile {
    /// The tokens of what was not in it from the beginning, with the reason. What cannot be told apart is all of them.
    fn lost_tokens(&self) -> Vec<(u128, u128, String)> {
        let hex = |digits: &str| u128::from_str_radix(digits, 16).ok();
        // A stored key begins with its token.
        let token = |key: &str| key.get(..32).and_then(hex);
        let unreadable = "an object was unreadable when the backup was made";
        let mut lost: Vec<(u128, u128, String)> = Vec::new();
        for key in &self.unreadable {
            let at = token(key);
            lost.push((at.unwrap_or(0), at.unwrap_or(u128::MAX), unreadable.to_owned()));
        }
        if (self.unreadable.len() as u64) < self.unreadable_keys {
            lost.push((0, u128::MAX, unreadable.to_owned()));
        }
        for gap in &self.gaps {
            let to = gap.to.as_deref().and_then(token).unwrap_or(u128::MAX);
            lost.push((token(&gap.from).unwrap_or(0), to, gap.what.clone()));
        }
        for LostBefore { from, to, what, .. } in &self.wounds {
            lost.push((hex(from).unwrap_or(0), hex(to).unwrap_or(u128::MAX), what.clone()));
        }
        lost
    }
}
