//! What a shard knows of its disk: what it takes, why not more, and when to try again.
//!
//! Think of a harbour master: he looks at the water (free space), at the ship that should have been unloaded by now (a
//! write under way), and at what the last one reported (an error); from these he says which ships may come in.
//!
//! ```text
//! writable ──little room, ENOSPC──► full ──room, and the reserve is there again──► writable
//!    │ ╲──an error──► failing ──the same batch got through──► writable
//!    ╰──a write or sync that does not come back──► stalled ──it came back──► what it was
//! ```
//! Pure: the time and the room are arguments. Writing again, and telling the core, is the shard's work.

mod room;

pub use room::Room;

use crate::error::DiskTrouble;
use crate::limits::{DISK_RETRY_MAX, DISK_RETRY_MIN, DISK_STALLED_AFTER, REFILL_FREE_BYTES};
use core::time::Duration;

/// What the disk of a shard takes. Reads of what is in memory go on in every condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskCondition {
    /// All writes.
    #[default]
    Writable,
    /// Deletes (as long as the reserve of the log lasts), and no values.
    Full,
    /// Nothing: writes or syncs fail.
    Failing,
    /// Nothing: it does not answer.
    Stalled,
}

impl DiskCondition {
    /// Its word, for JSON and labels.
    pub fn word(self) -> &'static str {
        match self {
            DiskCondition::Writable => "writable",
            DiskCondition::Full => "full",
            DiskCondition::Failing => "failing",
            DiskCondition::Stalled => "stalled",
        }
    }
}

/// Which writes may be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Takes {
    /// All.
    #[default]
    All,
    /// Deletes only.
    Deletes,
    /// None.
    Nothing,
}

/// A moment, as the time since any fixed one.
type Moment = Duration;

/// The health of one shard's disk.
#[derive(Clone, Debug, Default)]
pub struct DiskHealth {
    room: Room,
    /// What the last write, sync or checkpoint said, if it failed and none has got through since.
    refusal: Option<(DiskTrouble, String)>,
    /// The reserve was written to (or might have been), and is not known to be there again.
    owes_reserve: bool,
    reserve_is_used_up: bool,
    /// When the write or sync under way began.
    busy_since: Option<Moment>,
    /// When the probe under way began.
    probed_since: Option<Moment>,
    /// When the reserve may be filled again. The wait grows while each filling is followed by another refusal, as where a
    /// disk says that it has room and has none.
    refill_at: Moment,
    refill_after: Duration,
    retry_at: Moment,
    retry_after: Duration,
    condition: DiskCondition,
    takes: Takes,
}

/// What was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// To write a batch as usual.
    Commit,
    /// To write a batch, with the reserve where there is no room.
    CommitFromReserve,
    /// To finish a checkpoint.
    Checkpoint,
}

/// How the disk is, for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DiskReport {
    /// What it takes.
    pub condition: DiskCondition,
    /// Why it takes no more than that.
    pub reason: Option<String>,
    /// Since when it has not answered, if it is stalled.
    pub stalled_since: Option<Moment>,
    /// Room left; 0 if nobody knows.
    pub free_bytes: u64,
}

impl DiskHealth {
    /// What the disk takes, as of the last look.
    pub fn condition(&self) -> DiskCondition {
        self.condition
    }

    /// A write or sync begins.
    pub fn began(&mut self, now: Moment) {
        self.busy_since = Some(now);
    }

    /// A look at the disk that somebody else took has been under way since then, if one is: so that a disk that hangs is noticed
    /// though nothing is written.
    pub fn probing(&mut self, since: Option<Moment>) {
        self.probed_since = since;
    }

    /// The earliest of what has not come back.
    fn waiting_since(&self) -> Option<Moment> {
        self.busy_since.into_iter().chain(self.probed_since).min()
    }

    /// It got through. Where it may have used the reserve, that is to be filled again.
    pub fn written(&mut self, attempt: Attempt) {
        self.busy_since = None;
        self.owes_reserve |= attempt == Attempt::CommitFromReserve;
        if attempt == Attempt::Commit {
            self.refill_after = Duration::ZERO;
        }
        self.reserve_is_used_up = false;
        self.retry_after = Duration::ZERO;
        if matches!(self.refusal, Some((DiskTrouble::Failing, _))) {
            self.refusal = None;
        }
    }

    /// It failed. Where the disk has no room and the reserve was not tried yet, that comes at once.
    pub fn refused(&mut self, attempt: Attempt, trouble: DiskTrouble, reason: String, now: Moment) {
        self.busy_since = None;
        self.refusal = Some((trouble, reason));
        if trouble == DiskTrouble::NoSpace {
            self.owes_reserve = true;
            self.refill_after = (self.refill_after * 2).clamp(DISK_RETRY_MIN, DISK_RETRY_MAX);
            self.refill_at = now + self.refill_after;
        }
        match (trouble, attempt) {
            (DiskTrouble::NoSpace, Attempt::Commit) => self.retry_at = now,
            (DiskTrouble::NoSpace, Attempt::CommitFromReserve) => {
                self.reserve_is_used_up = true;
                self.back_off(now);
            }
            (DiskTrouble::NoSpace, Attempt::Checkpoint) | (DiskTrouble::Failing, _) => self.back_off(now),
        }
    }

