//! Segments that are no longer needed: they go, but for one that is kept to be written again.

use super::{SPARE_PATH, SegmentId, WAL_DIR, WalWriter};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::record::Lsn;

impl<D: Disk> WalWriter<D> {
    /// Removes the segments that hold nothing from `lsn` on (never the open one), oldest first; says how many. One of them may
    /// become the spare. An error leaves the rest in place; the next call, or the next start, removes them.
    pub async fn remove_before(&mut self, lsn: Lsn) -> Result<usize, StorageError> {
        let removable = self.removable_before(lsn);
        let mut is_spared = false;
        for _ in 0..removable {
            let id = self.position.segments[0];
            is_spared |= self.let_go(id, !self.has_spare && !is_spared).await?;
            self.position.segments.remove(0);
        }
        if removable > 0 {
            self.disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync", WAL_DIR))?;
            // Only now: while its old name may come back after a power cut, what it names must stay as it was.
            self.has_spare |= is_spared;
        }
        Ok(removable)
    }

    /// Takes a segment's name away; true if its file is the spare now.
    async fn let_go(&mut self, id: SegmentId, wants_spare: bool) -> Result<bool, StorageError> {
        let path = id.path();
        let filled = self.filled.iter().position(|filled| *filled == id).map(|at| self.filled.swap_remove(at));
        if wants_spare && filled.is_some() {
            self.disk.rename(&path, SPARE_PATH).await.map_err(StorageError::io("set aside", &path))?;
            return Ok(true);
        }
        self.disk.remove(&path).await.map_err(StorageError::io("remove", &path))?;
        Ok(false)
    }

    /// The oldest segment that would stay after `remove_before(lsn)`; `None` if there would be none.
    pub fn first_segment_after(&self, lsn: Lsn) -> Option<Lsn> {
        self.position.segments.get(self.removable_before(lsn)).map(|id| id.first)
    }

    /// Segments from the front whose successor begins at `lsn` or before it.
    fn removable_before(&self, lsn: Lsn) -> usize {
        let segments = &self.position.segments;
        let ended = segments.iter().skip(1).take_while(|next| next.first <= lsn).count();
        let is_last_ended = self.open.is_none() && self.position.next_lsn <= lsn && ended + 1 == segments.len();
        ended + usize::from(is_last_ended)
    }
}
