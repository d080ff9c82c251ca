//! What was lost, by the shards that it goes to.

use super::ShardOfVnode;
use crate::record::Lsn;
use crate::sorted_store::{KeyGap, split_stored_key};
use crate::wounds::{Wound, WoundCause, Wounds};

/// Which shard of the new layout, and of the old one, keeps a token.
pub(super) struct Owners<'a> {
    pub(super) bits: u8,
    /// Shards of the old layout.
    pub(super) sources: u16,
    /// Shards of the new one.
    pub(super) targets: u16,
    pub(super) shard_of: ShardOfVnode<'a>,
}

impl Owners<'_> {
    /// The shard that gets `token`.
    pub(super) fn target_of(&self, token: u128) -> u16 {
        (self.shard_of)(self.vnode_of(token), self.targets)
    }

    fn vnode_of(&self, token: u128) -> u32 {
        token.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) as u32
    }

    /// The parts of a wound of shard `source` that lie in its own vnodes, each with the shard that it goes to. How many keys
    /// are missing is known only of a wound that stays in one piece.
    pub(super) fn split(&self, wound: &Wound, source: u16) -> Vec<(u16, Wound)> {
        if self.sources == self.targets {
            return vec![(source, wound.clone())];
        }
        let mut parts: Vec<(u16, Wound)> = Vec::new();
        for vnode in self.vnode_of(wound.from)..=self.vnode_of(wound.to) {
            if (self.shard_of)(vnode, self.sources) != source {
                continue;
            }
            let (first, last) = self.bounds(vnode);
            let (from, to) = (first.max(wound.from), last.min(wound.to));
            let target = (self.shard_of)(vnode, self.targets);
            match parts.last_mut() {
                Some((owner, part)) if *owner == target && part.to.checked_add(1) == Some(from) => part.to = to,
                Some(_) | None => parts.push((target, Wound { from, to, keys: None, ..wound.clone() })),
            }
        }
        if let [(_, only)] = parts.as_mut_slice() {
            only.keys = wound.keys;
        }
        parts
    }

    /// The first and the last token of a vnode.
    fn bounds(&self, vnode: u32) -> (u128, u128) {
        let shift = 128 - u32::from(self.bits);
        let first = u128::from(vnode).checked_shl(shift).unwrap_or(0);
        (first, first | u128::MAX.checked_shr(self.bits.into()).unwrap_or(0))
    }
}

/// What could not be read on the way, in ring order.
#[derive(Debug, Default)]
pub(super) struct Losses {
    wounds: Wounds,
    /// The last one: another key with its token may follow.
    open: Option<Wound>,
    unix_seconds: u64,
}

impl Losses {
    /// Nothing yet.
    pub(super) fn found_at(unix_seconds: u64) -> Losses {
        Losses { unix_seconds, ..Losses::default() }
    }

    /// The object of a key under `token` is damaged.
    pub(super) fn key(&mut self, token: u128) {
        match &mut self.open {
            Some(open) if open.from == token && open.to == token => open.keys = open.keys.map(|keys| keys + 1),
            Some(_) | None => self.add(token, token, Some(1), "an object was unreadable when it was to be moved"),
        }
    }

    /// Nobody knows what was stored there.
    pub(super) fn gap(&mut self, gap: &KeyGap) {
        let from = split_stored_key(&gap.from).map_or(0, |(token, _)| token);
        // Its end is the first key that can be read, which may share its token with one that cannot.
        let to = gap.to.as_deref().and_then(split_stored_key).map_or(u128::MAX, |(token, _)| token);
        self.add(from, to, None, &gap.what);
    }

    fn add(&mut self, from: u128, to: u128, keys: Option<u64>, what: &str) {
        let (upto, cause, found_at_unix) = (Lsn(0), WoundCause::StoreRot, self.unix_seconds);
        let wound = Wound { from, to, upto, keys, cause, what: what.to_owned(), found_at_unix };
        if let Some(before) = self.open.replace(wound) {
            self.wounds.add(before);
        }
    }

    pub(super) fn into_wounds(mut self) -> Wounds {
        if let Some(last) = self.open.take() {
            self.wounds.add(last);
        }
        self.wounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ring has four vnodes, dealt in turn.
    fn owners(sources: u16, targets: u16) -> Owners<'static> {
        Owners { bits: 2, sources, targets, shard_of: &|vnode, shards| (vnode % u32::from(shards)) as u16 }
    }

    fn wound(from: u128, to: u128) -> Wound {
        let what = "rot".to_owned();
        Wound { from, to, upto: Lsn(7), keys: Some(3), cause: WoundCause::StoreLost, what, found_at_unix: 1 }
    }

    fn split(owners: &Owners<'_>, wound: &Wound, source: u16) -> Vec<(u16, u128, u128, Option<u64>)> {
        let parts = owners.split(wound, source).into_iter();
        parts.map(|(target, part)| (target, part.from >> 126, part.to >> 126, part.keys)).collect()
    }

    #[test]
    fn a_wound_takes_only_the_vnodes_of_its_own_shard_along() {
        let all = wound(0, u128::MAX);
        assert_eq!(split(&owners(2, 1), &all, 1), [(0, 1, 1, None), (0, 3, 3, None)]);
        assert_eq!(split(&owners(1, 2), &all, 0), [(0, 0, 0, None), (1, 1, 1, None), (0, 2, 2, None), (1, 3, 3, None)]);
        assert_eq!(split(&owners(2, 2), &all, 1), [(1, 0, 3, Some(3))], "nothing moves");
    }

    #[test]
    fn a_wound_inside_a_vnode_keeps_its_bounds_and_its_count() {
        let parts = owners(2, 3).split(&wound((2 << 126) + 5, (2 << 126) + 9), 0);
        let [(target, part)] = &parts[..] else { panic!("one part, not {parts:?}") };
        assert_eq!((*target, part.from, part.to, part.keys), (2, (2 << 126) + 5, (2 << 126) + 9, Some(3)));
    }

    #[test]
    fn a_ring_of_one_vnode_has_no_bits() {
        let owners = Owners { bits: 0, ..owners(1, 1) };
        assert_eq!(owners.target_of(u128::MAX), 0);
        assert_eq!(owners.bounds(0), (0, u128::MAX));
    }
}
