//! A look at everything that is stored, whether it is still what was written.
//!
//! Disks forget in silence, and what nobody reads nobody misses until the replicas have forgotten it too. A scrub reads all
//! objects and all files with checksums, in the background, with a share of the disk: the store through a job of its
//! companion, the log and the small files from a thread that may wait.

mod files;
mod job;

pub use files::{check_shard_files, check_shard_log};
pub use job::ScrubJob;

use crate::limits::BACKUP_LOSSES_MAX;
use crate::wounds::Wound;

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The file and the byte, or the token and the key.
    pub place: String,
    /// Expected and found.
    pub what: String,
}

/// What a scrub has found so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scrubbed {
    /// Objects read.
    pub objects: u64,
    /// Files checked.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damaged places.
    pub damaged: u64,
    /// The first [`BACKUP_LOSSES_MAX`] of them.
    pub damage: Vec<Damage>,
    /// What the damaged objects mean for reads: see [`crate::ShardStore::add_wounds`]. At most as many as are named.
    pub wounds: Vec<Wound>,
    /// It could not go on, and why: what was not looked at may be damaged too.
    pub cut_short: Option<String>,
}

impl Scrubbed {
    /// Notes a damaged place.
    pub fn note(&mut self, place: String, what: String) {
        self.damaged += 1;
        if self.damage.len() < BACKUP_LOSSES_MAX {
            self.damage.push(Damage { place, what });
        }
    }

    /// Takes in what another part has found.
    pub fn add(&mut self, other: Scrubbed) {
        self.objects += other.objects;
        self.files += other.files;
        self.bytes += other.bytes;
        self.damaged += other.damaged;
        let room = BACKUP_LOSSES_MAX.saturating_sub(self.damage.len());
        self.damage.extend(other.damage.into_iter().take(room));
        self.wounds.extend(other.wounds);
        self.cut_short = self.cut_short.take().or(other.cut_short);
    }
}

/// How many times as long as it worked a part of a scrub rests, so that it takes `share_percent` (1 to 100) of the time.
pub fn rest_times(share_percent: u8) -> u32 {
    let share = u32::from(share_percent.clamp(1, 100));
    (100 - share).div_ceil(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_part_of_the_time_that_is_not_rest() {
        assert_eq!([100, 50, 25, 10, 1, 0].map(rest_times), [0, 1, 3, 9, 99, 99]);
    }
}
