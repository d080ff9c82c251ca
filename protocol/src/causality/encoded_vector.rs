//! A version vector as it lies in the bytes of an object or a context, read in place.
//!
//! Entries are `u64-LE actor | u64-LE hlc`, strictly ascending by actor; a time of 0 says nothing and is not canonical.

use super::{ActorId, Dot, Hlc};

/// Bytes of one entry.
pub(crate) const ENTRY_BYTES: usize = 16;

/// Checked entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedVector<'a>(&'a [[u8; ENTRY_BYTES]]);

impl<'a> EncodedVector<'a> {
    /// Takes entries that were checked before; what does not fill an entry is ignored.
    #[inline]
    pub(crate) fn from_checked(bytes: &'a [u8]) -> EncodedVector<'a> {
        EncodedVector(bytes.as_chunks().0)
    }

    /// Are the entries in their one canonical order? `Err` names the first that is not.
    pub(crate) fn check(&self) -> Result<(), usize> {
        let mut before = None;
        for (place, (actor, hlc)) in self.entries().enumerate() {
            if before >= Some(actor) || hlc == Hlc::default() {
                return Err(place);
            }
            before = Some(actor);
        }
        Ok(())
    }

    /// In order of actors.
    #[inline]
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = (ActorId, Hlc)> + Clone + use<'a> {
        self.0.iter().map(entry)
    }

    /// Has the write of this dot been seen?
    #[inline]
    pub(crate) fn covers(&self, dot: Dot) -> bool {
        let place = self.0.binary_search_by_key(&dot.actor, |bytes| entry(bytes).0);
        place.is_ok_and(|place| dot.hlc <= entry(&self.0[place]).1)
    }
}

#[inline]
fn entry(bytes: &[u8; ENTRY_BYTES]) -> (ActorId, Hlc) {
    let both = u128::from_le_bytes(*bytes);
    (ActorId::from_u64(both as u64), Hlc((both >> 64) as u64))
}

/// The bytes of one entry.
#[inline]
pub(crate) fn encode_entry((actor, hlc): (ActorId, Hlc)) -> [u8; ENTRY_BYTES] {
    (u128::from(actor.to_u64()) | (u128::from(hlc.0) << 64)).to_le_bytes()
}

/// Two runs of entries as one: every actor of either, with its later time. Both must ascend by actor.
#[inline]
pub(crate) fn join<A, B>(left: A, right: B) -> impl Iterator<Item = (ActorId, Hlc)> + Clone
where
    A: Iterator<Item = (ActorId, Hlc)> + Clone,
    B: Iterator<Item = (ActorId, Hlc)> + Clone,
{
    let (mut left, mut right) = (left.peekable(), right.peekable());
    core::iter::from_fn(move || match (left.peek().copied(), right.peek().copied()) {
        (Some((actor, left_hlc)), Some((right_actor, right_hlc))) if actor == right_actor => {
            left.next();
            right.next();
            Some((actor, left_hlc.max(right_hlc)))
        }
        (Some((actor, _)), Some((right_actor, _))) if actor < right_actor => left.next(),
        (Some(_), None) => left.next(),
        (_, Some(_)) => right.next(),
        (None, None) => None,
    })
}
