//! The bytes of a backup's data files, both ways. `docs/spec/backup.md` has the tables.
//!
//! A file is a header and blocks; a block belongs to one run of one vnode and holds records in stored order. Every checksum
//! covers the file's seal as well, a number drawn for that file: a block of another file, or from another place of this
//! one, never passes for the one that belongs there.

use crate::bytes_at::{u16_at, u32_at, u64_at, u128_at};
use crate::limits::{BACKUP_BLOCK_BYTES, OBJECT_BYTES_MAX, ROUTED_BYTES_MAX};
use crate::record::Lsn;
use crate::sorted_store::ScanEntry;
use bytes::{Buf, Bytes};

const MAGIC: [u8; 8] = *b"RONDOBKD";
/// The version of data files and everything in them.
pub(crate) const VERSION: u16 = 1;
/// Bytes of a file's header.
pub(crate) const HEADER_BYTES: usize = 32;
/// What every block begins with.
pub(crate) const BLOCK_MAGIC: [u8; 4] = *b"RBLK";
/// Bytes of a block's header.
pub(crate) const BLOCK_HEADER_BYTES: usize = 32;
/// Bytes of a record's header.
const RECORD_HEADER_BYTES: usize = 32;
/// Largest payload of a block: it is closed when it is full, and one largest record may carry it beyond.
const PAYLOAD_BYTES_MAX: usize = BACKUP_BLOCK_BYTES + RECORD_HEADER_BYTES + ROUTED_BYTES_MAX + OBJECT_BYTES_MAX;

/// What a data file says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub(crate) shard: u16,
    pub(crate) vnode_bits: u8,
    pub(crate) seal: u64,
}

/// Where a block belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockPlace {
    /// Which block of the file, from 0.
    pub(crate) index: u64,
    pub(crate) vnode: u16,
    pub(crate) run: u16,
}

/// What a block says about itself, checked against its bounds only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockHeader {
    crc: u32,
    pub(crate) payload_bytes: usize,
    pub(crate) records: u32,
    pub(crate) place: BlockPlace,
}

/// Records on their way into a block.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    records: u32,
    payload: Vec<u8>,
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.shard.to_le_bytes());
        bytes[12] = self.vnode_bits;
        bytes[16..24].copy_from_slice(&self.seal.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; the error says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<FileHeader, String> {
        if bytes[0..8] != MAGIC {
            return Err("it does not begin with RONDOBKD".to_owned());
        }
        let (found, expected) = (crc32c::crc32c(&bytes[..28]), u32_at(bytes, 28));
        if found != expected {
            return Err(format!("header checksum {found:08x}, expected {expected:08x}"));
        }
        let version = u16_at(bytes, 8);
        if version != VERSION {
            return Err(format!(
                "format version {version}, this program knows {VERSION}; use the version that wrote it"
            ));
        }
        Ok(FileHeader { shard: u16_at(bytes, 10), vnode_bits: bytes[12], seal: u64_at(bytes, 16) })
    }
}

fn block_crc(seal: u64, after_crc: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&seal.to_le_bytes()), after_crc)
}

impl BlockBuilder {
    /// Adds a record; the caller keeps them in stored order.
    pub(crate) fn push(&mut self, token: u128, routed: &[u8], lsn: Lsn, object: &[u8]) {
        self.payload.extend_from_slice(&(routed.len() as u16).to_le_bytes());
        self.payload.extend_from_slice(&[0; 2]);
        self.payload.extend_from_slice(&(object.len() as u32).to_le_bytes());
        self.payload.extend_from_slice(&token.to_le_bytes());
        self.payload.extend_from_slice(&lsn.0.to_le_bytes());
        self.payload.extend_from_slice(routed);
        self.payload.extend_from_slice(object);
        self.records += 1;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.payload.len() >= BACKUP_BLOCK_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The number of records and their bytes.
    pub(crate) fn into_parts(self) -> (u32, Vec<u8>) {
        (self.records, self.payload)
    }
}

/// The header of a block around `payload`.
pub(crate) fn seal_block(seal: u64, place: BlockPlace, records: u32, payload: &[u8]) -> [u8; BLOCK_HEADER_BYTES] {
    let mut header = [0; BLOCK_HEADER_BYTES];
    header[0..4].copy_from_slice(&BLOCK_MAGIC);
    header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[12..16].copy_from_slice(&records.to_le_bytes());
    header[16..24].copy_from_slice(&place.index.to_le_bytes());
    header[24..26].copy_from_slice(&place.vnode.to_le_bytes());
    header[26..28].copy_from_slice(&place.run.to_le_bytes());
    let crc = crc32c::crc32c_append(block_crc(seal, &header[8..]), payload);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    header
}

impl BlockHeader {
    /// Reads a header; the error says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Result<BlockHeader, String> {
        if bytes[0..4] != BLOCK_MAGIC {
            return Err(format!("no block begins with {:02x?}", &bytes[0..4]));
        }
        let payload_bytes = u32_at(bytes, 8) as usize;
        if PAYLOAD_BYTES_MAX < payload_bytes {
            return Err(format!("a block of {payload_bytes} bytes, at most {PAYLOAD_BYTES_MAX} are allowed"));
        }
        let place = BlockPlace { index: u64_at(bytes, 16), vnode: u16_at(bytes, 24), run: u16_at(bytes, 26) };
        Ok(BlockHeader { crc: u32_at(bytes, 4), payload_bytes, records: u32_at(bytes, 12), place })
    }

    /// Does the checksum agree?
    pub(crate) fn check(&self, seal: u64, header: &[u8; BLOCK_HEADER_BYTES], payload: &[u8]) -> Result<(), String> {
        let (found, expected) = (crc32c::crc32c_append(block_crc(seal, &header[8..]), payload), self.crc);
        if found != expected {
            return Err(format!("block checksum {found:08x}, expected {expected:08x}"));
        }
        Ok(())
    }
}

/// Takes the first record off a payload that has checked out, without a copy.
pub(crate) fn take_record(payload: &mut Bytes) -> Result<ScanEntry, String> {
    if payload.len() < RECORD_HEADER_BYTES {
        return Err(format!("{} bytes are too few for a record", payload.len()));
    }
    let (routed_bytes, object_bytes) = (u16_at(payload, 0) as usize, u32_at(payload, 4) as usize);
    if ROUTED_BYTES_MAX < routed_bytes || OBJECT_BYTES_MAX < object_bytes {
        return Err(format!("a record with a key of {routed_bytes} and an object of {object_bytes} bytes"));
    }
    if payload.len() - RECORD_HEADER_BYTES < routed_bytes + object_bytes {
        return Err("a record goes past the end of its block".to_owned());
    }
    let token = u128_at(payload, 8);
    let lsn = Lsn(u64_at(payload, 24));
    payload.advance(RECORD_HEADER_BYTES);
    let routed = payload.split_to(routed_bytes);
    let object = payload.split_to(object_bytes);
    Ok(ScanEntry { token, routed, object, lsn })
}
