//! Bugs planted on purpose, to prove that the checkers bite. Never in a release: without the feature `planted` the
//! question is the constant `false`.

/// The bugs of the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planted {
    /// Recovery takes the records of a torn last batch that happen to parse, whatever the checksum says.
    TornTailAccepted,
    /// The log says a batch is durable without having synced it.
    SkipSync,
    /// A segment's name is not made durable.
    SkipDirSync,
    /// Reading the log back looks at no checksum.
    SkipCrc,
    /// A checkpoint is said to be durable before the sorted store has it, and the log goes.
    DropLogEarly,
    /// The manifest is written in place and without a sync, and whatever is found in its place is believed.
    TornManifestAccepted,
    /// A sync that failed is tried again, and believed if it then succeeds.
    RetryFailedSync,
    /// What sled has flushed is taken for durable, without a sync of its file.
    SkipStoreSync,
}

#[cfg(feature = "planted")]
mod switch {
    use super::Planted;
    use core::cell::Cell;
    use std::sync::{PoisonError, RwLock};

    std::thread_local!(static ACTIVE: Cell<Option<Planted>> = const { Cell::new(None) });

    /// Plants `bug` (or none) for this thread.
    pub fn plant(bug: Option<Planted>) {
        ACTIVE.set(bug);
    }

    static EVERYWHERE: RwLock<Option<Planted>> = RwLock::new(None);

    /// Plants `bug` (or none) for all threads of the process: for a process that does nothing else.
    pub fn plant_everywhere(bug: Option<Planted>) {
        *EVERYWHERE.write().unwrap_or_else(PoisonError::into_inner) = bug;
    }

    /// Is `bug` planted?
    pub fn is_planted(bug: Planted) -> bool {
        let everywhere = || *EVERYWHERE.read().unwrap_or_else(PoisonError::into_inner);
        ACTIVE.get() == Some(bug) || everywhere() == Some(bug)
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
