//! Names for what is under way.

use core::fmt;

/// A request in flight inside one core: its place in the slab and the generation of that place, so that an answer
/// that comes after its request was settled is recognised as late instead of settling a stranger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket {
    /// Place in the slab.
    pub index: u32,
    /// How often the place had been used before.
    pub generation: u32,
}

/// Where a client's request came from: opaque to the core, handed back with the reply. The glue puts in it what it
/// needs to find the connection (or core) again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Origin(pub u64, pub u64);

/// A log sequence number of one shard: the n-th record ever appended there. 0 stands before the first record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lsn(pub u64);

impl Ticket {
    /// The ticket as one number, for the wire.
    pub fn to_u64(self) -> u64 {
        (u64::from(self.index) << 32) | u64::from(self.generation)
    }

    /// The inverse of [`Ticket::to_u64`].
    pub fn from_u64(number: u64) -> Ticket {
        Ticket { index: (number >> 32) as u32, generation: number as u32 }
    }
}

impl Lsn {
    /// The number after this one.
    pub fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
