//! Who owns which slice of a new ring.
//!
//! Think of a round table and guests in parties, the racks. The largest party takes its seats first, evenly spaced; the
//! others take free seats the same way, so that one seldom sits beside one's own. The ring is this table, round after
//! round. From round to round the guests of a party change seats among themselves, for some seats are better than
//! others: a lone seat in front of many of another rack gets a copy of all their keys. And a few times on the way
//! around the ring everybody moves on by one seat. Without that move a node would own only vnodes of a few remainders,
//! and since shards are dealt vnodes by remainder too, some of its shards would own nothing.

use super::{RingNode, VNodeBits};

/// The nodes of one rack, by their index.
type Party = Vec<u16>;

/// A seat at the table.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Whose it is.
    party: usize,
    /// Which of the party's seats.
    place: usize,
}

/// For each vnode the index (in `nodes`) of its owner: every node owns the same number, give or take one.
pub(super) fn seat(bits: VNodeBits, nodes: &[RingNode]) -> Vec<u16> {
    let parties = parties(nodes);
    let table = set_table(&parties, nodes.len());
    let rounds = (bits.count() / table.len()).max(1);
    let moves = rounds.min(table.len());
    (0..bits.count())
        .map(|vnode| {
            let (round, seat) = (vnode / table.len(), vnode % table.len());
            // The last round may be cut short; it moves like the one before it.
            let moved = round.min(rounds - 1) * moves / rounds;
            guest(table[(seat + moved) % table.len()], round, &parties)
        })
        .collect()
}

/// Who sits there in this round. Parties change at different paces, so that neighbours change too: if a node is down,
/// its requests go to many others and not all to one.
fn guest(seat: Seat, round: usize, parties: &[Party]) -> u16 {
    let party = &parties[seat.party];
    let change = round + round / party.len() * seat.party;
    party[(seat.place + change) % party.len()]
}

/// One seat for each node, parties spread evenly.
fn set_table(parties: &[Party], seats: usize) -> Vec<Seat> {
    let mut table: Vec<Option<Seat>> = vec![None; seats];
    for (party, guests) in parties.iter().enumerate() {
        for place in 0..guests.len() {
            let wanted = place * seats / guests.len();
            let free = (wanted..seats).chain(0..wanted).find(|seat| table[*seat].is_none());
            table[free.expect("as many seats as nodes")] = Some(Seat { party, place });
        }
    }
    table.into_iter().map(|seat| seat.expect("every seat is taken")).collect()
}

/// Node indices by rack: larger racks first, then by name, so that the order depends on nothing but the set.
fn parties(nodes: &[RingNode]) -> Vec<Party> {
    let mut by_rack: Vec<(&str, Party)> = Vec::new();
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
        let first_round = &seat(VNodeBits::DEFAULT, &nodes)[..nodes.len()];
        first_round.iter().map(|node| nodes[usize::from(*node)].rack.as_str()).collect()
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
    fn the_guests_of_a_party_change_seats_and_neighbours() {
        let nodes = nodes_in_racks(&[("a", 2), ("b", 2)]);
        let owners = seat(VNodeBits::DEFAULT, &nodes);
        let rounds: Vec<&[u16]> = owners.chunks(4).take(4).collect();
        assert_eq!(rounds, [[0, 2, 1, 3], [1, 3, 0, 2], [0, 3, 1, 2], [1, 2, 0, 3]]);
    }

    #[test]
    fn every_shard_of_a_node_owns_its_share() {
        let bits = VNodeBits::DEFAULT;
        for (nodes, shards) in [(3, 3), (3, 4), (4, 2), (4, 4), (4, 8), (6, 4), (8, 8), (4, 32), (12, 8), (16, 16)] {
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
