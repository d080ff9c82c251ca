//! What the version says, said twice; and what each of its tables holds, said beside it.
//!
//! From the copy the crate's two smallest files are made again. The directory of tables is for the day when a table is gone:
//! then it tells which stretch of the ring that table had, how many objects, and up to which record.

use super::checks::{self, CURRENT_BYTES};
use super::mend::{replace, set_aside};
use lsm_tree::{AbstractTree, AnyTree, SeqNo};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Magic, format, length of the version, `current`, zeros, length of the directory, the version, the directory, CRC of it all.
const COPY: &str = "copy-of-version";
const MAGIC: &[u8; 8] = b"RONDOLSM";
const FORMAT: u32 = 2;
/// The same without a directory: where its length stands are zeros.
const FORMAT_WITHOUT_DIRECTORY: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + CURRENT_BYTES + 3 + 4;
/// Number, objects, newest record, first token, last token.
const ENTRY_BYTES: usize = 8 + 8 + 8 + 16 + 16;

/// What is known of a table without looking into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Described {
    /// Objects in it, notes included.
    pub(super) items: u64,
    /// The newest record of them.
    pub(super) newest: SeqNo,
    /// The tokens with which its first and its last key begin.
    pub(super) first: u128,
    pub(super) last: u128,
}

/// The tables by number.
pub(super) type Directory = BTreeMap<u64, Described>;

/// Makes the copy agree with the version in force. Does nothing while another one is about to take its place: whoever
/// writes that one calls again. A table that a merge has just taken out of the tree is left out of the directory.
pub(super) fn keep(path: &Path, tree: &AnyTree) -> io::Result<()> {
    let Ok((current, version)) = checks::read_version(path) else { return Ok(()) };
    let directory = encode_directory(tree);
    let mut copy = Vec::with_capacity(HEADER_BYTES + version.len() + directory.len() + 4);
    copy.extend_from_slice(MAGIC);
    copy.extend_from_slice(&FORMAT.to_le_bytes());
    copy.extend_from_slice(&(version.len() as u32).to_le_bytes());
    copy.extend_from_slice(&current);
    copy.resize(HEADER_BYTES - 4, 0);
    copy.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    copy.extend_from_slice(&version);
    copy.extend_from_slice(&directory);
    let crc = crc32c::crc32c(&copy);
    copy.extend_from_slice(&crc.to_le_bytes());
    replace(path, COPY, &copy)
}

/// Replaces the version and `current` by what the copy has, if it is sound; what was replaced is set aside.
pub(super) fn restore(path: &Path) -> io::Result<bool> {
    let Ok(copy) = fs::read(path.join(COPY)) else { return Ok(false) };
    let Some(Copy { current, version, .. }) = decode(&copy) else { return Ok(false) };
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

/// What the tables held when the copy was written last; empty if nobody can tell.
pub(super) fn directory(path: &Path) -> Directory {
    let copy = fs::read(path.join(COPY)).unwrap_or_default();
    decode(&copy).map(|copy| decode_directory(copy.directory)).unwrap_or_default()
}

struct Copy<'a> {
    current: &'a [u8; CURRENT_BYTES],
    version: &'a [u8],
    directory: &'a [u8],
}

fn decode(copy: &[u8]) -> Option<Copy<'_>> {
    let (body, crc) = copy.split_last_chunk::<4>()?;
    let u32_at = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().expect("four bytes")));
    let is_known = [FORMAT, FORMAT_WITHOUT_DIRECTORY].contains(&u32_at(8)?);
    if !body.starts_with(MAGIC) || !is_known || crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let directory_bytes = u32_at(HEADER_BYTES - 4)? as usize;
    let rest = body.get(HEADER_BYTES..)?;
    let (version, directory) = rest.split_at_checked(rest.len().checked_sub(directory_bytes)?)?;
    Some(Copy { current: body.get(16..16 + CURRENT_BYTES)?.try_into().ok()?, version, directory })
}

fn encode_directory(tree: &AnyTree) -> Vec<u8> {
    let mut directory = Vec::new();
    for table in tree.current_version().iter_tables() {
        let range = &table.metadata.key_range;
        directory.extend_from_slice(&table.id().to_le_bytes());
        directory.extend_from_slice(&table.metadata.item_count.to_le_bytes());
        directory.extend_from_slice(&table.get_highest_seqno().to_le_bytes());
        directory.extend_from_slice(&token_at(range.min()).to_le_bytes());
        directory.extend_from_slice(&token_at(range.max()).to_le_bytes());
    }
    directory
}

fn decode_directory(directory: &[u8]) -> Directory {
    let entry = |entry: &[u8]| {
        let u64_at = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
        let u128_at = |at: usize| u128::from_le_bytes(entry[at..at + 16].try_into().expect("sixteen bytes"));
        let (items, newest) = (u64_at(8), u64_at(16));
        (u64_at(0), Described { items, newest, first: u128_at(24), last: u128_at(40) })
    };
    directory.chunks_exact(ENTRY_BYTES).map(entry).collect()
}

/// The token with which a stored key begins; what a shorter key lacks counts as zero.
pub(super) fn token_at(key: &[u8]) -> u128 {
    let mut token = [0; 16];
    let bytes = key.len().min(16);
    token[..bytes].copy_from_slice(&key[..bytes]);
    u128::from_be_bytes(token)
}
