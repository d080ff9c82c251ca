//! Bugs planted on purpose, to prove that the checkers bite. Never in a release: without the feature `planted` the
//! question is the constant `false`.

/// The bugs of the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// Recovery takes the records of a torn last batch that happen to parse, whatever the checksum says.
    TornTailAccepted,
    /// The log says a batch is durable without having synced it.
    SkipSync,
}

#[cfg(feature = "planted")]
mod switch {
    use super::Planted;
    use core::cell::Cell;

    std::thread_local!(static ACTIVE: Cell<Option<Planted>> = const { Cell::new(None) });

    /// Plants `bug` (or none) for this thread.
    pub fn plant(bug: Option<Planted>) {
        ACTIVE.set(bug);
    }

    /// Is `bug` planted?
    pub fn is_planted(bug: Planted) -> bool {
        ACTIVE.get() == Some(bug)
    }
}

#[cfg(not(feature = "planted"))]
mod switch {
    /// Is `bug` planted? Never, in this build.
    #[inline(always)]
    pub fn is_planted(_bug: super::Planted) -> bool {
        false
    }
}

pub use switch::*;
