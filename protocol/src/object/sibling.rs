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

/// What a version says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SiblingKind<'a> {
    /// The key holds these bytes.
    Value(&'a [u8]),
    /// The key was deleted.
    Tombstone,
}
