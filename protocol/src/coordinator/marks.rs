//! A set of replicas of one request, by their place in its list: one bit each.

/// Which of at most sixteen replicas something is true of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks(u16);

const _: () = assert!(crate::limits::REPLICAS_MAX <= u16::BITS as usize);

impl Marks {
    /// True of nobody.
    pub const NONE: Marks = Marks(0);

    /// True of all that there can be.
    pub const ALL: Marks = Marks(u16::MAX);

    /// True of one.
    pub fn of(place: usize) -> Marks {
        Marks(1 << place)
    }

    /// Makes it true of the replica at `place`.
    #[inline]
    pub fn set(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    /// Makes it false.
    #[inline]
    pub fn clear(&mut self, place: usize) {
        self.0 &= !(1 << place);
    }

    /// Is it true?
    #[inline]
    pub fn has(self, place: usize) -> bool {
        self.0 & (1 << place) != 0
    }

    /// Of how many it is true.
    #[inline]
    pub fn count(self) -> u8 {
        // At most sixteen bits: it fits.
        self.0.count_ones() as u8
    }

    /// Is it true of nobody?
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True of those of whom both are.
    #[must_use]
    pub fn and(self, other: Marks) -> Marks {
        Marks(self.0 & other.0)
    }

    /// True of those of whom either is.
    #[must_use]
    pub fn or(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// True of those of whom `self` is and `other` is not.
    #[must_use]
    pub fn without(self, other: Marks) -> Marks {
        Marks(self.0 & !other.0)
    }
}
