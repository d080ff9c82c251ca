//! The promises, one file each, held against what clients were told.
//!
//! A checker knows nothing of how the cluster works. It reads the history, the births of dots and the copies that the
//! replicas hold in the end, and says in one sentence what was broken.

pub mod acknowledged;
pub mod convergence;
pub mod dots;
pub mod limits;
pub mod liveness;
pub mod lww;
pub mod siblings;
#[cfg(test)]
mod tests;

use core::fmt;

use rondo_protocol::object::EncodedObject;

use crate::fault::Seat;
use crate::history::{History, Key};
use dots::Dots;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Whose checker found it.
    pub checker: &'static str,
    /// What is wrong, in one sentence.
    pub what: String,
}

/// What one replica holds of one key when all is over.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The replica.
    pub node: Seat,
    /// The key.
    pub key: Key,
    /// What it holds.
    pub object: Option<EncodedObject>,
}

/// What the checkers of a finished run read.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What clients asked and were told.
    pub history: &'a History,
    /// Which write got which dot.
    pub dots: &'a Dots,
    /// What the primaries of each key hold in the end.
    pub copies: &'a [Copy],
}

impl Violation {
    /// `checker` found that `what`.
    pub fn new(checker: &'static str, what: impl Into<String>) -> Violation {
        Violation { checker, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.what)
    }
}

/// Every checker of a finished run, in the order in which their findings explain most.
pub fn check(evidence: &Evidence<'_>) -> Result<(), Violation> {
    acknowledged::check(evidence)?;
    siblings::check(evidence)?;
    lww::check(evidence)?;
    convergence::check(evidence)
}
