//! The log: what was acknowledged, in order.
//!
//! Segments, each two header pages and then batches, each batch on a page boundary and synced before the next is written.
//! So whatever is torn can only be the last batch, and a bad batch before a good one is damage. `format` knows the bytes,
//! `segment` reads them back, `writer` writes them, `removal` lets them go, `reserve` keeps room for a full disk.

mod batch;
mod format;
mod removal;
mod reserve;
mod segment;
mod writer;

pub use batch::Batch;
pub(crate) use batch::PendingRecord;
pub(crate) use format::{DATA_AT, HeaderFault, RecordHead, SEGMENT_VERSION, SegmentHeader};
pub(crate) use reserve::{create_anew, make_reserve};
pub use segment::{ReplayFault, check_segment, segment_around};
pub(crate) use segment::{SegmentEnd, SegmentReader};
pub use writer::{WalPosition, WalWriter, WriteFailure};

use crate::record::Lsn;

/// The directory of the log, relative to the shard's.
pub const WAL_DIR: &str = "wal";
/// A segment that is being made; it gets its name when its header is durable.
pub(crate) const NEW_PATH: &str = "wal/new";
/// A segment that is no longer needed, kept to be written again.
pub(crate) const SPARE_PATH: &str = "wal/spare";
/// The reserve: a segment set aside for a full disk.
pub const RESERVE_PATH: &str = "wal/reserve";

/// A segment's name: its first record, and which try it was to begin a segment with that record. A later try takes the
/// place of an earlier one, of which nothing was ever acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentId {
    /// Its first record.
    pub first: Lsn,
    /// 0 for the first try.
    pub attempt: u16,
}

impl SegmentId {
    /// The path of the segment, relative to the shard's directory.
    pub fn path(self) -> String {
        let SegmentId { first, attempt } = self;
        match attempt {
            0 => format!("{WAL_DIR}/{:016x}.log", first.0),
            _ => format!("{WAL_DIR}/{:016x}-{attempt:04x}.log", first.0),
        }
    }

    /// The segment called `name` (without directory); `None` if it is no segment's name.
    pub fn parse(name: &str) -> Option<SegmentId> {
        let stem = name.strip_suffix(".log")?;
        let (first, attempt) = stem.split_once('-').unwrap_or((stem, "0000"));
        let id = SegmentId {
            first: Lsn(u64::from_str_radix(first, 16).ok()?),
            attempt: u16::from_str_radix(attempt, 16).ok()?,
        };
        id.path().strip_prefix(WAL_DIR)?.strip_prefix('/').is_some_and(|canonical| canonical == name).then_some(id)
    }
}
