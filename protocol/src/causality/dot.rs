//! The name of one write.

use super::{ActorId, Hlc};

/// One write of one key: who gave it, and when by that actor's clock. An actor's clock never stands still and never
/// runs backwards, so a dot is never given twice; and because the count *is* a time, the same number orders
/// concurrent versions where the last write is to win.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Dot {
    /// The time, first, so that dots order by time and ties by actor.
    pub hlc: Hlc,
    /// The actor.
    pub actor: ActorId,
}
