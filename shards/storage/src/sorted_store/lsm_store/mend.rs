//! Single faults that would keep the whole store shut, and need not.
//!
//! A version is kept twice: beside the crate's two files lies a copy of both, from which they are made again. A table whose
//! index, filter or description is damaged has all its entries still; they are read in a row and written into a table
//! anew. A blob file keeps what is left of it. What is replaced goes beside the store's directory, under a name that says why.

use super::checks::{self, CURRENT_BYTES};
use super::mend_blobs;
use super::settings::{self, FILE_BYTES};
use crate::sorted_store::guard;
use lsm_tree::table::{Scanner, Writer};
use lsm_tree::{Cache, Checksum, CompressionType, InternalValue, Table, ValueType};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::xxh3_128;

/// The copy of the version: magic, format and zeros, length of the version, `current`, zeros, the version, CRC of it all.
const COPY: &str = "copy-of-version";
const MAGIC: &[u8; 8] = b"RONDOLSM";
const FORMAT: u32 = 1;
const COPY_HEADER_BYTES: usize = 8 + 4 + 4 + CURRENT_BYTES + 7;
/// A block: magic, kind, checksum, length, length when unpacked, checksum of the header.
const BLOCK_HEADER_BYTES: usize = 4 + 1 + 16 + 4 + 4 + 4;
const KIND_DATA: u8 = 0;
const KIND_INDEX: u8 = 1;

/// Makes the copy agree with the version in force. Does nothing while another one is about to take its place: whoever
/// writes that one calls again.
pub(super) fn keep_copy(path: &Path) -> io::Result<()> {
    let Ok((current, version)) = checks::read_version(path) else { return Ok(()) };
    let mut copy = Vec::with_capacity(COPY_HEADER_BYTES + version.len() + 4);
    copy.extend_from_slice(MAGIC);
    copy.extend_from_slice(&FORMAT.to_le_bytes());
    copy.extend_from_slice(&(version.len() as u32).to_le_bytes());
    copy.extend_from_slice(&current);
    copy.resize(COPY_HEADER_BYTES, 0);
    copy.extend_from_slice(&version);
    let crc = crc32c::crc32c(&copy);
    copy.extend_from_slice(&crc.to_le_bytes());
    replace(path, COPY, &copy)
}

/// Replaces the version and `current` by what the copy has, if it is sound; what was replaced is set aside.
pub(super) fn restore_version(path: &Path) -> io::Result<bool> {
    let Ok(copy) = fs::read(path.join(COPY)) else { return Ok(false) };
    let Some((current, version)) = decode_copy(&copy) else { return Ok(false) };
    let name = format!("v{}", u64::from_le_bytes(current[0..8].try_into().expect("eight bytes")));
    for file in ["current", &name] {
        if path.join(file).exists() {
            set_aside(path, Path::new(file), "does-not-check-out")?;
        }
    }
    replace(path, &name, version)?;
    replace(path, "current", current)?;
    tracing::warn!(store = %path.display(), version = name, "the version was damaged; it is restored from its copy");
    Ok(true)
}

fn decode_copy(copy: &[u8]) -> Option<(&[u8; CURRENT_BYTES], &[u8])> {
    let (body, crc) = copy.split_last_chunk::<4>()?;
    let is_sound = body.starts_with(MAGIC)
        && body.get(8..12)? == FORMAT.to_le_bytes()
        && crc32c::crc32c(body) == u32::from_le_bytes(*crc);
    let version = body.get(COPY_HEADER_BYTES..)?;
    is_sound.then_some((body.get(16..16 + CURRENT_BYTES)?.try_into().ok()?, version))
}

/// Writes a file anew, durably, so that its name means the old or the new content at any time.
fn replace(path: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    // Names that begin like this are removed at the start.
    let unfinished = path.join(format!(".tmp-{name}"));
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path.join(name))?;
    File::open(path)?.sync_all()
}

/// Moves a file of the store beside its directory, where nothing looks for it.
fn set_aside(path: &Path, file: &Path, reason: &str) -> io::Result<()> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let store = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.to_string_lossy().replace('/', "-");
    let parent = path.parent().unwrap_or(path);
    fs::rename(path.join(file), parent.join(format!("{store}-{name}.damaged-{seconds}-{reason}")))?;
    File::open(parent)?.sync_all()
}

