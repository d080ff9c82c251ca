//! How versions meet.
//!
//! Think of two people comparing shopping lists that were copied from one: what both still have stays; what one has and
//! the other never saw is new and stays; what one has and the other has seen and struck out goes.
//! Merge is commutative, associative and idempotent, so it does not matter in which order or how often replicas hear
//! of each other.

use bytes::BytesMut;
use core::iter::Peekable;

use super::layout::{Draft, Siblings};
use super::{EncodedObject, Sibling};
use crate::causality::encoded_vector::{EncodedVector, join};
use crate::planted::{Planted, is_planted};
use crate::view::ConflictPolicy;

impl EncodedObject {
    /// What two replicas know together. Returns one of the arguments (a cheap clone) where it equals the result, so
    /// always where the last write wins. Ask [`EncodedObject::check_limits`] before keeping a result.
    pub fn merge(&self, other: &EncodedObject, policy: ConflictPolicy, arena: &mut BytesMut) -> EncodedObject {
        match policy {
            ConflictPolicy::Lww => self.later_of(other).clone(),
            ConflictPolicy::Siblings => self.merge_siblings(other, arena),
        }
    }

    /// The last write wins. Dots are unique; bytes break the tie should they ever not be, so that all still agree.
    #[inline]
    fn later_of<'a>(&'a self, other: &'a EncodedObject) -> &'a EncodedObject {
        let rank = |object: &'a EncodedObject| (object.newest(), object.bytes());
        if rank(self) < rank(other) { other } else { self }
    }

    fn merge_siblings(&self, other: &EncodedObject, arena: &mut BytesMut) -> EncodedObject {
        if self == other {
            return self.clone();
        }
        let vector = join(self.vector().entries(), other.vector().entries());
        let draft = Draft { vector, siblings: Survivors::new(self, other) };
        for object in [self, other] {
            let is_whole =
                draft.vector.clone().eq(object.vector().entries()) && draft.siblings.clone().eq(object.siblings());
            if is_whole {
                return object.clone();
            }
        }
        if is_planted(Planted::MergeNotCommutative) {
            return self.clone();
        }
        let size = draft.measure();
        draft.write(size, arena)
    }
}

/// The siblings of two objects that neither has seen overwritten, in dot order.
#[derive(Clone)]
struct Survivors<'a> {
    left: Peekable<Siblings<'a>>,
    left_seen: EncodedVector<'a>,
    right: Peekable<Siblings<'a>>,
    right_seen: EncodedVector<'a>,
}

impl<'a> Survivors<'a> {
    fn new(left: &'a EncodedObject, right: &'a EncodedObject) -> Survivors<'a> {
        Survivors {
            left: left.walk().peekable(),
            left_seen: left.vector(),
            right: right.walk().peekable(),
            right_seen: right.vector(),
        }
    }
}

impl<'a> Iterator for Survivors<'a> {
    type Item = Sibling<'a>;

    fn next(&mut self) -> Option<Sibling<'a>> {
        loop {
            let (left, right) = (self.left.peek().copied(), self.right.peek().copied());
            match (left, right) {
                (Some(left), Some(right)) if left.dot == right.dot => {
                    self.left.next();
                    self.right.next();
                    // The same version. Should the bytes ever differ, all must still choose the same ones.
                    return Some(if left.kind < right.kind { right } else { left });
                }
                (Some(left), right) if right.is_none_or(|right| left.dot < right.dot) => {
                    self.left.next();
                    if !self.right_seen.covers(left.dot) {
                        return Some(left);
                    }
                }
                (_, Some(right)) => {
                    self.right.next();
                    if !self.left_seen.covers(right.dot) {
                        return Some(right);
                    }
                }
                (_, None) => return None,
            }
        }
    }
}
