//! Bytes that claim to be an object are believed only when every one of them is as we would have written it.
//!
//! One form for one object: then equal digests mean equal objects, and a damaged object cannot pass as another one.

use super::layout::{Counts, HEADER_BYTES, KIND_TOMBSTONE, KIND_VALUE, SIBLING_HEADER_BYTES, SiblingHeader, VERSION};
use crate::causality::Dot;
use crate::causality::encoded_vector::{ENTRY_BYTES, EncodedVector};
use crate::limits::{ACTORS_MAX, OBJECT_BYTES_MAX, SIBLINGS_STORED_MAX, VALUE_BYTES_MAX};

/// Why bytes are no object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an object: {what} at byte {at}")]
pub struct ObjectDecodeError {
    /// What was wrong.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

fn wrong<T>(what: &'static str, at: usize) -> Result<T, ObjectDecodeError> {
    Err(ObjectDecodeError { what, at })
}

/// Checks all of `bytes`: order, lengths, coverage, limits.
pub(super) fn check(bytes: &[u8]) -> Result<(), ObjectDecodeError> {
    let counts = check_header(bytes)?;
    let siblings_start = HEADER_BYTES + counts.actors * ENTRY_BYTES;
    let Some(entries) = bytes.get(HEADER_BYTES..siblings_start) else {
        return wrong("the end inside the vector", bytes.len());
    };
    let vector = EncodedVector::from_checked(entries);
    if let Err(place) = vector.check() {
        return wrong("a vector entry out of order or of time 0", HEADER_BYTES + place * ENTRY_BYTES);
    }
    let (mut at, mut before) = (siblings_start, None);
    for _ in 0..counts.siblings {
        let (dot, end) = check_sibling(bytes, at)?;
        if before >= Some(dot) {
            return wrong("a sibling out of order", at);
        }
        if !vector.covers(dot) {
            return wrong("a sibling that the vector does not cover", at);
        }
        (at, before) = (end, Some(dot));
    }
    if at < bytes.len() { wrong("bytes left over", at) } else { Ok(()) }
}

fn check_header(bytes: &[u8]) -> Result<Counts, ObjectDecodeError> {
    if bytes.len() < HEADER_BYTES {
        return wrong("the end inside the header", bytes.len());
    }
    if OBJECT_BYTES_MAX < bytes.len() {
        return wrong("more bytes than allowed", OBJECT_BYTES_MAX);
    }
    let counts = Counts::read(bytes);
    match (bytes[0], bytes[1], bytes[6], bytes[7]) {
        (VERSION, 0, 0, 0) => {}
        (VERSION, 0, _, _) => return wrong("a byte that must be zero", 6),
        (VERSION, _, _, _) => return wrong("unknown flags", 1),
        (_, _, _, _) => return wrong("an unknown version", 0),
    }
    if !(1..=ACTORS_MAX).contains(&counts.actors) {
        return wrong("a number of vector entries that is not allowed", 2);
    }
    if SIBLINGS_STORED_MAX < counts.siblings {
        return wrong("a number of siblings that is not allowed", 4);
    }
    Ok(counts)
}

/// The sibling that starts at byte `at`: its dot, and where it ends.
fn check_sibling(bytes: &[u8], at: usize) -> Result<(Dot, usize), ObjectDecodeError> {
    let Some(header) = bytes[at..].first_chunk::<SIBLING_HEADER_BYTES>() else {
        return wrong("the end inside a sibling", bytes.len());
    };
    let header = SiblingHeader::read(header);
    if header.dot.hlc.0 == 0 {
        return wrong("a sibling of time 0", at);
    }
    let value_bytes_max = match header.kind {
        KIND_VALUE => VALUE_BYTES_MAX,
        KIND_TOMBSTONE => 0,
        _ => return wrong("an unknown kind of sibling", at + 16),
    };
    if header.zeros != [0; 3] {
        return wrong("a byte that must be zero", at + 17);
    }
    if value_bytes_max < header.value_bytes {
        return wrong("a value longer than allowed", at + 20);
    }
    let end = at + SIBLING_HEADER_BYTES + header.value_bytes;
    if bytes.len() < end {
        return wrong("the end inside a value", bytes.len());
    }
    Ok((header.dot, end))
}