/// Writes every table anew that cannot be opened though all its entries are there, and every blob file that cannot be opened
/// with what is left of it; how many.
pub(super) fn mend_files(path: &Path) -> io::Result<usize> {
    let Ok((current, mut version)) = checks::read_version(path) else { return Ok(0) };
    let mut mended = 0;
    let listing = Listing::read(path, &current, &version)?;
    for listed in &listing.tables {
        let file = PathBuf::from("tables").join(listed.id.to_string());
        if opens(&path.join(&file), listed.sum) {
            continue;
        }
        let Ok(Some(items)) = guard::reading(|| Ok(read_in_a_row(&path.join(&file)))) else { continue };
        let anew = write_anew(path, listed, items).map_err(io::Error::other)?;
        put_in_place(path, &file, anew, listed, &mut version)?;
        mended += 1;
    }
    for listed in &listing.blobs {
        let file = PathBuf::from("blobs").join(listed.id.to_string());
        if !mend_blobs::opens(&path.join(&file)) {
            let anew = mend_blobs::write_anew(path, listed.id, &path.join(&file))?;
            put_in_place(path, &file, anew, listed, &mut version)?;
            mended += 1;
        }
    }
    if mended > 0 {
        // Under the next number, so that `current` switches from one good version to another.
        let number = u64::from_le_bytes(current[0..8].try_into().expect("eight bytes")) + 1;
        replace(path, &format!("v{number}"), &version)?;
        let mut current = number.to_le_bytes().to_vec();
        current.extend_from_slice(&xxh3_128(&version).to_le_bytes());
        current.push(0);
        replace(path, "current", &current)?;
    }
    Ok(mended)
}

/// The file that was written anew takes its place, and its checksum that in the version.
fn put_in_place(
    path: &Path,
    file: &Path,
    (anew, sum): (PathBuf, u128),
    listed: &Listed,
    version: &mut [u8],
) -> io::Result<()> {
    if path.join(file).exists() {
        set_aside(path, file, "cannot-be-opened")?;
    }
    fs::rename(&anew, path.join(file))?;
    File::open(path.join(file).parent().unwrap_or(path))?.sync_all()?;
    version[listed.sum_at..listed.sum_at + 16].copy_from_slice(&sum.to_le_bytes());
    tracing::warn!(store = %path.display(), file = %file.display(), "a damaged file is written anew with all that is left of it");
    Ok(())
}

/// A file as a version lists it.
struct Listed {
    id: u64,
    level: u8,
    sum: u128,
    /// Where the checksum stands in the version's file.
    sum_at: usize,
}

/// The files of a version.
#[derive(Default)]
struct Listing {
    tables: Vec<Listed>,
    blobs: Vec<Listed>,
}

impl Listing {
    /// Tables: for each level its runs, for each run its tables. Then the blob files.
    fn read(path: &Path, current: &[u8; CURRENT_BYTES], version: &[u8]) -> io::Result<Listing> {
        let name = format!("v{}", u64::from_le_bytes(current[0..8].try_into().expect("eight bytes")));
        let archive = sfa::Reader::new(path.join(name)).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let begin = |section: &[u8]| archive.toc().section(section).map_or(0, |section| section.pos() as usize);
        let mut listing = Listing::default();
        let mut tables = Cursor { version, at: begin(b"tables") };
        for level in 0..tables.take(1)?[0] {
            for _ in 0..tables.take(1)?[0] {
                for _ in 0..tables.count()? {
                    listing.tables.push(tables.listed(level)?);
                    // A number that is added to those of its entries; zero for all but bulk loads.
                    tables.take(8)?;
                }
            }
        }
        let mut blobs = Cursor { version, at: begin(b"blob_files") };
        for _ in 0..blobs.count()? {
            listing.blobs.push(blobs.listed(0)?);
        }
        Ok(listing)
    }
}

