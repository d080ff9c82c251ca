//! Damaged files that would keep the whole store shut, or its merges from ever ending, and need not.
//!
//! A table whose index, filter or description is damaged has all its entries still; they are written into a table anew. One
//! that has lost entries is written anew with those that are left, and what is missing is noted first, as a stretch of the
//! ring and a record: see [`losses`]. So it is with a table that is gone, as far as the directory beside the copy of
//! the version describes it. A blob file keeps what is left of it. What is replaced goes beside the store's directory, under
//! a name that says why.

use super::checks::{self, CURRENT_BYTES};
use super::copy::{self, Described, Directory};
use super::remains::{self, Remains};
use super::settings::{self, FILE_BYTES};
use super::{UPTO, mend_blobs};
use crate::record::Lsn;
use crate::sorted_store::{envelope, losses};
use crate::wounds::{Wound, WoundCause};
use lsm_tree::table::Writer;
use lsm_tree::{InternalValue, ValueType};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Time between two lines about the progress of a check.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Writes a file anew, durably, so that its name means the old or the new content at any time.
pub(in crate::sorted_store) fn replace(path: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    // Names that begin like this are removed at the start.
    let unfinished = path.join(format!(".tmp-{name}"));
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path.join(name))?;
    File::open(path)?.sync_all()
}

/// Moves a file of the store beside its directory, where nothing looks for it.
pub(super) fn set_aside(path: &Path, file: &Path, reason: &str) -> io::Result<()> {
    let store = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.to_string_lossy().replace('/', "-");
    let parent = path.parent().unwrap_or(path);
    fs::rename(path.join(file), parent.join(format!("{store}-{name}.damaged-{}-{reason}", unix_seconds())))?;
    File::open(parent)?.sync_all()
}

pub(in crate::sorted_store) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Files of a store that are not what the version says of them, though the crate may well open them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Suspects {
    tables: BTreeSet<u64>,
    blobs: BTreeSet<u64>,
}

impl Suspects {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.tables.len() + self.blobs.len()
    }

    /// Is every file what the version says?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Checks every file of the store at `path` against the version, reading all of them. The store may be open: a file that is
/// merged away meanwhile is left out.
pub(super) fn suspects(path: &Path) -> io::Result<Suspects> {
    let mut suspects = Suspects::default();
    let Ok((current, version)) = checks::read_version(path) else { return Ok(suspects) };
    let listing = Listing::read(path, &current, &version)?;
    let files = (listing.tables.len() + listing.blobs.len()) as u64;
    let (mut told_at, mut checked) = (Instant::now(), 0_u64);
    for (directory, all) in [("tables", &listing.tables), ("blobs", &listing.blobs)] {
        for listed in all {
            match sum_up(&path.join(directory).join(listed.id.to_string())) {
                Ok(sum) if sum == listed.sum => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(_) | Err(_) => {
                    let into = if directory == "tables" { &mut suspects.tables } else { &mut suspects.blobs };
                    into.insert(listed.id);
                }
            }
            checked += 1;
            if TOLD_EVERY <= told_at.elapsed() {
                told_at = Instant::now();
                tracing::info!(store = %path.display(), checked, files, damaged = suspects.len(), "looking for what is damaged");
            }
        }
    }
    tracing::warn!(store = %path.display(), files, damaged = suspects.len(), "the files of a damaged store were looked at");
    Ok(suspects)
}

fn sum_up(file: &Path) -> io::Result<u128> {
    let mut sum = Xxh3::new();
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(sum.digest128()),
            bytes => sum.update(&buffer[..bytes]),
        }
    }
}

/// A file that was written anew, on its way to its place.
struct Anew<'a> {
    file: PathBuf,
    written: (PathBuf, u128),
    listed: &'a Listed,
}

