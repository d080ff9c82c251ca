//! Who owns which slice of a new ring.
//!
//! Think of a round table and guests in parties, the racks. The largest party sits down first, evenly spaced; the
//! others take the free seats the same way, so that one seldom sits beside one's own. The ring is this table, round
//! after round, and from time to time everybody moves on by one seat. Without that move a node would own only vnodes
//! of a few remainders, and since shards are dealt vnodes by remainder too, some of its shards would own nothing.

use super::{RingNode, VNodeBits};

/// For each vnode the index (in `nodes`) of its owner: every node owns the same number, give or take one.
pub(super) fn seat(bits: VNodeBits, nodes: &[RingNode]) -> Vec<u16> {
    let table = seat_one_table(nodes);
    let rounds = (bits.count() / table.len()).max(1);
    let moves = rounds.min(table.len());
    (0..bits.count())
        .map(|vnode| {
            let (round, seat) = (vnode / table.len(), vnode % table.len());
            // The last round may be cut short; it moves like the one before it.
            let moved = round.min(rounds - 1) * moves / rounds;
            table[(seat + moved) % table.len()]
        })
        .collect()
}

/// One seat for each node, parties spread evenly.
fn seat_one_table(nodes: &[RingNode]) -> Vec<u16> {
    let mut seats: Vec<Option<u16>> = vec![None; nodes.len()];
    for party in parties(nodes) {
        for (place, node) in party.iter().enumerate() {
            let wanted = place * nodes.len() / party.len();
            let free = (wanted..nodes.len()).chain(0..wanted).find(|seat| seats[*seat].is_none());
            seats[free.expect("as many seats as nodes")] = Some(*node);
        }
    }
    seats.into_iter().map(|seat| seat.expect("every node sits on one seat")).collect()
}

/// Node indices by rack: larger racks first, then by name, so that the order depends on nothing but the set.
fn parties(nodes: &[RingNode]) -> Vec<Vec<u16>> {
    let mut by_rack: Vec<(&str, Vec<u16>)> = Vec::new();
    for (index, node) in (0u16..).zip(nodes) {
        match by_rack.iter_mut().find(|(rack, _)| *rack == node.rack) {
            Some((_, party)) => party.push(index),
            None => by_rack.push((&node.rack, vec![index])),
        }
    }
    by_rack.sort_by(|(rack_a, party_a), (rack_b, party_b)| party_b.len().cmp(&party_a.len()).then(rack_a.cmp(rack_b)));
    by_rack.into_iter().map(|(_, party)| party).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::topology::tests::nodes_in_racks;

    fn racks_around_the_table(racks: &[(&str, usize)]) -> String {
        let nodes = nodes_in_racks(racks);
        seat_one_table(&nodes).iter().map(|node| nodes[usize::from(*node)].rack.as_str()).collect()
    }

    #[test]
    fn racks_alternate_around_the_table() {
        for (racks, expected) in [
            (&[("a", 1), ("b", 1), ("c", 1)][..], "abc"),
            (&[("a", 2), ("b", 2), ("c", 2)], "abcabc"),
            (&[("a", 2), ("b", 1), ("c", 1)], "abac"),
            (&[("a", 2), ("b", 2), ("c", 1)], "ababc"),
            (&[("a", 1), ("b", 3), ("c", 2)], "bcbcba"),
            (&[("a", 4)], "aaaa"),
        ] {
            assert_eq!(racks_around_the_table(racks), expected, "{racks:?}");
        }
    }

    #[test]
    fn every_shard_of_a_node_owns_its_share() {
        let bits = VNodeBits::DEFAULT;
        for (nodes, shards) in [(3, 3), (3, 4), (4, 2), (4, 4), (4, 8), (6, 4), (8, 8), (12, 8), (16, 16)] {
            let owners = seat(bits, &nodes_in_racks(&[("a", nodes)]));
            let mut owned = vec![0; nodes * shards];
            for (vnode, owner) in owners.iter().enumerate() {
                owned[usize::from(*owner) * shards + vnode % shards] += 1;
            }
            let fair = bits.count() / (nodes * shards);
            let most = owned.iter().max().expect("some");
            assert!(*most <= fair + fair / 4 + 2, "{nodes} nodes of {shards} shards: {most} against {fair}");
        }
    }
}
