//! What a shard has lost and has not been given back.
//!
//! A wound is a range of tokens and a record: of the keys in that range, what was written up to that record may be missing.
//! Such a key is answered "unreadable", never "absent" and never with what it held before; what was written later is
//! answered as usual. A wound stays, over restarts, until the keys have been given back or an operator accepts the loss.

use crate::limits::WOUNDS_MAX;
use crate::record::Lsn;
use core::fmt;

/// What was damaged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WoundCause {
    /// Records of the log had rotted.
    LogRot,
    /// Records at the end of the log were gone.
    LogEnd,
    /// Segments of the log were gone.
    LogGap,
    /// Objects of the sorted store were damaged.
    StoreRot,
    /// The sorted store as a whole could not be used.
    StoreLost,
    /// Nothing said any more how far the store and the log had gone.
    ManifestLost,
}

impl WoundCause {
    /// All of them.
    pub const ALL: [WoundCause; 6] = [
        WoundCause::LogRot,
        WoundCause::LogEnd,
        WoundCause::LogGap,
        WoundCause::StoreRot,
        WoundCause::StoreLost,
        WoundCause::ManifestLost,
    ];

    /// Its name, for reports and labels.
    pub fn name(self) -> &'static str {
        match self {
            WoundCause::LogRot => "log-rot",
            WoundCause::LogEnd => "log-end",
            WoundCause::LogGap => "log-gap",
            WoundCause::StoreRot => "store-rot",
            WoundCause::StoreLost => "store-lost",
            WoundCause::ManifestLost => "manifest-lost",
        }
    }
}

impl fmt::Display for WoundCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Keys that may miss what was written to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wound {
    /// The first token.
    pub from: u128,
    /// The last token.
    pub to: u128,
    /// What was written up to this record may be missing.
    pub upto: Lsn,
    /// How many objects are missing, where that is known exactly.
    pub keys: Option<u64>,
    /// What was damaged.
    pub cause: WoundCause,
    /// Where, expected and found: a sentence for the operator.
    pub what: String,
    /// When it was found, in seconds since 1970.
    pub found_at_unix: u64,
}

impl Wound {
    /// Does it cover every token?
    pub fn is_whole(&self) -> bool {
        self.from == 0 && self.to == u128::MAX
    }

    fn merge(&mut self, other: Wound) {
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.upto = self.upto.max(other.upto);
        self.keys = self.keys.zip(other.keys).map(|(mine, its)| mine.saturating_add(its));
        self.found_at_unix = self.found_at_unix.max(other.found_at_unix);
        if self.what != other.what && !self.what.ends_with(AND_MORE) {
            self.what.push_str(AND_MORE);
        }
    }
}

const AND_MORE: &str = " (and more)";

/// All wounds of a shard, by their first token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wounds {
    wounds: Vec<Wound>,
    /// For each wound the largest last token among those up to it.
    reach: Vec<u128>,
}

impl Wounds {
    /// Adds a wound. Past [`WOUNDS_MAX`] the two neighbours that lie closest become one, which covers both and what is between.
    pub fn add(&mut self, wound: Wound) {
        if self.wounds.contains(&wound) {
            return; // Found again by a recovery that was interrupted.
        }
        let place = self.wounds.partition_point(|known| known.from <= wound.from);
        self.wounds.insert(place, wound);
        if self.wounds.len() > WOUNDS_MAX {
            self.join_closest();
        }
        let reaches = self.wounds.iter().scan(0, |reach, wound| {
            *reach = wound.to.max(*reach);
            Some(*reach)
        });
        self.reach = reaches.collect();
    }

    fn join_closest(&mut self) {
        let gap = |at: &usize| self.wounds[at + 1].from.saturating_sub(self.wounds[*at].to);
        let closest =
            (0..self.wounds.len() - 1).min_by_key(gap).expect("there are more than the bound, which is not 0");
        let later = self.wounds.remove(closest + 1);
        self.wounds[closest].merge(later);
    }

    /// The wound that covers `token` up to the latest record; `None` if there is none. Quick when there are no wounds.
    pub fn covers(&self, token: u128) -> Option<&Wound> {
        let begun = self.wounds.partition_point(|wound| wound.from <= token);
        let candidates = (0..begun).rev().take_while(|&at| token <= self.reach[at]).map(|at| &self.wounds[at]);
        candidates.filter(|wound| token <= wound.to).max_by_key(|wound| wound.upto)
    }

    /// May what record `lsn` wrote under `token` be old? `Lsn(0)` stands for "nothing is stored".
    pub fn hides(&self, token: u128, lsn: Lsn) -> bool {
        !self.wounds.is_empty() && self.covers(token).is_some_and(|wound| lsn <= wound.upto)
    }

    /// By first token.
    pub fn iter(&self) -> impl Iterator<Item = &Wound> {
        self.wounds.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.wounds.len()
    }

    /// Is nothing missing?
    pub fn is_empty(&self) -> bool {
        self.wounds.is_empty()
    }

    /// Forgets all of them: the losses are accepted, or healed.
    pub fn clear(&mut self) {
        *self = Wounds::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wound(from: u128, to: u128, upto: u64) -> Wound {
        let what = format!("{from} to {to}");
        Wound { from, to, upto: Lsn(upto), keys: Some(1), cause: WoundCause::LogRot, what, found_at_unix: 9 }
    }

    fn wounds(all: &[(u128, u128, u64)]) -> Wounds {
        let mut wounds = Wounds::default();
        all.iter().for_each(|&(from, to, upto)| wounds.add(wound(from, to, upto)));
        wounds
    }

    #[test]
    fn a_key_is_hidden_by_the_wound_that_goes_furthest() {
        let wounds = wounds(&[(10, 90, 5), (20, 30, 9), (25, 25, 7), (95, 95, 3)]);
        let upto = |token: u128| wounds.covers(token).map(|wound| wound.upto.0);
        let found = [9, 10, 20, 25, 30, 31, 90, 91, 95, 96].map(upto);
        assert_eq!(found, [None, Some(5), Some(9), Some(9), Some(9), Some(5), Some(5), None, Some(3), None]);
        assert!(wounds.hides(25, Lsn(9)) && !wounds.hides(25, Lsn(10)) && !wounds.hides(9, Lsn(0)));
    }

    #[test]
    fn too_many_wounds_become_fewer_that_cover_as_much() {
        let all: Vec<(u128, u128, u64)> =
            (0..WOUNDS_MAX as u128 + 200).map(|n| (n * n * 10, n * n * 10, n as u64)).collect();
        let wounds = wounds(&all);
        assert_eq!(wounds.len(), WOUNDS_MAX);
        assert!(all.iter().all(|&(token, _, upto)| wounds.hides(token, Lsn(upto))));
        let keys: u64 = wounds.iter().filter_map(|wound| wound.keys).sum();
        assert_eq!(keys, all.len() as u64);
    }

    #[test]
    fn the_same_loss_found_twice_counts_once() {
        let wounds = wounds(&[(1, 1, 1), (1, 1, 1)]);
        assert_eq!((wounds.len(), wounds.covers(1).and_then(|wound| wound.keys)), (1, Some(1)));
    }
}
