//! Where each byte of an object stands: reading in place, and writing.

use bytes::{BufMut, BytesMut};

use super::{EncodedObject, Sibling, SiblingKind};
use crate::causality::encoded_vector::{ENTRY_BYTES, encode_entry};
use crate::causality::{ActorId, Dot, Hlc};
use crate::limits::ARENA_CHUNK_BYTES;

/// The only version there is.
pub(super) const VERSION: u8 = 1;
/// Version, flags, two counts, zero.
pub(super) const HEADER_BYTES: usize = 8;
/// A sibling's dot, kind and length.
pub(super) const SIBLING_HEADER_BYTES: usize = 24;
/// The kind byte of a value.
pub(super) const KIND_VALUE: u8 = 1;
/// The kind byte of a tombstone.
pub(super) const KIND_TOMBSTONE: u8 = 2;

/// How many of each an object says it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    pub(super) actors: usize,
    pub(super) siblings: usize,
}

impl Counts {
    /// From an object's first bytes, at least [`HEADER_BYTES`].
    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Counts {
        let count = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        Counts { actors: count(2), siblings: count(4) }
    }
}

/// The head of a sibling, as it stands there.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiblingHeader {
    pub(super) dot: Dot,
    pub(super) kind: u8,
    pub(super) zeros: [u8; 3],
    pub(super) value_bytes: usize,
}

impl SiblingHeader {
    /// Takes a header apart.
    #[inline]
    pub(super) fn read(header: &[u8; SIBLING_HEADER_BYTES]) -> SiblingHeader {
        let [h0, h1, h2, h3, h4, h5, h6, h7, a0, a1, a2, a3, a4, a5, a6, a7, kind, z0, z1, z2, l0, l1, l2, l3] =
            *header;
        SiblingHeader {
            dot: Dot {
                hlc: Hlc(u64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7])),
                actor: ActorId::from_u64(u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7])),
            },
            kind,
            zeros: [z0, z1, z2],
            value_bytes: u32::from_le_bytes([l0, l1, l2, l3]) as usize,
        }
    }
}

/// Checked siblings, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Siblings<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Siblings<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8], count: usize) -> Siblings<'a> {
        Siblings { rest: bytes, left: count }
    }
}

impl<'a> Iterator for Siblings<'a> {
    type Item = Sibling<'a>;

    #[inline]
    fn next(&mut self) -> Option<Sibling<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (header, rest) = self.rest.split_first_chunk()?;
        let header = SiblingHeader::read(header);
        let (value, rest) = rest.split_at_checked(header.value_bytes)?;
        self.rest = rest;
        let is_value = header.kind == KIND_VALUE;
        let kind = if is_value { SiblingKind::Value(value) } else { SiblingKind::Tombstone };
        Some(Sibling { dot: header.dot, kind })
    }
}

/// An object to be: what it has seen and its versions, both in canonical order, not yet written.
#[derive(Clone, Debug)]
pub(super) struct Draft<V, S> {
    pub(super) vector: V,
    pub(super) siblings: S,
}

impl<'a, V, S> Draft<V, S>
where
    V: Iterator<Item = (ActorId, Hlc)> + Clone,
    S: Iterator<Item = Sibling<'a>> + Clone,
{
    /// How large it will be.
    pub(super) fn measure(&self) -> (Counts, usize) {
        let mut counts = Counts { actors: self.vector.clone().count(), siblings: 0 };
        let mut bytes = HEADER_BYTES + counts.actors * ENTRY_BYTES;
        for sibling in self.siblings.clone() {
            counts.siblings += 1;
            bytes += SIBLING_HEADER_BYTES + sibling.kind.value().unwrap_or_default().len();
        }
        (counts, bytes)
    }

    /// Writes it, given what [`Draft::measure`] said.
    ///
    /// # Panics
    /// If a count does not fit its field: merges of at most [`crate::limits::REPLICAS_MAX`] objects within limits fit.
    pub(super) fn write(self, (counts, bytes): (Counts, usize), arena: &mut BytesMut) -> EncodedObject {
        let count = |count: usize| u16::try_from(count).expect("objects are within limits before they are merged");
        let mut out = room(arena, bytes);
        out.put_slice(&[VERSION, 0]);
        out.put_u16_le(count(counts.actors));
        out.put_u16_le(count(counts.siblings));
        out.put_u16_le(0);
        self.vector.for_each(|entry| out.put_slice(&encode_entry(entry)));
        self.siblings.for_each(|sibling| write_sibling(&mut out, sibling));
        assert_eq!(out.len(), bytes, "an object is as large as it was measured");
        EncodedObject::from_written(out.freeze())
    }
}

fn write_sibling(out: &mut BytesMut, sibling: Sibling<'_>) {
    let (kind, value) = match sibling.kind {
        SiblingKind::Value(value) => (KIND_VALUE, value),
        SiblingKind::Tombstone => (KIND_TOMBSTONE, &[][..]),
    };
    out.put_u64_le(sibling.dot.hlc.0);
    out.put_u64_le(sibling.dot.actor.to_u64());
    out.put_slice(&[kind, 0, 0, 0]);
    out.put_u32_le(value.len() as u32);
    out.put_slice(value);
}

/// An empty buffer for exactly `bytes`, split off `arena`.
fn room(arena: &mut BytesMut, bytes: usize) -> BytesMut {
    // A large object gets memory of its own: it would waste the rest of a chunk, and keep small ones alive with it.
    if ARENA_CHUNK_BYTES / 4 < bytes {
        return BytesMut::with_capacity(bytes);
    }
    arena.clear();
    if arena.capacity() < bytes {
        arena.reserve(ARENA_CHUNK_BYTES);
    }
    let rest = arena.split_off(bytes);
    core::mem::replace(arena, rest)
}
