//! What somebody has seen, by actor.

use super::{ActorId, Dot, Hlc};

/// For each actor the latest of its writes that was seen (and with it all earlier ones of the key). Sorted by actor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionVector {
    entries: Vec<(ActorId, Hlc)>,
}

impl VersionVector {
    /// Has the write of this dot been seen?
    pub fn covers(&self, dot: Dot) -> bool {
        todo!("{dot:?}")
    }

    /// Sees the write of this dot.
    pub fn add(&mut self, dot: Dot) {
        todo!("{dot:?}")
    }

    /// Sees all that `other` has seen.
    pub fn join(&mut self, other: &VersionVector) {
        todo!("{other:?}")
    }

    /// The entries, sorted by actor.
    pub fn entries(&self) -> &[(ActorId, Hlc)] {
        &self.entries
    }

    /// The latest time in it; zero if empty.
    pub fn latest(&self) -> Hlc {
        self.entries.iter().map(|(_, hlc)| *hlc).max().unwrap_or_default()
    }
}
