//! What a client asks.

use bytes::Bytes;
use core::time::Duration;

use crate::ring::ObjectKey;

/// How many replicas must answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Level {
    /// What the keyspace says.
    #[default]
    Default,
    /// One replica.
    One,
    /// More than half of N.
    Quorum,
    /// All N.
    All,
    /// This many.
    Count(u8),
}

/// What every request on a key says beside its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestOptions {
    /// N for this request; 0 means the keyspace's.
    pub replicas: u8,
    /// R of a get, W of a put or delete.
    pub level: Level,
    /// Time from arrival after which nobody waits any more; zero means the default.
    pub timeout: Duration,
}

/// A request for one key. Keyspace and key travel inside [`ObjectKey`]; the token is computed where the frame is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataRequest {
    /// What does the key hold?
    Get {
        /// The key.
        key: ObjectKey,
        /// How.
        options: RequestOptions,
    },
    /// Let the key hold a value.
    Put {
        /// The key.
        key: ObjectKey,
        /// How.
        options: RequestOptions,
        /// What the writer has seen; empty for nothing.
        context: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Let the key hold nothing.
    Delete {
        /// The key.
        key: ObjectKey,
        /// How.
        options: RequestOptions,
        /// What the writer has seen; empty for nothing.
        context: Bytes,
    },
}

impl DataRequest {
    /// The key asked about.
    pub fn key(&self) -> &ObjectKey {
        match self {
            DataRequest::Get { key, .. } | DataRequest::Put { key, .. } | DataRequest::Delete { key, .. } => key,
        }
    }

    /// Its options.
    pub fn options(&self) -> &RequestOptions {
        match self {
            DataRequest::Get { options, .. }
            | DataRequest::Put { options, .. }
            | DataRequest::Delete { options, .. } => options,
        }
    }
}

/// On the wire: what the keyspace says.
const LEVEL_DEFAULT: u8 = 0;
/// The largest count that has a code of its own: its number.
const LEVEL_COUNT_MAX: u8 = 250;
/// On the wire: a count of zero, which is always refused (so that asking for it is no silent default).
const LEVEL_COUNT_ZERO: u8 = 252;
const LEVEL_ONE: u8 = 253;
const LEVEL_QUORUM: u8 = 254;
const LEVEL_ALL: u8 = 255;

impl Level {
    /// Its byte on the wire. Counts above 250 (more than any N) travel as 250.
    pub fn code(self) -> u8 {
        match self {
            Level::Default => LEVEL_DEFAULT,
            Level::One => LEVEL_ONE,
            Level::Quorum => LEVEL_QUORUM,
            Level::All => LEVEL_ALL,
            Level::Count(0) => LEVEL_COUNT_ZERO,
            Level::Count(count) => count.min(LEVEL_COUNT_MAX),
        }
    }

    /// The level of a byte; `None` for 251, which has no meaning.
    pub fn from_code(code: u8) -> Option<Level> {
        match code {
            LEVEL_DEFAULT => Some(Level::Default),
            LEVEL_ONE => Some(Level::One),
            LEVEL_QUORUM => Some(Level::Quorum),
            LEVEL_ALL => Some(Level::All),
            LEVEL_COUNT_ZERO => Some(Level::Count(0)),
            count if count <= LEVEL_COUNT_MAX => Some(Level::Count(count)),
            _ => None,
        }
    }
}
