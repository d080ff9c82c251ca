//! Which of a shard's vnodes have lost something, for the operator: in words, and as numbers.

use rondo_protocol::node::ShardIndex;
use rondo_protocol::ring::{VNode, VNodeBits, shard_of};
use rondo_storage::Wounds;

use crate::limits::WOUNDED_VNODES_NAMED_MAX;

/// What a shard says of its wounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WoundStatus {
    /// Ranges of keys of which something is missing.
    pub wounds: usize,
    /// Own vnodes that they touch.
    pub vnodes: usize,
}

/// The shard's wounds as they were when last looked at.
#[derive(Debug, Default)]
pub(crate) struct Wounded {
    status: WoundStatus,
}

impl Wounded {
    /// Looks whether there are others than before, and if so says which vnodes need healing.
    pub(crate) fn look(
        &mut self,
        wounds: &Wounds,
        shard: ShardIndex,
        bits: VNodeBits,
        shards: core::num::NonZeroU16,
    ) -> WoundStatus {
        if wounds.len() != self.status.wounds {
            let vnodes = wounded_vnodes(wounds, shard, bits, shards);
            self.status = WoundStatus { wounds: wounds.len(), vnodes: vnodes.len() };
            if !vnodes.is_empty() {
                let vnodes = in_words(&vnodes);
                let wounds = wounds.len();
                tracing::warn!(
                    shard = shard.0,
                    wounds,
                    vnodes,
                    "something that was acknowledged is missing: keys of these vnodes may be answered as unreadable until they are \
                     healed or written again; see rondo damage list"
                );
            }
        }
        self.status
    }
}

/// The shard's own vnodes that its wounds touch, in order.
fn wounded_vnodes(wounds: &Wounds, shard: ShardIndex, bits: VNodeBits, shards: core::num::NonZeroU16) -> Vec<u16> {
    let vnode = |token: u128| (token >> (128 - u32::from(bits.get()))) as u32;
    let (mut found, mut next) = (Vec::new(), 0);
    for wound in wounds.iter() {
        let own = (vnode(wound.from).max(next)..=vnode(wound.to)).map(|vnode| vnode as u16);
        found.extend(own.filter(|&vnode| shard_of(VNode(vnode), shards) == shard));
        next = next.max(vnode(wound.to) + 1);
    }
    found
}

/// The first of them by number, and how many more there are.
fn in_words(vnodes: &[u16]) -> String {
    let named: Vec<String> = vnodes.iter().take(WOUNDED_VNODES_NAMED_MAX).map(u16::to_string).collect();
    let rest = vnodes.len() - named.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    named.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_storage::{Lsn, Wound, WoundCause};

    fn wounds(ranges: &[(u128, u128)]) -> Wounds {
        let mut wounds = Wounds::default();
        for &(from, to) in ranges {
            let (cause, what) = (WoundCause::LogRot, "rot".to_owned());
            wounds.add(Wound { from, to, upto: Lsn(1), keys: None, cause, what, found_at_unix: 1 });
        }
        wounds
    }

    #[test]
    fn only_own_vnodes_count_and_each_of_them_once() {
        // Four vnodes, dealt to two shards.
        let (bits, shards) = (VNodeBits::new(2).expect("few"), 2.try_into().expect("not zero"));
        let of = |shard, ranges: &[(u128, u128)]| wounded_vnodes(&wounds(ranges), ShardIndex(shard), bits, shards);
        assert_eq!(of(1, &[(0, u128::MAX), (5, 6), (3 << 126, 3 << 126)]), [1, 3]);
        assert_eq!(of(0, &[(2 << 126, 2 << 126), ((2 << 126) + 9, u128::MAX)]), [2]);
        assert!(of(0, &[]).is_empty());
    }

    #[test]
    fn many_vnodes_are_counted_rather_than_named() {
        assert_eq!(in_words(&[1, 5]), "1, 5");
        let many: Vec<u16> = (0..WOUNDED_VNODES_NAMED_MAX as u16 + 7).collect();
        assert!(in_words(&many).ends_with(" and 7 more"));
    }
}
