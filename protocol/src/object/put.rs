//! A new version takes its place among those that its writer had not seen.

use bytes::BytesMut;

use super::layout::Draft;
use super::{EncodedObject, Sibling, SiblingKind};
use crate::causality::encoded_vector::join;
use crate::causality::{Dot, VersionVector};
use crate::limits::{ACTORS_MAX, OBJECT_PUT_BYTES_MAX, SIBLINGS_MAX};
use crate::planted::{Planted, is_planted};
use crate::view::ConflictPolicy;

/// The object would exceed a limit; nothing changed. Merging siblings by a put that carries a context helps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ObjectTooLarge {
    /// More than [`SIBLINGS_MAX`] versions (after a merge: [`crate::limits::SIBLINGS_STORED_MAX`]).
    #[error("the key would have {siblings} siblings; merge them by a put that carries the context of a get")]
    Siblings {
        /// How many there would be.
        siblings: usize,
    },
    /// More than [`OBJECT_PUT_BYTES_MAX`] bytes (after a merge: [`crate::limits::OBJECT_BYTES_MAX`]) or [`ACTORS_MAX`]
    /// actors.
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
    ///
    /// `dot` must come from a clock that has observed [`EncodedObject::latest`] of `current` and
    /// [`VersionVector::latest`] of `context`. The context may cover more than `current` has seen, namely what other
    /// replicas hold: that is then overwritten as well, as soon as it meets the result.
    /// With more siblings or bytes than the limits a put is still taken as long as it adds none.
    pub fn put(
        current: Option<&EncodedObject>,
        policy: ConflictPolicy,
        dot: Dot,
        context: &VersionVector,
        kind: SiblingKind<'_>,
        arena: &mut BytesMut,
    ) -> Result<PutOutcome, ObjectTooLarge> {
        let nothing_seen = VersionVector::default();
        let context = if is_planted(Planted::ContextIgnored) { &nothing_seen } else { context };
        let sibling = Sibling { dot, kind };
        match policy {
            ConflictPolicy::Lww => Ok(put_lww(current, sibling, context, arena)),
            ConflictPolicy::Siblings => {
                let object = put_siblings(current, sibling, context, arena)?;
                Ok(PutOutcome { object, discarded: 0 })
            }
        }
    }
}

/// The vector holds the winner's dot only: the clock's order does the rest.
fn put_lww(
    current: Option<&EncodedObject>,
    sibling: Sibling<'_>,
    context: &VersionVector,
    arena: &mut BytesMut,
) -> PutOutcome {
    if let Some(winner) = current.filter(|current| sibling.dot <= current.newest()) {
        return PutOutcome { object: winner.clone(), discarded: 1 };
    }
    let is_unseen = |lost: &Sibling<'_>| !context.covers(lost.dot);
    let discarded = current.map_or(0, |current| current.siblings().filter(is_unseen).count());
    let vector = core::iter::once((sibling.dot.actor, sibling.dot.hlc));
    let draft = Draft { vector, siblings: core::iter::once(sibling) };
    let size = draft.measure();
    PutOutcome { object: draft.write(size, arena), discarded }
}

/// A dotted version vector set: the versions that the writer had not seen stay beside the new one.
fn put_siblings(
    current: Option<&EncodedObject>,
    sibling: Sibling<'_>,
    context: &VersionVector,
    arena: &mut BytesMut,
) -> Result<EncodedObject, ObjectTooLarge> {
    let own = core::iter::once((sibling.dot.actor, sibling.dot.hlc));
    let seen = join(context.entries().iter().copied(), own);
    let held = current.into_iter().flat_map(|current| current.vector().entries());
    let kept = current
        .into_iter()
        .flat_map(|current| current.siblings())
        .filter(|kept| !context.covers(kept.dot) && kept.dot != sibling.dot);
    // In dot order: the new dot is the latest of all, unless the clock failed us.
    let earlier = kept.clone().take_while(move |kept| kept.dot < sibling.dot);
    let later = kept.skip_while(move |kept| kept.dot < sibling.dot);
    let siblings = earlier.chain(core::iter::once(sibling)).chain(later);
    let draft = Draft { vector: join(held, seen), siblings };
    let (counts, bytes) = draft.measure();

    let (siblings_before, bytes_before) = current.map_or((0, 0), |held| (held.sibling_count(), held.bytes().len()));
    if counts.siblings > SIBLINGS_MAX.max(siblings_before) {
        return Err(ObjectTooLarge::Siblings { siblings: counts.siblings });
    }
    if bytes > OBJECT_PUT_BYTES_MAX.max(bytes_before) || counts.actors > ACTORS_MAX {
        return Err(ObjectTooLarge::Bytes { bytes });
    }
    Ok(draft.write((counts, bytes), arena))
}

#[cfg(test)]
mod tests;
