//! The log: what was acknowledged, in order.
//!
//! Segments `wal/<first lsn in hex>.log`, each a header page and then batches, each batch on a page boundary and synced
//! before the next is written. So whatever is torn can only be the last batch, and a bad batch before a good one is damage.
//! `format` knows the bytes, `segment` reads them back, `writer` writes them.

mod batch;
mod format;
mod segment;
mod writer;

pub use batch::Batch;
pub(crate) use batch::PendingRecord;
pub(crate) use format::{HeaderFault, SegmentHeader};
pub use segment::{ReplayFault, check_segment, segment_around};
pub(crate) use segment::{SegmentEnd, SegmentReader};
pub use writer::{WalPosition, WalWriter, WriteFailure};

use crate::record::Lsn;

/// The directory of the log, relative to the shard's.
pub const WAL_DIR: &str = "wal";

/// The path of the segment that begins with `first`.
pub fn segment_path(first: Lsn) -> String {
    format!("{WAL_DIR}/{:016x}.log", first.0)
}

/// The first record of the segment called `name` (without directory); `None` if it is no segment's name.
pub fn segment_first(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    let is_canonical = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_canonical.then(|| u64::from_str_radix(digits, 16).ok().map(Lsn))?
}
