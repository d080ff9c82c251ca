//! What stands under a stored key: a format byte, a checksum, the record it came from, and the object or the way to its pieces.
//!
//! The record's number makes a copy incremental (what is newer than the last one?) and damage exact (is this from before?).
//! The checksum covers the stored key too: an object found under another key's name is damage, not a value.

use super::SortedStoreError;
use crate::record::Lsn;

const FORMAT: u8 = 2;
const KIND_WHOLE: u8 = 1;
const KIND_CHUNKED: u8 = 2;
const HEADER_BYTES: usize = 16;
const CHUNKED_BYTES: usize = HEADER_BYTES + 16;

/// What an envelope holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Envelope<'a> {
    /// The object.
    Whole(&'a [u8]),
    /// The object lies in chunks.
    Chunked(Chunks),
}

/// Where the chunks of an object lie, and what they must add up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chunks {
    /// The record that wrote them: no two objects of a shard ever share it.
    pub(crate) generation: u64,
    /// Bytes of the object.
    pub(crate) bytes: u32,
    /// Checksum of the object.
    pub(crate) crc: u32,
}

/// Of everything but itself: format, kind, the stored key, and from the record's number on.
fn crc(key: &[u8], kind: u8, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[FORMAT, kind]), key), rest)
}

fn seal(key: &[u8], kind: u8, lsn: Lsn, body: &[u8]) -> Vec<u8> {
    let mut envelope = Vec::with_capacity(HEADER_BYTES + body.len());
    envelope.extend_from_slice(&[FORMAT, kind, 0, 0, 0, 0, 0, 0]);
    envelope.extend_from_slice(&lsn.0.to_le_bytes());
    envelope.extend_from_slice(body);
    let crc = crc(key, kind, &envelope[8..]);
    envelope[4..8].copy_from_slice(&crc.to_le_bytes());
    envelope
}

/// An envelope with the object in it.
pub(crate) fn whole(key: &[u8], lsn: Lsn, object: &[u8]) -> Vec<u8> {
    seal(key, KIND_WHOLE, lsn, object)
}

/// An envelope that points to chunks.
pub(crate) fn chunked(key: &[u8], lsn: Lsn, chunks: &Chunks) -> Vec<u8> {
    let mut body = [0; CHUNKED_BYTES - HEADER_BYTES];
    body[0..8].copy_from_slice(&chunks.generation.to_le_bytes());
    body[8..12].copy_from_slice(&chunks.bytes.to_le_bytes());
    body[12..16].copy_from_slice(&chunks.crc.to_le_bytes());
    seal(key, KIND_CHUNKED, lsn, &body)
}

/// Opens and checks an envelope; the record it came from, and what it holds.
pub(crate) fn open<'a>(key: &[u8], envelope: &'a [u8]) -> Result<(Lsn, Envelope<'a>), SortedStoreError> {
    let unreadable = |what: String| SortedStoreError::Unreadable { what };
    let Some((header, body)) = envelope.split_at_checked(HEADER_BYTES) else {
        return Err(unreadable(format!("{} bytes are too few for an envelope", envelope.len())));
    };
    let (format, kind) = (header[0], header[1]);
    if format != FORMAT {
        return Err(unreadable(format!("stored format {format}, this program knows {FORMAT}")));
    }
    let expected = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
    let found = crc(key, kind, &envelope[8..]);
    if found != expected {
        return Err(unreadable(format!("checksum {found:08x}, expected {expected:08x}")));
    }
    let lsn = Lsn(u64::from_le_bytes(header[8..16].try_into().expect("eight bytes")));
    match (kind, body.len()) {
        (KIND_WHOLE, _) => Ok((lsn, Envelope::Whole(body))),
        (KIND_CHUNKED, 16) => {
            let chunks = Chunks {
                generation: u64::from_le_bytes(body[0..8].try_into().expect("eight bytes")),
                bytes: u32::from_le_bytes(body[8..12].try_into().expect("four bytes")),
                crc: u32::from_le_bytes(body[12..16].try_into().expect("four bytes")),
            };
            Ok((lsn, Envelope::Chunked(chunks)))
        }
        (kind, bytes) => Err(unreadable(format!("an envelope of kind {kind} with {bytes} bytes"))),
    }
}
