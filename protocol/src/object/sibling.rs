//! One version of a key.

use crate::causality::Dot;

/// A version: who wrote it when, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sibling<'a> {
    /// The write's name.
    pub dot: Dot,
    /// Value or tombstone.
    pub kind: SiblingKind<'a>,
}

/// What a version says. The order has no meaning but to be the same everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SiblingKind<'a> {
    /// The key holds these bytes.
    Value(&'a [u8]),
    /// The key was deleted.
    Tombstone,
}

impl<'a> SiblingKind<'a> {
    /// The value, if it is one.
    #[inline]
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            SiblingKind::Value(value) => Some(value),
            SiblingKind::Tombstone => None,
        }
    }
}
