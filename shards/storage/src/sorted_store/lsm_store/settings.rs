//! How the tree is built, and why so.

use super::compactor::{Pace, PacedFilters};
use crate::limits::LSM_OPEN_FILES_MAX;
use lsm_tree::compaction::Leveled;
use lsm_tree::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy};
use lsm_tree::{Cache, CompressionType, Config, DescriptorTable, KvSeparationOptions, SequenceNumberCounter};
use std::path::Path;
use std::sync::Arc;

/// Bits of filter for each key and table: one key in a thousand that is absent costs a read. With ten bits it would be one in
/// a hundred, for each of the five to ten tables that are asked.
const FILTER_BITS: f32 = 14.0;
/// Envelopes from this size on lie in blob files. Below it an object fits into one block and one read; above, merging it
/// through the levels would write it some ten times, where its handle costs a second read.
const SEPARATED_BYTES_MIN: u32 = 4096 + 64;
/// A blob file is rewritten when this share of it is no longer referred to.
const STALE_SHARE_MAX: f32 = 0.25;
/// Tables, and blob files, of about this size: small enough that no merge works for minutes, few enough to keep open.
pub(super) const FILE_BYTES: u64 = 64 << 20;
/// Level 0 is merged when it has this many tables, one from each checkpoint.
pub(super) const LEVEL_0_TABLES: u8 = 4;

pub(super) fn tree(path: &Path, cache: Arc<Cache>, pace: Arc<Pace>) -> Config {
    let blobs = KvSeparationOptions::default()
        .separation_threshold(SEPARATED_BYTES_MIN)
        .file_target_size(FILE_BYTES)
        .staleness_threshold(STALE_SHARE_MAX)
        // All of them, not only the oldest: what is stale takes room whatever its age.
        .age_cutoff(1.0)
        // The length after decompression is under no checksum in a blob file.
        .compression(CompressionType::None);
    Config::new(path, SequenceNumberCounter::default(), SequenceNumberCounter::default())
        .use_cache(cache)
        .use_descriptor_table(Some(Arc::new(DescriptorTable::new(LSM_OPEN_FILES_MAX))))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(bloom())))
        // All filters in memory, whole: an absent key asks no disk.
        .filter_block_partitioning_policy(PinningPolicy::all(false))
        .filter_block_pinning_policy(PinningPolicy::all(true))
        // Of the indexes the tops only: the blocks below come from the cache like data.
        .index_block_partitioning_policy(PinningPolicy::new([false, true]))
        .index_block_pinning_policy(PinningPolicy::new([true, false]))
        .data_block_compression_policy(CompressionPolicy::new([compression(0), compression(1), compression(2)]))
        .with_compaction_filter_factory(Some(Arc::new(PacedFilters::new(path, pace))))
        .with_kv_separation(Some(blobs))
}

pub(super) fn bloom() -> BloomConstructionPolicy {
    BloomConstructionPolicy::BitsPerKey(FILTER_BITS)
}

/// Of data blocks from `level` on: young tables are rewritten soon, four fifths of the data lie in the cold levels.
pub(super) fn compression(level: u8) -> CompressionType {
    if level < 2 { CompressionType::None } else { CompressionType::Lz4 }
}

pub(super) fn strategy() -> Leveled {
    Leveled::default().with_l0_threshold(LEVEL_0_TABLES).with_table_target_size(FILE_BYTES)
}
