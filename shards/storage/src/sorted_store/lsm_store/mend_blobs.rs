//! Blob files that cannot be opened any more.
//!
//! What points into them are offsets, so a blob file is mended by putting a new description behind what is left of it. A
//! blob that is gone is then unreadable, by its key; without this, all keys of the store would be.

use lsm_tree::coding::Encode;
use lsm_tree::table::block::BlockType;
use lsm_tree::table::{Block, DataBlock};
use lsm_tree::{CompressionType, InternalValue, ValueType};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

const DESCRIPTION_MAGIC: &[u8] = b"META";
const BLOB_MAGIC: &[u8] = b"BLOB";
/// Magic, checksum, sequence number, length of the key, of the value, and of the value as it is stored.
const BLOB_HEADER_BYTES: usize = 4 + 16 + 8 + 2 + 4 + 4;
/// Said to be in a file of which nobody knows what was in it: so much that no share of it is ever worth a rewrite.
const UNKNOWN_BYTES: u64 = u64::MAX / 4;

/// Can the crate open it?
pub(super) fn opens(file: &Path) -> bool {
    let Ok(content) = fs::read(file) else { return false };
    let Ok(archive) = sfa::Reader::new(file) else { return false };
    let Some(section) = archive.toc().section(b"meta") else { return false };
    let description = content.get(section.pos() as usize..(section.pos() + section.len()) as usize);
    let Some(block) = description.and_then(|description| description.strip_prefix(DESCRIPTION_MAGIC)) else {
        return false;
    };
    Block::from_reader(&mut &*block, CompressionType::None).is_ok()
}

/// Writes what is left of blob file `id` with a new description, under a name that is removed at the start; its checksum.
///
/// `is_suspect`: a blob in it may be damaged. Then it is never rewritten by a merge, which would end at that one.
pub(super) fn write_anew(path: &Path, id: u64, file: &Path, is_suspect: bool) -> io::Result<(PathBuf, u128)> {
    let left = match fs::read(file) {
        Ok(left) => left,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let (blobs, bytes, end) = count(&left);
    // All of it stays, whatever it is: somebody may point into it.
    let (data, totals) = match end {
        Some(end) if is_suspect => (&left[..end], (blobs, UNKNOWN_BYTES)),
        Some(end) => (&left[..end], (blobs, bytes)),
        None => (&left[..], (blobs, UNKNOWN_BYTES)),
    };
    let unfinished = path.join(format!(".tmp-blob-{id}"));
    let mut archive = sfa::Writer::from_writer(File::create(&unfinished)?);
    archive.start("data")?;
    archive.write_all(data)?;
    archive.start("meta")?;
    archive.write_all(&description(id, totals).map_err(io::Error::other)?)?;
    let written = archive.into_inner().map_err(|error| io::Error::other(format!("{error:?}")))?;
    written.sync_all()?;
    Ok((unfinished.clone(), xxh3_128(&fs::read(&unfinished)?)))
}

/// Blobs in a row from the start, the bytes of their values, and where the last one ends if the description follows it.
fn count(file: &[u8]) -> (u64, u64, Option<usize>) {
    let (mut at, mut blobs, mut bytes) = (0, 0, 0);
    while let Some(header) = file.get(at..at + BLOB_HEADER_BYTES).filter(|header| header.starts_with(BLOB_MAGIC)) {
        let length = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let key = u16::from_le_bytes(header[28..30].try_into().expect("two bytes"));
        at += BLOB_HEADER_BYTES + usize::from(key) + length(34) as usize;
        blobs += 1;
        bytes += u64::from(length(30));
    }
    let is_end = blobs > 0 && file.get(at..).is_some_and(|rest| rest.starts_with(DESCRIPTION_MAGIC));
    (blobs, bytes, is_end.then_some(at))
}

fn description(id: u64, (blobs, bytes): (u64, u64)) -> lsm_tree::Result<Vec<u8>> {
    let item = |key: &str, value: &[u8]| InternalValue::from_components(key, value, 0, ValueType::Value);
    // In the order of their names. The first and the last key are for information only.
    let items = [
        item("blob_file_version", &[3]),
        item("checksum_type", &[0]),
        item("compression", &CompressionType::None.encode_into_vec()),
        item("crate_version", b"mended"),
        item("created_at", &0u128.to_le_bytes()),
        item("file_size", &bytes.to_le_bytes()),
        item("id", &id.to_le_bytes()),
        item("item_count", &blobs.to_le_bytes()),
        item("key#max", &[0xff; 16]),
        item("key#min", &[0; 16]),
        item("uncompressed_size", &bytes.to_le_bytes()),
    ];
    let mut description = DESCRIPTION_MAGIC.to_vec();
    let block = DataBlock::encode_into_vec(&items, 1, 0.0)?;
    Block::write_into(&mut description, &block, BlockType::Meta, CompressionType::None)?;
    Ok(description)
}
