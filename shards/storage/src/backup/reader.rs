//! Reads a data file back: its header, its blocks one by one, and its runs as streams of records.
//!
//! Nothing is believed before its checksum agrees, and nothing is allocated before its length is within bounds.

use super::error::BackupError;
use super::format::{BLOCK_HEADER_BYTES, BlockHeader, BlockPlace, FileHeader, HEADER_BYTES, take_record};
use super::manifest::{DataFile, Run};
use crate::sorted_store::ScanEntry;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open data file whose header is the one that its manifest promises.
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
    /// Opens the file of `entry` in `directory`.
    pub(super) fn open(directory: &Path, entry: &DataFile, vnode_bits: u8) -> Result<DataReader, BackupError> {
        let path = directory.join(&entry.name);
        let file = File::open(&path).map_err(BackupError::io("open", &path))?;
        let bytes = file.metadata().map_err(BackupError::io("look at", &path))?.len();
        if bytes != entry.bytes {
            return Err(BackupError::damaged(&path, None, format!("{bytes} bytes, expected {}", entry.bytes)));
        }
        let mut header = [0; HEADER_BYTES];
        read_exact(&file, &path, &mut header, 0)?;
        let header = FileHeader::decode(&header).map_err(|what| BackupError::damaged(&path, Some(0), what))?;
        let expected = FileHeader { shard: entry.shard, vnode_bits, seal: entry.seal().unwrap_or_default() };
        if header != expected {
            let what = format!("it is the file of another backup or shard ({header:?}, expected {expected:?})");
            return Err(BackupError::damaged(&path, Some(0), what));
        }
        Ok(DataReader { path, file, seal: header.seal, bytes })
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
}

fn read_exact(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<(), BackupError> {
    file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::damaged(path, Some(offset), "it ends too early"),
        _ => BackupError::io("read", path)(error),
    })
}

/// The records of one run, in stored order.
#[derive(Debug)]
pub(super) struct RunCursor {
    reader: Arc<DataReader>,
    run: Run,
    offset: u64,
    blocks_left: u64,
    records_left: u64,
    /// Records of the present block.
    payload: Bytes,
    in_block: u32,
    head: Option<ScanEntry>,
    vnode_bits: u8,
}

impl RunCursor {
    /// Stands at the first record.
    pub(super) fn open(reader: &Arc<DataReader>, run: Run, vnode_bits: u8) -> Result<RunCursor, BackupError> {
        let mut cursor = RunCursor {
            reader: Arc::clone(reader),
            run,
            offset: run.offset,
            blocks_left: run.blocks,
            records_left: run.records,
            payload: Bytes::new(),
            in_block: 0,
            head: None,
            vnode_bits,
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The record where it stands; `None` at the end.
    pub(super) fn head(&self) -> Option<&ScanEntry> {
        self.head.as_ref()
    }

    /// Takes that record and goes on.
    pub(super) fn take(&mut self) -> Result<Option<ScanEntry>, BackupError> {
        let taken = self.head.take();
        if let Some(before) = &taken {
            self.advance()?;
            if let Some(after) = &self.head
                && (after.token, &after.routed) <= (before.token, &before.routed)
            {
                return Err(self.damaged("records out of order"));
            }
        }
        Ok(taken)
    }

    fn advance(&mut self) -> Result<(), BackupError> {
        while self.in_block == 0 {
            if !self.payload.is_empty() {
                return Err(self.damaged("bytes behind the last record of a block"));
            }
            if self.blocks_left == 0 {
                if self.records_left > 0 {
                    return Err(self.damaged("fewer records than the manifest counts"));
                }
                self.head = None;
                return Ok(());
            }
            let block = self.reader.block(self.offset)?;
            if block.place.vnode != self.run.vnode {
                return Err(self.damaged("a block of another vnode"));
            }
            self.blocks_left -= 1;
            (self.in_block, self.payload) = (block.records, block.payload);
            self.offset = block.next;
        }
        let entry = take_record(&mut self.payload).map_err(|what| self.damaged(what))?;
        if (entry.token >> (128 - u32::from(self.vnode_bits))) as u16 != self.run.vnode {
            return Err(self.damaged("a record of another vnode"));
        }
        self.in_block -= 1;
        self.records_left =
            self.records_left.checked_sub(1).ok_or_else(|| self.damaged("more records than the manifest counts"))?;
        self.head = Some(entry);
        Ok(())
    }

    fn damaged(&self, what: impl Into<String>) -> BackupError {
        BackupError::damaged(self.reader.path(), Some(self.offset), what)
    }
}
