//! The canonical bytes of an object: one encoding for the log, the store, the peers and the digests.

use bytes::Bytes;

use super::Sibling;
use crate::causality::{CausalContext, VersionVector};

/// An object as its canonical bytes, checked once when they came in.
///
/// Layout (little-endian): `u8 version = 1 | u8 flags = 0 | u16 vector entries | u16 siblings | u16 zero |`
/// `entries x (u64 actor, u64 hlc), strictly ascending by actor |`
/// `siblings x (u64 hlc, u64 actor, u8 kind (1 value, 2 tombstone), 3 zero bytes, u32 length, bytes), strictly ascending by dot`.
/// Every sibling's dot is covered by the vector; at least one sibling. Equal objects have equal bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedObject(Bytes);

/// Why bytes are no object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an object: {what} at byte {at}")]
pub struct ObjectDecodeError {
    /// What was wrong.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

impl EncodedObject {
    /// Checks all of `bytes` (order, lengths, coverage, limits) and wraps them without a copy.
    pub fn decode(bytes: Bytes) -> Result<EncodedObject, ObjectDecodeError> {
        todo!("{bytes:?}")
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// XXH3-64 of the bytes.
    pub fn digest(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.0)
    }

    /// The versions, in dot order, without allocating.
    pub fn siblings(&self) -> impl Iterator<Item = Sibling<'_>> {
        core::iter::empty()
    }

    /// True if no version is a value.
    pub fn is_deleted(&self) -> bool {
        todo!()
    }

    /// What the object has seen (allocates).
    pub fn seen(&self) -> VersionVector {
        todo!()
    }

    /// Appends the context bytes that a client gets (see [`CausalContext`]); no allocation beside `out`'s growth.
    pub fn append_context(&self, token_low: u32, out: &mut Vec<u8>) {
        let _ = core::marker::PhantomData::<CausalContext>;
        todo!("{token_low}{out:?}")
    }
}
