//! What time it is, for all shards of a process alike.

use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use rondo_protocol::now::{Instant, Now};

/// Counts from one moment that all shards share, so that a request's arrival means the same on every core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: StdInstant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Clock {
        Clock { start: StdInstant::now() }
    }

    /// Monotonic time since the start.
    pub(crate) fn instant(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Monotonic and wall time.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { instant: self.instant(), wall_millis: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }
}
