//! How much a file system has left, and whether that is enough.

/// The room of one file system, as far as writes are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Room {
    /// Nobody has looked yet, or the system does not say.
    #[default]
    Unknown,
    /// For everything.
    Enough {
        /// Bytes that may still be written.
        free_bytes: u64,
    },
    /// Less than is to be left free.
    Little {
        /// Bytes that may still be written.
        free_bytes: u64,
    },
    /// Bytes, but no files.
    NoInodes {
        /// Bytes that may still be written.
        free_bytes: u64,
        /// Files that may still be made.
        free_inodes: u64,
    },
}

impl Room {
    /// Must values be refused?
    pub fn is_little(self) -> bool {
        match self {
            Room::Unknown | Room::Enough { .. } => false,
            Room::Little { .. } | Room::NoInodes { .. } => true,
        }
    }

    /// Bytes that may still be written; 0 if nobody knows.
    pub fn free_bytes(self) -> u64 {
        match self {
            Room::Unknown => 0,
            Room::Enough { free_bytes } | Room::Little { free_bytes } | Room::NoInodes { free_bytes, .. } => free_bytes,
        }
    }

    /// Why values are refused, for people.
    pub fn reason(self) -> Option<String> {
        match self {
            Room::Unknown | Room::Enough { .. } => None,
            Room::Little { free_bytes } => Some(format!("{} MiB are left", free_bytes >> 20)),
            Room::NoInodes { free_inodes, .. } => Some(format!("{free_inodes} inodes are left")),
        }
    }
}
