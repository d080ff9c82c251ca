//! Reading on behind what cannot be read.
//!
//! A damaged page hides a run of keys, and nobody knows which. What is known is where reading stopped; where it works
//! again is found by trying tokens, in steps that double and then halve, as one finds the end of a dark room. An engine
//! never goes on *within* such a run: older versions of the hidden keys may lie elsewhere, and they are not the answer.

use super::KeyGap;

/// How a walk over stored keys ended.
pub(super) enum Walked {
    /// The page is full; the next key.
    Full(Vec<u8>),
    /// The range is at its end.
    End,
    /// From this key on something cannot be read.
    Stuck {
        /// The first key that nothing is known of.
        at: Vec<u8>,
        /// What the engine said.
        what: String,
    },
}

/// How an engine is walked.
pub(super) trait Walk {
    /// Reads on from `from` until the page is full.
    fn walk(&mut self, from: &[u8]) -> Walked;
    /// Can the first key at or behind `at` be read?
    fn is_readable(&mut self, at: &[u8]) -> bool;
    /// Takes the keys that a walk which stopped at `stuck` held in hand without showing them, if it can tell them.
    fn take_from_hand(&mut self, _stuck: &[u8]) -> Option<Walked> {
        None
    }
}

/// What the walk met, and where to go on.
#[derive(Default)]
pub(super) struct Tour {
    pub(super) gaps: Vec<KeyGap>,
    pub(super) next: Option<Vec<u8>>,
}

/// Gaps in one page: each costs some hundred probes, and a reader must not wait for all of a ruined store.
const GAPS_PER_PAGE_MAX: usize = 4;

/// Walks from `from` to the last key of `token_last`, around the gaps.
pub(super) fn tour(from: &[u8], token_last: u128, walk: &mut dyn Walk) -> Tour {
    let mut tour = Tour::default();
    let (mut at, mut tried_again) = (from.to_vec(), None);
    loop {
        let (stuck, what) = match walk.walk(&at) {
            Walked::End => return tour,
            Walked::Full(next) => {
                tour.next = Some(next);
                return tour;
            }
            Walked::Stuck { at, what } => (at, what),
        };
        if token_at(&stuck) > token_last {
            return tour;
        }
        let start = match walk.take_from_hand(&stuck) {
            None => stuck,
            Some(Walked::Stuck { at, .. }) => at,
            Some(Walked::End) => return tour,
            Some(Walked::Full(next)) => {
                tour.next = Some(next);
                return tour;
            }
        };
        // What can be read now was no damage: a passing error, or a walk that stopped early.
        if tried_again.as_ref() != Some(&start) && walk.is_readable(&start) {
            tried_again = Some(start.clone());
            at = start;
            continue;
        }
        let to = end_of_gap(&start, token_last, walk);
        tour.gaps.push(KeyGap { from: start, to: to.clone(), what });
        match to {
            Some(to) if token_at(&to) <= token_last => at = to,
            Some(_) | None => return tour,
        }
        if tour.gaps.len() == GAPS_PER_PAGE_MAX {
            tour.next = Some(at);
            return tour;
        }
    }
}

/// The token with which a stored key begins; what is missing of it counts as zero.
fn token_at(key: &[u8]) -> u128 {
    let mut token = [0; 16];
    let bytes = key.len().min(16);
    token[..bytes].copy_from_slice(&key[..bytes]);
    u128::from_be_bytes(token)
}

fn first_key(token: u128) -> Vec<u8> {
    token.to_be_bytes().to_vec()
}

/// The first key of the first token behind `start` that can be read, or of the one behind `token_last`.
fn end_of_gap(start: &[u8], token_last: u128, walk: &mut dyn Walk) -> Option<Vec<u8>> {
    let dark = last_that_holds(token_at(start), token_last, |token| !walk.is_readable(&first_key(token)));
    dark.checked_add(1).map(first_key)
}