/// Writes every table anew that cannot be opened or is suspect, with what is left of it, and so every blob file; how many.
/// What is missing is noted before anything takes its place.
pub(super) fn mend_files(path: &Path, suspects: &Suspects) -> io::Result<usize> {
    let Ok((current, mut version)) = checks::read_version(path) else { return Ok(0) };
    let listing = Listing::read(path, &current, &version)?;
    let directory = copy::directory(path);
    let (mut anew, mut lost) = (Vec::new(), Vec::new());
    for listed in &listing.tables {
        let file = PathBuf::from("tables").join(listed.id.to_string());
        let Some((items, wounds)) = mend_table(&path.join(&file), listed, &directory, suspects) else { continue };
        let written = write_anew(path, listed, items).map_err(io::Error::other)?;
        lost.extend(wounds);
        anew.push(Anew { file, written, listed });
    }
    for listed in &listing.blobs {
        let file = PathBuf::from("blobs").join(listed.id.to_string());
        let is_suspect = suspects.blobs.contains(&listed.id);
        if is_suspect || !mend_blobs::opens(&path.join(&file)) {
            let written = mend_blobs::write_anew(path, listed.id, &path.join(&file), is_suspect)?;
            anew.push(Anew { file, written, listed });
        }
    }
    if anew.is_empty() {
        return Ok(0);
    }
    losses::note(path, lost)?;
    for anew in &anew {
        put_in_place(path, anew, &mut version)?;
    }
    // Under the next number, so that `current` switches from one good version to another.
    let number = u64::from_le_bytes(current[0..8].try_into().expect("eight bytes")) + 1;
    replace(path, &format!("v{number}"), &version)?;
    let mut current = number.to_le_bytes().to_vec();
    current.extend_from_slice(&xxh3_128(&version).to_le_bytes());
    current.push(0);
    replace(path, "current", &current)?;
    Ok(anew.len())
}

/// What a table is to hold from now on, and what is missing; `None` if it is as it should be, or if nobody knows what was in
/// it: then the store stays shut.
fn mend_table(
    file: &Path,
    listed: &Listed,
    directory: &Directory,
    suspects: &Suspects,
) -> Option<(Vec<InternalValue>, Vec<Wound>)> {
    let table = remains::open(file, listed.id, listed.sum);
    if table.is_some() && !suspects.tables.contains(&listed.id) {
        return None;
    }
    let of_table = table.as_ref().map(|table| Described {
        items: table.metadata.item_count,
        newest: table.get_highest_seqno(),
        first: copy::token_at(table.metadata.key_range.min()),
        last: copy::token_at(table.metadata.key_range.max()),
    });
    let described = directory.get(&listed.id).copied().or(of_table);
    let mut remains = remains::in_a_row(file);
    if let Some(table) = table.filter(|_| !remains.holes.is_empty()) {
        let by_index = remains::by_index(&table);
        if remains.items.len() < by_index.items.len() {
            remains = by_index;
        }
    }
    let missing = described.map_or(0, |described| described.items.saturating_sub(remains.items.len() as u64));
    if missing == 0 && !remains.items.is_empty() {
        return Some((remains.items, Vec::new()));
    }
    if remains.holes.is_empty() {
        remains.holes.push((0, u128::MAX));
    }
    let described = described?;
    let wounds = wounds(listed, &described, &remains, missing);
    Some((with_notes(remains.items, &described), wounds))
}

/// What is missing, for whoever keeps the wounds. How many keys that is nobody knows: younger tables may have some of them.
fn wounds(listed: &Listed, described: &Described, remains: &Remains, missing: u64) -> Vec<Wound> {
    let Described { items, newest, first, last } = *described;
    let what = format!("at most {missing} of the {items} objects of table {} are missing", listed.id);
    let wound = |&(from, to): &(u128, u128)| Wound {
        from: from.max(first),
        to: to.min(last).max(from.max(first)),
        upto: Lsn(newest),
        keys: None,
        cause: WoundCause::StoreRot,
        what: what.clone(),
        found_at_unix: unix_seconds(),
    };
    remains.holes.iter().map(wound).collect()
}

/// The notes that the table had: what it lacks is accounted for elsewhere. A table is never empty, so that it keeps its place
/// among its neighbours: at least it says that there is no key that is a token and nothing else.
fn with_notes(mut items: Vec<InternalValue>, described: &Described) -> Vec<InternalValue> {
    let has = |items: &[InternalValue], key: &[u8]| items.iter().any(|item| &*item.key.user_key == key);
    for key in UPTO {
        let token = copy::token_at(key);
        if (described.first..=described.last).contains(&token) && !has(&items, key) {
            let note = envelope::whole(key, Lsn(described.newest), &[]);
            items.push(InternalValue::from_components(key, note, described.newest, ValueType::Value));
        }
    }
    if items.is_empty() {
        items.push(InternalValue::new_tombstone(&described.first.to_be_bytes()[..], described.newest));
    }
    items.sort_by(|one, other| one.key.cmp(&other.key));
    items
}

/// The file that was written anew takes its place, and its checksum that in the version.
fn put_in_place(path: &Path, anew: &Anew<'_>, version: &mut [u8]) -> io::Result<()> {
    let Anew { file, written: (written, sum), listed } = anew;
    if path.join(file).exists() {
        set_aside(path, file, "damaged")?;
    }
    fs::rename(written, path.join(file))?;
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
