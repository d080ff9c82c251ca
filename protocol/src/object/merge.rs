//! How versions meet.
//!
//! Merge is commutative, associative and idempotent, so it does not matter in which order or how often replicas hear
//! of each other.

use bytes::{Bytes, BytesMut};

use super::{EncodedObject, SiblingKind};
use crate::causality::{Dot, VersionVector};
use crate::view::ConflictPolicy;

/// The merged object would exceed a limit; nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ObjectTooLarge {
    /// More than [`crate::limits::SIBLINGS_MAX`] versions.
    #[error("the key would have {siblings} siblings; merge them by a put that carries the context of a get")]
    Siblings {
        /// How many there would be.
        siblings: usize,
    },
    /// More than [`crate::limits::OBJECT_BYTES_MAX`] bytes or [`crate::limits::ACTORS_MAX`] actors.
    #[error("the object would be {bytes} bytes")]
    Bytes {
        /// How large it would be.
        bytes: usize,
    },
}

/// A put or delete, applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    /// What the key holds now.
    pub object: EncodedObject,
    /// Versions that a last-write-wins keyspace dropped though the writer had not seen them.
    pub discarded: usize,
}

impl EncodedObject {
    /// Applies a new version with `dot`, written by a client that had seen `context`, to `current`. Encodes once, into
    /// a piece split off `arena` (which the caller owns and reuses, so that most writes allocate nothing).
    pub fn put(
        current: Option<&EncodedObject>,
        policy: ConflictPolicy,
        dot: Dot,
        context: &VersionVector,
        kind: SiblingKind<'_>,
        arena: &mut BytesMut,
    ) -> Result<PutOutcome, ObjectTooLarge> {
        todo!("{current:?}{policy:?}{dot:?}{context:?}{kind:?}{arena:?}")
    }

    /// What two replicas know together. Returns one of the arguments (a cheap clone) where it equals the result.
    pub fn merge(&self, other: &EncodedObject, policy: ConflictPolicy, arena: &mut BytesMut) -> EncodedObject {
        let _ = Bytes::new();
        todo!("{other:?}{policy:?}{arena:?}")
    }
}
