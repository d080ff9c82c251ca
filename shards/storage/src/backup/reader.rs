//! Reads a data file back: its header, its blocks one by one, and the next good one where one is damaged.
//!
//! Nothing is believed before its checksum agrees, and nothing is allocated before its length is within bounds.

use super::error::BackupError;
use super::format::{BLOCK_HEADER_BYTES, BLOCK_MAGIC, BlockHeader, BlockPlace, FileHeader, HEADER_BYTES};
use super::manifest::DataFile;
use crate::limits::{BACKUP_SEEK_BYTES, BACKUP_SEEK_TRIES_MAX, PAGE_BYTES};
use bytes::Bytes;
use core::ops::Range;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// An open data file.
#[derive(Debug)]
pub(super) struct DataReader {
    path: PathBuf,
    file: File,
    seal: u64,
    bytes: u64,
}

/// One block, checked.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) place: BlockPlace,
    pub(super) records: u32,
    pub(super) payload: Bytes,
    /// Where the next one begins.
    pub(super) next: u64,
}

impl DataReader {
    /// Opens the file of `entry` in `directory`. Nothing of it is looked at yet: which blocks belong there says the seal in
    /// the manifest, not the file.
    pub(super) fn open(directory: &Path, entry: &DataFile) -> Result<DataReader, BackupError> {
        let path = directory.join(&entry.name);
        let file = File::open(&path).map_err(BackupError::io("open", &path))?;
        let bytes = file.metadata().map_err(BackupError::io("look at", &path))?.len();
        Ok(DataReader { path, file, seal: entry.seal().unwrap_or_default(), bytes })
    }

    /// Are length and header what the manifest promises?
    pub(super) fn check(&self, entry: &DataFile, vnode_bits: u8) -> Result<(), BackupError> {
        let damaged = |offset: Option<u64>, what: String| Err(BackupError::damaged(&self.path, offset, what));
        if self.bytes != entry.bytes {
            return damaged(None, format!("{} bytes, expected {}", self.bytes, entry.bytes));
        }
        let mut header = [0; HEADER_BYTES];
        read_exact(&self.file, &self.path, &mut header, 0)?;
        let expected = FileHeader { shard: entry.shard, vnode_bits, seal: self.seal };
        match FileHeader::decode(&header) {
            Ok(header) if header == expected => Ok(()),
            Ok(header) => damaged(
                Some(0),
                format!("it is the file of another backup or shard ({header:?}, expected {expected:?})"),
            ),
            Err(what) => damaged(Some(0), what),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads raw bytes, at most `bytes` of them.
    pub(super) fn read_raw(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, BackupError> {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; bytes.min(left)];
        read_exact(&self.file, &self.path, &mut buffer, offset)?;
        Ok(buffer)
    }

    /// Reads and checks the block at `offset`.
    pub(super) fn block(&self, offset: u64) -> Result<Block, BackupError> {
        let damaged = |what: String| BackupError::damaged(&self.path, Some(offset), what);
        let mut head = [0; BLOCK_HEADER_BYTES];
        read_exact(&self.file, &self.path, &mut head, offset)?;
        let header = BlockHeader::decode(&head).map_err(damaged)?;
        let payload_at = offset + BLOCK_HEADER_BYTES as u64;
        if self.bytes.saturating_sub(payload_at) < header.payload_bytes as u64 {
            return Err(damaged("a block goes past the end of the file".to_owned()));
        }
        let payload = self.read_raw(payload_at, header.payload_bytes)?;
        header.check(self.seal, &head, &payload).map_err(damaged)?;
        let next = payload_at + header.payload_bytes as u64;
        Ok(Block { place: header.place, records: header.records, payload: Bytes::from(payload), next })
    }

    /// The first good block of `vnode` in the bytes `within` whose number is one of `wanted`. What no checksum vouches for is
    /// stepped over, and what the disk does not give back too.
    pub(super) fn seek(&self, within: Range<u64>, vnode: u16, wanted: &Range<u64>) -> Option<Block> {
        let (mut at, mut tries) = (within.start, 0);
        while at < within.end {
            let bytes = usize::try_from(within.end - at).map_or(BACKUP_SEEK_BYTES, |left| left.min(BACKUP_SEEK_BYTES));
            let Ok(piece) = self.read_raw(at, bytes) else {
                at += PAGE_BYTES as u64;
                continue;
            };
            for place in (0..piece.len()).filter(|&place| piece[place..].starts_with(&BLOCK_MAGIC)) {
                tries += 1;
                let is_wanted = |block: &Block| block.place.vnode == vnode && wanted.contains(&block.place.index);
                match self.block(at + place as u64) {
                    Ok(block) if is_wanted(&block) => return Some(block),
                    Ok(_) | Err(_) if BACKUP_SEEK_TRIES_MAX <= tries => return None,
                    Ok(_) | Err(_) => {}
                }
            }
            // A block's magic may lie across the end of the piece.
            at += (piece.len() as u64).saturating_sub(BLOCK_MAGIC.len() as u64 - 1).max(1);
        }
        None
    }
}

fn read_exact(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<(), BackupError> {
    file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::damaged(path, Some(offset), "it ends too early"),
        _ => BackupError::io("read", path)(error),
    })
}