struct Cursor<'a> {
    version: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, bytes: usize) -> io::Result<&[u8]> {
        let taken = self.version.get(self.at..self.at + bytes).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at += bytes;
        Ok(taken)
    }

    fn count(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    /// Number, kind of checksum, checksum.
    fn listed(&mut self, level: u8) -> io::Result<Listed> {
        let id = u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes"));
        self.take(1)?;
        let sum_at = self.at;
        let sum = u128::from_le_bytes(self.take(16)?.try_into().expect("sixteen bytes"));
        Ok(Listed { id, level, sum, sum_at })
    }
}

/// Can the crate open it?
fn opens(file: &Path, sum: u128) -> bool {
    let cache = Arc::new(Cache::with_capacity_bytes(1 << 20));
    let sum = Checksum::from_raw(sum);
    let table = guard::reading(|| Ok(Table::recover(file.to_path_buf(), sum, 0, 0, cache, None, true, true)));
    matches!(table, Ok(Ok(_)))
}

/// All entries of a table, block after block from its start; `None` if a data block is damaged.
fn read_in_a_row(file: &Path) -> Option<Vec<InternalValue>> {
    let (blocks, compression) = count_data_blocks(file).ok()??;
    let items = Scanner::new(file, blocks, compression, 0).ok()?;
    items.collect::<Result<Vec<_>, _>>().ok().filter(|items| !items.is_empty())
}

/// The data blocks stand at the beginning; the index follows them. `None` if a header is not one, or the file ends before.
fn count_data_blocks(file: &Path) -> io::Result<Option<(usize, CompressionType)>> {
    let file = File::open(file)?;
    let (mut at, mut blocks, mut is_packed, mut header) = (0, 0, false, [0; BLOCK_HEADER_BYTES]);
    // Where the table of contents is sound it tells the end, and what follows may be damaged.
    let archive = sfa::Reader::from_reader(&mut &file).ok();
    let end = archive.and_then(|archive| archive.toc().section(b"data").map(sfa::TocEntry::len));
    while end.is_none_or(|end| at < end) {
        file.read_exact_at(&mut header, at)?;
        if end.is_none() && header[4] == KIND_INDEX {
            break;
        }
        if header[4] != KIND_DATA {
            return Ok(None);
        }
        let length = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        is_packed |= length(21) != length(25);
        at += BLOCK_HEADER_BYTES as u64 + u64::from(length(21));
        blocks += 1;
    }
    let compression = if is_packed { CompressionType::Lz4 } else { CompressionType::None };
    Ok((blocks > 0).then_some((blocks, compression)))
}

/// A table with these entries, under a name that is removed at the start, and its checksum.
fn write_anew(path: &Path, listed: &Listed, items: Vec<InternalValue>) -> lsm_tree::Result<(PathBuf, u128)> {
    let unfinished = path.join(format!(".tmp-table-{}", listed.id));
    let mut writer = Writer::new(unfinished.clone(), listed.id, listed.level)?
        .use_bloom_policy(settings::bloom())
        .use_data_block_compression(settings::compression(listed.level));
    let mut blobs: BTreeMap<u64, (usize, u64, u64)> = BTreeMap::new();
    for item in items {
        if item.key.value_type == ValueType::Indirection {
            let [_offset, blob_file, on_disk_bytes, bytes] =
                handle(&item.value).ok_or(lsm_tree::Error::Unrecoverable)?;
            let (count, bytes_sum, on_disk_sum) = blobs.entry(blob_file).or_default();
            *count += 1;
            *bytes_sum += bytes;
            *on_disk_sum += on_disk_bytes;
        }
        writer.write(item)?;
    }
    for (blob_file, (count, bytes, on_disk)) in blobs {
        writer.link_blob_file(blob_file, count, bytes, on_disk);
    }
    let written = writer.finish()?.ok_or(lsm_tree::Error::Unrecoverable)?;
    Ok((unfinished, written.1.into_u128()))
}

/// What points to a blob: four numbers, seven bits in each byte, the lowest first.
fn handle(value: &[u8]) -> Option<[u64; 4]> {
    let (mut numbers, mut bytes) = ([0; 4], value.iter());
    for number in &mut numbers {
        for shift in (0..64).step_by(7) {
            let byte = *bytes.next()?;
            *number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
    }
    bytes.next().is_none().then_some(numbers)
}

const _: () = assert!(FILE_BYTES <= 256 << 20, "a table is mended in memory");