/// The largest token in a row behind `from` for which `holds`, at most `last`; `from` if it holds for none. Steps double until
/// it does not, then halve: what lies between two such rows may be skipped only if it is shorter than the first.
fn last_that_holds(from: u128, last: u128, mut holds: impl FnMut(u128) -> bool) -> u128 {
    let (mut good, mut step) = (from, 1u128);
    let mut bad = loop {
        let Some(next) = good.checked_add(step).filter(|next| *next <= last) else {
            if good == last || holds(last) {
                return last;
            }
            break last;
        };
        if !holds(next) {
            break next;
        }
        good = next;
        step = step.saturating_mul(2);
    };
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if holds(middle) { good = middle } else { bad = middle }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A store of which some tokens cannot be read, and whose walk stops a key early, as a merge does.
    struct Dark {
        keys: BTreeMap<Vec<u8>, bool>,
        seen: Vec<u128>,
        page: usize,
        is_early: bool,
    }

    impl Dark {
        fn new(tokens: u128, dark: &[core::ops::RangeInclusive<u128>], page: usize, is_early: bool) -> Dark {
            let key = |token: u128| (first_key(token << 64), !dark.iter().any(|range| range.contains(&token)));
            Dark { keys: (1..=tokens).map(key).collect(), seen: Vec::new(), page, is_early }
        }
    }

    impl Walk for Dark {
        fn walk(&mut self, from: &[u8]) -> Walked {
            let mut at = from.to_vec();
            let rest: Vec<(Vec<u8>, bool)> =
                self.keys.range(from.to_vec()..).map(|(key, &is_light)| (key.clone(), is_light)).collect();
            for (index, (key, is_light)) in rest.iter().enumerate() {
                let is_cut_off = rest.get(index + 1).is_some_and(|(_, light)| !light);
                if !is_light || (self.is_early && is_cut_off) {
                    return Walked::Stuck { at, what: "dark".to_owned() };
                }
                if self.seen.len() == self.page {
                    return Walked::Full(key.clone());
                }
                self.seen.push(token_at(key) >> 64);
                at = [&key[..], &[0]].concat();
            }
            Walked::End
        }
        fn is_readable(&mut self, at: &[u8]) -> bool {
            self.keys.range(at.to_vec()..).next().is_none_or(|(_, &is_light)| is_light)
        }
        fn take_from_hand(&mut self, stuck: &[u8]) -> Option<Walked> {
            let (key, is_light) = self.keys.range(stuck.to_vec()..).next()?;
            if !self.is_early || !is_light {
                return None;
            }
            self.seen.push(token_at(key) >> 64);
            Some(Walked::Stuck { at: [&key[..], &[0]].concat(), what: "dark".to_owned() })
        }
    }

    #[test]
    fn what_can_be_read_is_read_and_what_cannot_is_named() {
        for is_early in [false, true] {
            let mut store = Dark::new(100, &[10..=20, 50..=50, 99..=100], 1000, is_early);
            let tour = tour(&[], u128::MAX, &mut store);
            let light: Vec<u128> = (1..=9).chain(21..=49).chain(51..=98).collect();
            assert_eq!(store.seen, light, "early: {is_early}");
            let gaps: Vec<(u128, Option<u128>)> = tour
                .gaps
                .iter()
                .map(|gap| (token_at(&gap.from) >> 64, gap.to.as_ref().map(|to| token_at(to) >> 64)))
                .collect();
            // Bounds are tokens, so a gap reaches to the token behind its last dark key.
            assert_eq!(gaps, [(9, Some(20)), (49, Some(50)), (98, Some(100))]);
            assert!(tour.next.is_none());
        }
    }

    #[test]
    fn a_tour_ends_with_its_last_token_its_page_or_its_share_of_gaps() {
        let mut store = Dark::new(100, &[10..=20], 1000, true);
        let to_15 = tour(&[], 15 << 64, &mut store);
        assert_eq!((store.seen.len(), to_15.next), (9, None));
        assert_eq!(to_15.gaps[0].to, Some(first_key((15 << 64) + 1)));
        let mut store = Dark::new(100, &[10..=20], 12, true);
        let page = tour(&[], u128::MAX, &mut store);
        assert_eq!((page.gaps.len(), page.next), (1, Some(first_key(24 << 64))));
        let every_third: Vec<_> = (0..30).map(|n| n * 3..=n * 3).collect();
        let mut store = Dark::new(100, &every_third, 1000, true);
        let page = tour(&[], u128::MAX, &mut store);
        assert!(page.gaps.len() == GAPS_PER_PAGE_MAX && page.next.is_some());
    }
}
