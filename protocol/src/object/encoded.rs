//! The canonical bytes of an object: one encoding for the log, the store, the peers and the digests.
//!
//! An object is never unpacked: what reads it walks the bytes, what changes it writes new ones. So a version is copied
//! once, from the request into the object, and from then on only handed around.

use bytes::Bytes;

use super::decode::{self, ObjectDecodeError};
use super::layout::{Counts, HEADER_BYTES, Siblings};
use super::{ObjectTooLarge, Sibling};
use crate::causality::encoded_vector::{ENTRY_BYTES, EncodedVector};
use crate::causality::{Dot, Hlc, VersionVector, context};
use crate::limits::{ACTORS_MAX, OBJECT_BYTES_MAX, SIBLINGS_STORED_MAX};

/// An object as its canonical bytes, checked once when they came in.
///
/// Layout (little-endian): `u8 version = 1 | u8 flags = 0 | u16 vector entries | u16 siblings | u16 zero |`
/// `entries x (u64 actor, u64 hlc), strictly ascending by actor, no hlc of 0 |`
/// `siblings x (u64 hlc, u64 actor, u8 kind (1 value, 2 tombstone), 3 zero bytes, u32 length, bytes), strictly ascending by dot`.
/// Every sibling's dot is covered by the vector. Equal objects have equal bytes. Honest clients leave at least one
/// sibling; with forged contexts two writes can each claim to replace the other, and then none is left.
///
/// The bytes may be a piece of a larger allocation (see [`EncodedObject::put`]): who keeps a few of many for long should
/// copy them out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedObject(Bytes);

impl EncodedObject {
    /// Checks all of `bytes` (order, lengths, coverage, limits) and wraps them without a copy.
    pub fn decode(bytes: Bytes) -> Result<EncodedObject, ObjectDecodeError> {
        decode::check(&bytes)?;
        Ok(EncodedObject(bytes))
    }

    /// Wraps what [`super::layout`] has just written.
    pub(super) fn from_written(bytes: Bytes) -> EncodedObject {
        EncodedObject(bytes)
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// XXH3-64 of the bytes.
    pub fn digest(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.0)
    }

    /// The versions, in dot order, without allocating.
    #[inline]
    pub fn siblings(&self) -> impl Iterator<Item = Sibling<'_>> + Clone {
        self.walk()
    }

    #[inline]
    pub(super) fn walk(&self) -> Siblings<'_> {
        let counts = self.counts();
        Siblings::new(&self.0[HEADER_BYTES + counts.actors * ENTRY_BYTES..], counts.siblings)
    }

    /// Number of versions, tombstones counted.
    #[inline]
    pub fn sibling_count(&self) -> usize {
        self.counts().siblings
    }

    /// True if no version is a value.
    pub fn is_deleted(&self) -> bool {
        self.siblings().all(|sibling| sibling.kind.value().is_none())
    }

    /// The dot of the last version in dot order: the winner where the last write wins.
    #[inline]
    pub fn newest(&self) -> Dot {
        self.siblings().last().map(|sibling| sibling.dot).unwrap_or_default()
    }

    /// The latest time in the object: what a clock must have observed before it gives the next dot of the key.
    #[inline]
    pub fn latest(&self) -> Hlc {
        // The vector covers the siblings, so nothing in them is later.
        self.vector().entries().map(|(_, hlc)| hlc).max().unwrap_or_default()
    }

    /// Has the object seen the write of this dot, be it still there or overwritten?
    #[inline]
    pub fn covers(&self, dot: Dot) -> bool {
        self.vector().covers(dot)
    }

    /// What the object has seen (allocates).
    pub fn seen(&self) -> VersionVector {
        self.vector().into()
    }

    /// Appends the context bytes that a client gets (see [`crate::causality::CausalContext`]); no allocation beside
    /// `out`'s growth.
    pub fn append_context(&self, token_low: u32, out: &mut Vec<u8>) {
        context::append(token_low, self.vector_bytes(), out);
    }

    /// May this object be stored and sent? Of a put's outcome it is certain; a merge knows no refusal, and what several
    /// replicas took in apart may together exceed the limits. Who merges asks before keeping the result.
    pub fn check_limits(&self) -> Result<(), ObjectTooLarge> {
        let counts = self.counts();
        if SIBLINGS_STORED_MAX < counts.siblings {
            return Err(ObjectTooLarge::Siblings { siblings: counts.siblings });
        }
        if OBJECT_BYTES_MAX < self.0.len() || ACTORS_MAX < counts.actors {
            return Err(ObjectTooLarge::Bytes { bytes: self.0.len() });
        }
        Ok(())
    }

    #[inline]
    pub(super) fn vector(&self) -> EncodedVector<'_> {
        EncodedVector::from_checked(self.vector_bytes())
    }

    fn vector_bytes(&self) -> &[u8] {
        &self.0[HEADER_BYTES..][..self.counts().actors * ENTRY_BYTES]
    }

    #[inline]
    fn counts(&self) -> Counts {
        Counts::read(&self.0)
    }
}
