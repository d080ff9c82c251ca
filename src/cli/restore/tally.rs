//! How a restore through the ring went, counted and told.

use std::io::Write;

use rondo_storage::backup::Losses;
use serde_json::json;

use super::lost::{lost_json, tell_lost};
use crate::cli::data::eprint_line;
use crate::cli::exit::{Exit, Outcome};
use crate::limits::RESTORE_TROUBLES_NAMED;

/// How many keys came to which end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    /// Put, durable as the keyspace asks.
    pub(super) restored: u64,
    /// The cluster held exactly this already.
    pub(super) already: u64,
    /// The cluster held something else, which stayed.
    pub(super) left_alone: u64,
    /// Deleted when the backup was made.
    pub(super) deleted: u64,
    /// Neither put nor known to be there.
    pub(super) refused: u64,
    /// No objects: the backup is as it was written, but not what was written.
    pub(super) undecodable: u64,
    /// The first of the last two.
    troubles: Vec<String>,
    /// What the backup itself has lost.
    pub(super) lost: Losses,
}

impl Tally {
    /// Names a key that could not be restored, if there is room for another.
    pub(super) fn name(&mut self, trouble: String) {
        if self.troubles.len() < RESTORE_TROUBLES_NAMED {
            self.troubles.push(trouble);
        }
    }

    pub(super) fn add(&mut self, other: Tally) {
        self.restored += other.restored;
        self.already += other.already;
        self.left_alone += other.left_alone;
        self.deleted += other.deleted;
        self.refused += other.refused;
        self.undecodable += other.undecodable;
        other.troubles.into_iter().for_each(|trouble| self.name(trouble));
        if !other.lost.is_empty() {
            self.lost = other.lost; // Only the reader of the backup knows of any.
        }
    }

    fn exit(&self) -> Exit {
        match (self.refused, self.undecodable, self.lost.is_empty()) {
            (0, 0, true) => Exit::Done,
            (0, _, _) => Exit::Damaged,
            (_, _, _) => Exit::Unknown,
        }
    }
}

/// Tells it, and how the command ends.
pub(super) fn report(tally: &Tally, is_json: bool) -> Outcome {
    let Tally { restored, already, left_alone, deleted, refused, undecodable, troubles, lost } = tally;
    let mut out = std::io::stdout().lock();
    if is_json {
        let line = json!({
            "restored": restored, "already": already, "left_alone": left_alone, "deleted": deleted,
            "refused": refused, "undecodable": undecodable, "troubles": troubles,
            "lost_records": lost.records, "withheld": lost.withheld, "lost": lost_json(lost),
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "{restored} keys restored; {already} were there already, {left_alone} hold something else and were left alone"
        )?;
        writeln!(
            out,
            "{deleted} had been deleted when the backup was made; {refused} were refused, {undecodable} are damaged"
        )?;
    }
    out.flush()?;
    troubles.iter().for_each(|trouble| eprint_line(&format!("rondo: {trouble}")));
    tell_lost(lost);
    if *refused > 0 {
        eprint_line("rondo: run the same command again for what was refused; what is restored is not put twice");
    }
    Ok(tally.exit())
}
