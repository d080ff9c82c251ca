//! What goes into a sorted store and what comes out, one by one and in pages.

use crate::record::Lsn;
use bytes::Bytes;

/// One entry to apply.
#[derive(Clone, Copy, Debug)]
pub struct SortedEntry<'a> {
    /// Where the key lies on the ring.
    pub token: u128,
    /// The key as it is routed.
    pub routed: &'a [u8],
    /// The canonical bytes.
    pub object: &'a Bytes,
    /// The record it came from.
    pub lsn: Lsn,
}

/// An object as the sorted store has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The canonical bytes.
    pub object: Bytes,
    /// The record they came from.
    pub lsn: Lsn,
}

/// One entry of a scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScanEntry {
    /// Where the key lies on the ring.
    pub token: u128,
    /// The key as it is routed.
    pub routed: Bytes,
    /// The canonical bytes.
    pub object: Bytes,
    /// The record they came from.
    pub lsn: Lsn,
}

/// How much one page of a scan may hold: it ends with the entry that reaches either bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageLimits {
    /// Entries, at least 1.
    pub entries_max: usize,
    /// Bytes of keys and objects.
    pub bytes_max: usize,
}

/// A range of stored keys that cannot be read: whatever was stored there is damaged, and which keys it was is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyGap {
    /// The first stored key that may be missing.
    pub from: Vec<u8>,
    /// The first stored key that is not; `None` if everything behind `from` may be.
    pub to: Option<Vec<u8>>,
    /// What was found there.
    pub what: String,
}

/// Part of a scan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScanPage {
    /// In stored order.
    pub entries: Vec<ScanEntry>,
    /// Stored keys whose objects are damaged.
    pub unreadable: Vec<Vec<u8>>,
    /// Ranges in which not even the keys can be read. The scan went on behind them.
    pub gaps: Vec<KeyGap>,
    /// Where to go on; `None` at the end of the range.
    pub next: Option<Vec<u8>>,
}

/// Part of a scan of the keys alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyPage {
    /// Stored keys, in stored order. Their objects were not looked at.
    pub keys: Vec<Vec<u8>>,
    /// Ranges in which the keys cannot be read. The scan went on behind them.
    pub gaps: Vec<KeyGap>,
    /// Where to go on; `None` at the end of the range.
    pub next: Option<Vec<u8>>,
}

/// What a store weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreSizes {
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Bytes that its caches, buffers and filters hold in memory, as far as the engine says.
    pub memory_bytes: u64,
    /// Of these, bytes of filters.
    pub filter_bytes: u64,
    /// Bytes that it has written since it was opened, as far as the engine says.
    pub written_bytes_total: u64,
    /// Bytes of keys and newest objects, as far as they are known.
    pub live_bytes: u64,
    /// Runs of tables that wait to be merged; 0 for an engine that does not merge.
    pub merge_backlog: u64,
    /// Is a merge under way?
    pub is_merging: bool,
}
