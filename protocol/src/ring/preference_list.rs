//! Who keeps a copy: the walk around the ring.
//!
//! From its vnode on, a key's copies go to the nodes met on the way, each once, and first to those whose rack has no
//! copy yet. All lists of a ring are worked out in one walk backwards: whoever owns the vnode just passed moves to the
//! front of a queue, so that the queue always names the nodes in the order in which a walk forwards would meet them.

use crate::node::NodeId;

/// The lists of all vnodes, one after the other in one flat row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PreferenceLists {
    length: usize,
    nodes: Vec<NodeId>,
}

/// A node as the walk sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// Whom to put on the list.
    pub(super) id: NodeId,
    /// The index of its rack.
    pub(super) rack: usize,
}

impl PreferenceLists {
    /// Works out lists of `length` nodes (at most `stops.len()`) for each of `owners`, which are indices in `stops`.
    /// Nodes that own nothing come last.
    pub(super) fn walk(owners: &[u16], stops: &[Stop], length: usize) -> PreferenceLists {
        let mut lists = PreferenceLists { length, nodes: vec![NodeId::default(); owners.len() * length] };
        let mut queue: Vec<u16> = (0u16..).take(stops.len()).collect();
        // The first turn only brings the queue into order, for the ring has no end.
        for owner in owners.iter().rev() {
            move_to_front(&mut queue, *owner);
        }
        let mut is_rack_seen = vec![false; stops.len()];
        for (vnode, owner) in owners.iter().enumerate().rev() {
            move_to_front(&mut queue, *owner);
            is_rack_seen.fill(false);
            fill(&mut lists.nodes[vnode * length..][..length], &queue, stops, &mut is_rack_seen);
        }
        lists
    }

    /// The list of one vnode.
    #[inline]
    pub(super) fn of(&self, vnode: usize) -> &[NodeId] {
        &self.nodes[vnode * self.length..][..self.length]
    }

    /// Nodes on each list.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

fn move_to_front(queue: &mut [u16], node: u16) {
    let place = queue.iter().position(|queued| *queued == node).expect("every node stands in the queue");
    queue[..=place].rotate_right(1);
}

/// Nodes of racks not yet seen first, then the skipped ones, both in the order of the queue.
fn fill(list: &mut [NodeId], queue: &[u16], stops: &[Stop], is_rack_seen: &mut [bool]) {
    let mut filled = 0;
    for stop in queue.iter().map(|node| stops[usize::from(*node)]) {
        if filled == list.len() {
            return;
        }
        if !core::mem::replace(&mut is_rack_seen[stop.rack], true) {
            list[filled] = stop.id;
            filled += 1;
        }
    }
    let firsts = filled;
    for stop in queue.iter().map(|node| stops[usize::from(*node)]) {
        if filled == list.len() {
            return;
        }
        if !list[..firsts].contains(&stop.id) {
            list[filled] = stop.id;
            filled += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Racks by letter: node i has the i-th letter of `racks`; `owners` names nodes by digit.
    fn check(racks: &str, owners: &str, length: usize, expected: &[&str]) {
        let stop = |(id, rack): (u32, u8)| Stop { id: NodeId(id), rack: usize::from(rack - b'a') };
        let stops: Vec<Stop> = (0..).zip(racks.bytes()).map(stop).collect();
        let owners: Vec<u16> = owners.bytes().map(|digit| u16::from(digit - b'0')).collect();
        let lists = PreferenceLists::walk(&owners, &stops, length);
        for (vnode, expected) in expected.iter().enumerate() {
            let found: String = lists.of(vnode).iter().map(|node| node.0.to_string()).collect();
            assert_eq!(found, *expected, "vnode {vnode} of racks {racks}");
        }
    }

    #[test]
    fn the_walk_takes_each_node_once_and_wraps_around() {
        check("abc", "0120", 3, &["012", "120", "201", "012"]);
    }

    #[test]
    fn a_new_rack_goes_before_a_nearer_node() {
        check("aab", "012", 3, &["021", "120", "201"]);
        check("aabb", "0123", 3, &["021", "123", "203", "301"]);
    }

    #[test]
    fn one_rack_for_all_is_a_plain_walk() {
        check("aaa", "021", 3, &["021", "210", "102"]);
    }

    #[test]
    fn a_list_may_be_shorter_than_the_ring_has_nodes() {
        check("abab", "0123", 2, &["01", "12", "23", "30"]);
    }
}
