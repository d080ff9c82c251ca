//! Bugs planted on purpose, to prove that the checkers bite. Never in a release: without the feature `planted` the
//! question is the constant `false`.

/// The bugs of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// A replica (or the coordinator for its own copy) acknowledges before its bytes are durable.
    AckBeforeDurable,
    /// A put is reported done at W-1 acknowledgements.
    AckOneShort,
    /// The incarnation is not renewed over an unclean restart and dots are counted from the start again.
    DotReuseAfterRestart,
    /// The clock restarts from the wall clock alone, below its durable bound.
    HlcBackwards,
    /// A put ignores the context it carries.
    ContextIgnored,
    /// Merge keeps the left side where it should keep both.
    MergeNotCommutative,
    /// A late answer settles whatever now lives in its place.
    StaleTicketAnswered,
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
