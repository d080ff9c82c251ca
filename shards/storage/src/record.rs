//! What the log keeps, and how its records are numbered.

use bytes::Bytes;
use core::fmt;

/// A log sequence number of one shard: the n-th record ever appended there. 0 stands before the first record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The number after this one.
    pub fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lsn {}", self.0)
    }
}

/// One record to append.
#[derive(Clone, Debug)]
pub enum LogRecord<'a> {
    /// The whole object of a key, replacing what was there.
    Object {
        /// Where the key lies on the ring.
        token: u128,
        /// The key as it is routed (`u16 keyspace length | keyspace | key`).
        routed: &'a [u8],
        /// The canonical bytes; shared, not copied, unless they are very small.
        object: Bytes,
    },
    /// The clock may hand out times up to this one; after a restart it starts no lower.
    HlcBound(u64),
}