    fn back_off(&mut self, now: Moment) {
        self.retry_after = (self.retry_after * 2).clamp(DISK_RETRY_MIN, DISK_RETRY_MAX);
        self.retry_at = now + self.retry_after;
    }

    /// Filling the reserve ended; `is_there` if that worked.
    pub fn refilled(&mut self, is_there: bool, now: Moment) {
        self.busy_since = None;
        if !is_there {
            return self.back_off(now);
        }
        self.owes_reserve = false;
        if matches!(self.refusal, Some((DiskTrouble::NoSpace, _))) {
            self.refusal = None;
        }
    }

    /// Judges anew. Gives what may be appended from now on if that is something else.
    pub fn look(&mut self, now: Moment, room: Room) -> Option<Takes> {
        self.room = room;
        self.condition = self.judge(now);
        let takes = match self.condition {
            DiskCondition::Writable => Takes::All,
            DiskCondition::Full if !self.reserve_is_used_up => Takes::Deletes,
            DiskCondition::Full | DiskCondition::Failing | DiskCondition::Stalled => Takes::Nothing,
        };
        (core::mem::replace(&mut self.takes, takes) != takes).then_some(takes)
    }

    fn judge(&self, now: Moment) -> DiskCondition {
        let is_stalled = self.waiting_since().is_some_and(|since| now - since >= DISK_STALLED_AFTER);
        match &self.refusal {
            _ if is_stalled => DiskCondition::Stalled,
            Some((DiskTrouble::Failing, _)) => DiskCondition::Failing,
            Some((DiskTrouble::NoSpace, _)) => DiskCondition::Full,
            None if self.owes_reserve || self.room.is_little() => DiskCondition::Full,
            None => DiskCondition::Writable,
        }
    }

    /// Should deletes go to the reserve where there is no room?
    pub fn uses_reserve(&self) -> bool {
        self.condition == DiskCondition::Full || matches!(self.refusal, Some((DiskTrouble::NoSpace, _)))
    }

    /// May what failed be tried (again) now? True while nothing has failed.
    pub fn may_try(&self, now: Moment) -> bool {
        self.refusal.is_none() || self.retry_at <= now
    }

    /// Is it time to fill the reserve again? Not before there is room for a segment beside it, or it would be used up at once.
    pub fn may_refill(&self, now: Moment) -> bool {
        self.owes_reserve && self.retry_at.max(self.refill_at) <= now && self.has_room_for_more()
    }

    fn has_room_for_more(&self) -> bool {
        self.room == Room::Unknown || (!self.room.is_little() && self.room.free_bytes() >= REFILL_FREE_BYTES)
    }

    /// Is there something that only another try can bring about, and is its time here?
    pub fn wants_try(&self, now: Moment) -> bool {
        (self.refusal.is_some() && self.retry_at <= now) || self.may_refill(now)
    }

    /// When to look again though nothing has happened: a write may have stalled by then, or something may be tried again.
    pub fn next_look(&self, now: Moment) -> Option<Moment> {
        let stalled_at = self.waiting_since().map(|since| since + DISK_STALLED_AFTER).filter(|at| now < *at);
        let refill_at = self.retry_at.max(self.refill_at);
        let refill_at = (self.owes_reserve && self.has_room_for_more()).then_some(refill_at);
        let retry_at = self.refusal.as_ref().map(|_| self.retry_at).filter(|at| now < *at);
        stalled_at.or(retry_at).or(refill_at).map(|at| at.max(now))
    }

    /// May a checkpoint of about `bytes` be begun? A sorted store that runs out of room amid one is worse off than the log.
    pub fn may_checkpoint(&self, bytes: u64) -> bool {
        self.condition != DiskCondition::Full || self.room == Room::Unknown || self.room.free_bytes() / 4 >= bytes
    }

    /// How it is, for people.
    pub fn report(&self) -> DiskReport {
        let reason = match self.condition {
            DiskCondition::Writable => None,
            DiskCondition::Stalled => Some("a write or sync has not come back".to_owned()),
            DiskCondition::Full | DiskCondition::Failing => {
                let refusal = self.refusal.as_ref().map(|(_, reason)| reason.clone());
                let owed = || "the reserve of the log is to be filled again".to_owned();
                Some(refusal.or_else(|| self.room.reason()).unwrap_or_else(owed))
            }
        };
        let is_stalled = self.condition == DiskCondition::Stalled;
        DiskReport {
            condition: self.condition,
            reason,
            stalled_since: self.waiting_since().filter(|_| is_stalled),
            free_bytes: self.room.free_bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
