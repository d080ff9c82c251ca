//! What is left of a damaged table, and where something is missing.
//!
//! Where the index is sound it leads to every block, and the walk goes on behind those that are damaged. Otherwise the
//! blocks are read in a row from the start, up to the first that is damaged: nothing tells where the next one begins that
//! a value could not say, too.

use super::copy::token_at;
use crate::sorted_store::gaps::{Walk, Walked, tour};
use crate::sorted_store::{SortedStoreError, guard};
use lsm_tree::table::Scanner;
use lsm_tree::{Cache, Checksum, CompressionType, InternalValue, Table, UserKey};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A block: magic, kind, checksum, length, length when unpacked, checksum of the header.
const BLOCK_HEADER_BYTES: usize = 4 + 1 + 16 + 4 + 4 + 4;
const KIND_DATA: u8 = 0;
const KIND_INDEX: u8 = 1;

/// What is left of a table.
#[derive(Default)]
pub(super) struct Remains {
    /// In the order of their keys.
    pub(super) items: Vec<InternalValue>,
    /// First and last token of each stretch in which something is missing.
    pub(super) holes: Vec<(u128, u128)>,
}

/// The table in `file`, if the crate can open it and it is the one with that number.
pub(super) fn open(file: &Path, id: u64, sum: u128) -> Option<Table> {
    let cache = Arc::new(Cache::with_capacity_bytes(1 << 20));
    let sum = Checksum::from_raw(sum);
    let table = guard::reading(|| Ok(Table::recover(file.to_path_buf(), sum, 0, 0, cache, None, true, true)));
    table.ok()?.ok().filter(|table| table.id() == id)
}

/// Everything of a table that opens, but for what stands in damaged blocks.
pub(super) fn by_index(table: &Table) -> Remains {
    let mut walk = TableWalk { table, items: Vec::new() };
    let (mut from, mut holes) = (Some(Vec::new()), Vec::new());
    while let Some(start) = from.take() {
        let tour = tour(&start, u128::MAX, &mut walk);
        let hole = |to: &Vec<u8>| token_at(to).saturating_sub(1);
        holes.extend(tour.gaps.iter().map(|gap| (token_at(&gap.from), gap.to.as_ref().map_or(u128::MAX, hole))));
        from = tour.next;
    }
    Remains { items: walk.items, holes }
}

/// The entries of a file block after block, up to the first that is damaged; behind it everything is missing.
pub(super) fn in_a_row(file: &Path) -> Remains {
    let read = guard::reading(|| Ok(read_in_a_row(file).unwrap_or_default()));
    read.unwrap_or_default()
}

fn read_in_a_row(file: &Path) -> io::Result<Remains> {
    let blocks = count_data_blocks(file)?;
    let mut remains = Remains::default();
    let mut is_whole = blocks.is_whole;
    if blocks.count > 0 {
        match Scanner::new(file, blocks.count, blocks.compression, 0) {
            Ok(items) => {
                for item in items {
                    let Ok(item) = item else {
                        is_whole = false;
                        break;
                    };
                    // A block of another place does not follow here.
                    if remains.items.last().is_some_and(|last| item.key.user_key < last.key.user_key) {
                        is_whole = false;
                        break;
                    }
                    remains.items.push(item);
                }
            }
            Err(_) => is_whole = false,
        }
    }
    if !is_whole || blocks.count == 0 {
        let from = remains.items.last().map_or(0, |last| token_at(&last.key.user_key));
        remains.holes.push((from, u128::MAX));
    }
    Ok(remains)
}

struct TableWalk<'a> {
    table: &'a Table,
    items: Vec<InternalValue>,
}

impl TableWalk<'_> {
    fn walk_on(&mut self, at: &mut Vec<u8>) -> Result<Walked, SortedStoreError> {
        for item in self.table.range(UserKey::from(&at[..])..) {
            let item = item.map_err(unreadable)?;
            at.clear();
            at.extend_from_slice(&item.key.user_key);
            at.push(0);
            self.items.push(item);
        }
        Ok(Walked::End)
    }
}

fn unreadable(error: lsm_tree::Error) -> SortedStoreError {
    SortedStoreError::Unreadable { what: error.to_string() }
}

impl Walk for TableWalk<'_> {
    fn walk(&mut self, from: &[u8]) -> Walked {
        let mut at = from.to_vec();
        match guard::reading(|| self.walk_on(&mut at)) {
            Ok(walked) => walked,
            Err(error) => Walked::Stuck { at, what: error.to_string() },
        }
    }

    fn is_readable(&mut self, at: &[u8]) -> bool {
        let first = guard::reading(|| match self.table.range(UserKey::from(at)..).next() {
            Some(found) => found.map(|_| ()).map_err(unreadable),
            None => Ok(()),
        });
        first.is_ok()
    }
}

/// The data blocks of a table.
struct DataBlocks {
    count: usize,
    compression: CompressionType,
    /// They end where they should.
    is_whole: bool,
}

/// The data blocks stand at the beginning; the index follows them.
fn count_data_blocks(file: &Path) -> io::Result<DataBlocks> {
    let file = File::open(file)?;
    let (mut at, mut count, mut is_packed, mut header) = (0, 0, false, [0; BLOCK_HEADER_BYTES]);
    // Where the table of contents is sound it tells the end, and what follows may be damaged.
    let archive = sfa::Reader::from_reader(&mut &file).ok();
    let end = archive.and_then(|archive| archive.toc().section(b"data").map(sfa::TocEntry::len));
    let is_whole = loop {
        if end.is_some_and(|end| end <= at) {
            break true;
        }
        match file.read_exact_at(&mut header, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break false,
            read => read?,
        }
        if header[4] != KIND_DATA {
            break end.is_none() && header[4] == KIND_INDEX;
        }
        let length = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        is_packed |= length(21) != length(25);
        at += BLOCK_HEADER_BYTES as u64 + u64::from(length(21));
        count += 1;
    };
    let compression = if is_packed { CompressionType::Lz4 } else { CompressionType::None };
    Ok(DataBlocks { count, compression, is_whole })
}
