//! The keys of the backups, cut into groups that are put at once: read on a thread of its own, which waits until a group is taken.

use bytes::Bytes;
use indicatif::ProgressBar;

use super::merged::{Merged, Next, Restored};
use super::tally::Tally;
use crate::cli::exit::Failure;
use crate::limits::{RESTORE_GROUP_BYTES, RESTORE_GROUP_KEYS};

/// Keys of one keyspace that travel together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) keys: Vec<Restored>,
    bytes: usize,
}

/// Cuts the stream of keys into groups; gives what needs no put.
pub(super) fn read_groups(
    mut merged: Merged,
    groups: &flume::Sender<Group>,
    bar: &ProgressBar,
) -> Result<Tally, Failure> {
    let (mut tally, mut group) = (Tally::default(), Group::default());
    loop {
        match merged.next()? {
            Next::Key(restored) if restored.values.is_empty() => tally.deleted += 1,
            Next::Key(restored) => {
                if !group.has_room_for(&restored) && groups.send(core::mem::take(&mut group)).is_err() {
                    return Ok(tally); // Whoever puts has given up, and says why.
                }
                group.add(restored);
            }
            Next::Undecodable(name) => {
                tally.undecodable += 1;
                tally.name(format!("{name}: what the backup holds is no object"));
            }
            Next::End => {
                if !group.keys.is_empty() {
                    // As above.
                    let _ = groups.send(group);
                }
                tally.lost = merged.losses();
                return Ok(tally);
            }
        }
        bar.set_position(merged.read());
    }
}

impl Group {
    fn has_room_for(&self, next: &Restored) -> bool {
        let Some(first) = self.keys.first() else { return true };
        let is_full = self.keys.len() >= RESTORE_GROUP_KEYS || self.bytes >= RESTORE_GROUP_BYTES;
        !is_full && first.key.keyspace() == next.key.keyspace()
    }

    fn add(&mut self, restored: Restored) {
        self.bytes += restored.values.iter().map(Bytes::len).sum::<usize>();
        self.keys.push(restored);
    }
}
