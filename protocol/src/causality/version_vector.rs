//! What somebody has seen, by actor.
//!
//! One entry stands for all writes of a key by that actor up to a time: an actor gives a key's dots one after the other,
//! each on top of all before, so whoever has seen one has seen those before it.

use arrayvec::ArrayVec;

use super::encoded_vector::{EncodedVector, join};
use super::{ActorId, Dot, Hlc};

/// Entries that need no memory of their own: a key has few actors, and a put with a context is to allocate nothing.
const FEW: usize = 4;

/// For each actor the latest of its writes that was seen (and with it all earlier ones of the key). Sorted by actor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionVector {
    few: ArrayVec<(ActorId, Hlc), FEW>,
    /// All entries, as soon as they are more than a few; empty before.
    many: Vec<(ActorId, Hlc)>,
}

impl VersionVector {
    /// Has the write of this dot been seen?
    pub fn covers(&self, dot: Dot) -> bool {
        self.place(dot.actor).is_ok_and(|place| dot.hlc <= self.entries()[place].1)
    }

    /// Sees the write of this dot.
    pub fn add(&mut self, dot: Dot) {
        match self.place(dot.actor) {
            Ok(place) => {
                let entries = if self.many.is_empty() { &mut self.few[..] } else { &mut self.many[..] };
                entries[place].1 = entries[place].1.max(dot.hlc);
            }
            Err(place) => self.insert(place, (dot.actor, dot.hlc)),
        }
    }

    /// Sees all that `other` has seen.
    pub fn join(&mut self, other: &VersionVector) {
        *self = VersionVector::from_sorted(join(self.entries().iter().copied(), other.entries().iter().copied()));
    }

    /// The entries, sorted by actor.
    pub fn entries(&self) -> &[(ActorId, Hlc)] {
        if self.many.is_empty() { &self.few } else { &self.many }
    }

    /// Has nothing been seen?
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The latest time in it; zero if empty.
    pub fn latest(&self) -> Hlc {
        self.entries().iter().map(|(_, hlc)| *hlc).max().unwrap_or_default()
    }

    fn place(&self, actor: ActorId) -> Result<usize, usize> {
        self.entries().binary_search_by_key(&actor, |(actor, _)| *actor)
    }

    fn insert(&mut self, place: usize, entry: (ActorId, Hlc)) {
        if self.many.is_empty() && !self.few.is_full() {
            return self.few.insert(place, entry);
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(place, entry);
    }

    fn from_sorted(entries: impl Iterator<Item = (ActorId, Hlc)>) -> VersionVector {
        let mut vector = VersionVector::default();
        entries.for_each(|entry| vector.insert(vector.entries().len(), entry));
        vector
    }
}

impl From<EncodedVector<'_>> for VersionVector {
    fn from(encoded: EncodedVector<'_>) -> VersionVector {
        VersionVector::from_sorted(encoded.entries())
    }
}

impl FromIterator<Dot> for VersionVector {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> VersionVector {
        let mut vector = VersionVector::default();
        dots.into_iter().for_each(|dot| vector.add(dot));
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(actor: u64, hlc: u64) -> Dot {
        Dot { hlc: Hlc(hlc), actor: ActorId::from_u64(actor) }
    }

    #[test]
    fn seeing_one_write_is_seeing_the_earlier_ones_of_its_actor_only() {
        let seen: VersionVector = [dot(1, 5)].into_iter().collect();
        assert!(seen.covers(dot(1, 5)) && seen.covers(dot(1, 4)));
        assert!(!seen.covers(dot(1, 6)) && !seen.covers(dot(2, 1)));
        assert!(!VersionVector::default().covers(dot(1, 1)));
    }

    #[test]
    fn an_earlier_write_seen_later_takes_nothing_back() {
        let seen: VersionVector = [dot(1, 5), dot(1, 3)].into_iter().collect();
        assert_eq!(seen.entries(), [(ActorId::from_u64(1), Hlc(5))]);
    }

    #[test]
    fn a_vector_is_the_same_however_it_grew() {
        let dots: Vec<Dot> = (1..20).map(|actor| dot(actor, actor)).collect();
        let upwards: VersionVector = dots.iter().copied().collect();
        let mut downwards: VersionVector = dots.iter().rev().copied().collect();
        assert_eq!(upwards, downwards);
        downwards.add(dot(7, 100));
        assert!(dots.iter().all(|seen| downwards.covers(*seen)) && downwards.covers(dot(7, 100)));
        assert_eq!(downwards.entries().len(), 19);
    }

    #[test]
    fn joined_vectors_have_seen_what_either_had() {
        let mut one: VersionVector = [dot(3, 1), dot(1, 5), dot(2, 2)].into_iter().collect();
        let two: VersionVector = [dot(2, 9), dot(4, 4), dot(1, 1)].into_iter().collect();
        one.join(&two);
        assert_eq!(one, [dot(1, 5), dot(2, 9), dot(3, 1), dot(4, 4)].into_iter().collect());
        assert_eq!(one.latest(), Hlc(9));
    }
}
