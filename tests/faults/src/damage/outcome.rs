//! What became of a fault, and which outcomes a fault may have.

use super::cell::Cell;
use super::files::FileKind;
use super::template::Template;
use core::fmt;

/// What became of one fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// All values right, nothing to say.
    NoEffect,
    /// All values right; something was set aside and made anew.
    Healed,
    /// Some keys are reported as lost, and nothing else is wrong.
    ReportedLoss,
    /// After a crash: the last batch was cut as one that was being written, or the last segment was gone as one that was
    /// about to be.
    TornTail,
    /// The directory does not open, and says why.
    Refused,
    /// A wrong or old value, a key that is absent without a report, a dead or hanging process, a useless error.
    Violation,
}

impl Outcome {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Outcome; 6] = [
        Outcome::NoEffect,
        Outcome::Healed,
        Outcome::ReportedLoss,
        Outcome::TornTail,
        Outcome::Refused,
        Outcome::Violation,
    ];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::NoEffect => "no effect",
            Outcome::Healed => "healed",
            Outcome::ReportedLoss => "reported loss",
            Outcome::TornTail => "torn tail",
            Outcome::Refused => "refused",
            Outcome::Violation => "violation",
        }
    }

    /// The outcome of that name.
    pub fn by_name(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// May a fault of that cell end so in that directory? The table of what is promised.
    pub fn is_allowed(self, cell: Cell, template: Template) -> bool {
        match self {
            Outcome::NoEffect | Outcome::Healed | Outcome::ReportedLoss => true,
            Outcome::TornTail => cell.file == FileKind::LogSegment && !template.is_left_cleanly(),
            // Every file that matters has a copy, or what it held is a wound: one fault never keeps a shard from opening.
            Outcome::Refused | Outcome::Violation => false,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
