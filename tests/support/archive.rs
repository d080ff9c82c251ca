//! A directory as one small file: names, lengths, and bytes with their repetitions taken out.
//!
//! Logs are preallocated and stores pad their pages, so runs of one byte are most of a data directory.
//!
//! ```text
//! archive = "RONDODIR" entry*        entry = u16 path length, path, u64 file length, run*
//! run = u32 count, 0, bytes          count literal bytes        run = u32 count, 1, byte        one byte count times
//! ```
//! The runs of a file add up to its length. A directory without files is not kept. All numbers are little-endian.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

const MAGIC: &[u8] = b"RONDODIR";
/// Shorter repetitions are cheaper as they are.
const RUN_MIN: usize = 12;

/// Packs everything in `directory`.
pub fn pack(directory: &Path) -> Vec<u8> {
    let mut archive = MAGIC.to_vec();
    pack_into(directory, directory, &mut archive);
    archive
}

fn pack_into(root: &Path, directory: &Path, archive: &mut Vec<u8>) {
    let mut paths: Vec<_> =
        fs::read_dir(directory).expect("readable").map(|file| file.expect("a file").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            pack_into(root, &path, archive);
            continue;
        }
        let name = path.strip_prefix(root).expect("inside").to_str().expect("our names are ASCII").to_owned();
        let bytes = fs::read(&path).expect("readable");
        archive.extend_from_slice(&(name.len() as u16).to_le_bytes());
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        pack_bytes(&bytes, archive);
    }
}

fn pack_bytes(mut bytes: &[u8], archive: &mut Vec<u8>) {
    let mut literal = Vec::new();
    while let Some(&first) = bytes.first() {
        let run = bytes.iter().take_while(|&&byte| byte == first).count();
        if run >= RUN_MIN {
            pack_literal(&mut literal, archive);
            archive.extend_from_slice(&(run as u32).to_le_bytes());
            archive.extend_from_slice(&[1, first]);
        } else {
            literal.extend_from_slice(&bytes[..run]);
        }
        bytes = &bytes[run..];
    }
    pack_literal(&mut literal, archive);
}

fn pack_literal(literal: &mut Vec<u8>, archive: &mut Vec<u8>) {
    if !literal.is_empty() {
        archive.extend_from_slice(&(literal.len() as u32).to_le_bytes());
        archive.push(0);
        archive.append(literal);
    }
}

/// Unpacks an archive into `directory`, for this user alone; runs of zeros become holes.
pub fn unpack(archive: &[u8], directory: &Path) {
    fs::create_dir_all(directory).expect("made");
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).expect("ours");
    let mut rest = archive.strip_prefix(MAGIC).expect("an archive");
    while !rest.is_empty() {
        let name = take(&mut rest, 2);
        let name = take(&mut rest, usize::from(u16::from_le_bytes(name.try_into().expect("two bytes"))));
        let path = directory.join(str::from_utf8(name).expect("ASCII"));
        fs::create_dir_all(path.parent().expect("inside")).expect("made");
        let length = u64::from_le_bytes(take(&mut rest, 8).try_into().expect("eight bytes"));
        let mut file = File::create(path).expect("created");
        unpack_bytes(&mut rest, length, &file);
        file.flush().expect("written");
    }
}

fn unpack_bytes(rest: &mut &[u8], length: u64, file: &File) {
    file.set_len(length).expect("there is room");
    let mut at = 0;
    while at < length {
        let count = u32::from_le_bytes(take(rest, 4).try_into().expect("four bytes"));
        let kind = take(rest, 1)[0];
        match kind {
            0 => file.write_all_at(take(rest, count as usize), at).expect("written"),
            _ => {
                let byte = take(rest, 1)[0];
                if byte != 0 {
                    file.write_all_at(&vec![byte; count as usize], at).expect("written");
                }
            }
        }
        at += u64::from(count);
    }
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(bytes);
    *rest = after;
    taken
}
