//! What a ring promises, for clusters of many shapes.

use super::*;

/// So many nodes in each rack, called after it.
pub(in crate::ring) fn nodes_in_racks(racks: &[(&str, usize)]) -> Vec<RingNode> {
    let rack_nodes = |(rack, count): &(&str, usize)| {
        let rack = (*rack).to_owned();
        (0..*count).map(move |place| RingNode::new(&format!("{rack}{place:03}"), &rack))
    };
    racks.iter().flat_map(rack_nodes).collect()
}

fn ring(racks: &[(&str, usize)]) -> Ring {
    Ring::lay_out(VNodeBits::DEFAULT, nodes_in_racks(racks)).expect("a ring")
}

fn vnodes(ring: &Ring) -> impl Iterator<Item = VNode> {
    (0..ring.bits().count()).map(|vnode| VNode(vnode as u16))
}

/// Largest over mean.
fn imbalance(loads: impl Iterator<Item = usize> + Clone) -> f64 {
    let (sum, count) = (loads.clone().sum::<usize>(), loads.clone().count());
    loads.max().unwrap_or(0) as f64 * count as f64 / sum as f64
}

const SHAPES: [&[(&str, usize)]; 9] = [
    &[("a", 1)],
    &[("a", 3)],
    &[("a", 1), ("b", 1), ("c", 1)],
    &[("a", 2), ("b", 2), ("c", 2)],
    &[("a", 4), ("b", 4), ("c", 4)],
    &[("a", 3), ("b", 2), ("c", 2)],
    &[("a", 5), ("b", 5)],
    &[("a", 7)],
    &[("a", 40), ("b", 30), ("c", 30)],
];

#[test]
fn the_order_of_the_list_does_not_matter() {
    for shape in SHAPES {
        let nodes = nodes_in_racks(shape);
        let mut turned = nodes.clone();
        turned.reverse();
        let rings = [nodes, turned].map(|nodes| Ring::lay_out(VNodeBits::DEFAULT, nodes).expect("a ring"));
        assert_eq!(rings[0].lists, rings[1].lists);
        assert_eq!(rings[0].fingerprint(), rings[1].fingerprint());
    }
}

#[test]
fn everybody_owns_the_same_give_or_take_one() {
    for shape in SHAPES {
        let shares = ring(shape).shares(1);
        let owned = shares.iter().map(|share| share.owned);
        let (least, most) = (owned.clone().min().expect("some"), owned.max().expect("some"));
        assert!(most - least <= 1, "{shape:?}: {least} to {most}");
    }
}

#[test]
fn copies_are_spread_evenly_over_the_nodes_of_a_rack() {
    // A rack of few nodes keeps as much as one of many, so nodes are compared within theirs.
    for shape in &SHAPES[..8] {
        let ring = ring(shape);
        let shares = ring.shares(3);
        for (rack, _) in *shape {
            let is_there = |share: &&RingShare| ring.node(share.node).is_some_and(|node| node.rack == *rack);
            let imbalance = imbalance(shares.iter().filter(is_there).map(|share| share.held));
            assert!(imbalance < 1.03, "{shape:?}: the fullest node of {rack} holds {imbalance} of the mean");
        }
    }
}

#[test]
fn the_requests_of_a_node_that_is_down_go_to_many_others() {
    let ring = ring(SHAPES[4]);
    let down = ring.nodes()[0].id;
    let owned = vnodes(&ring).map(|vnode| ring.preference_list(vnode)).filter(|list| list[0] == down);
    let mut next: Vec<NodeId> = owned.map(|list| list[1]).collect();
    next.sort_unstable();
    next.dedup();
    assert!(next.len() >= 4, "only {} nodes stand in", next.len());
}

#[test]
fn primaries_are_distinct_nodes_and_of_as_many_racks_as_there_are() {
    for shape in SHAPES {
        let ring = ring(shape);
        for vnode in vnodes(&ring) {
            let list = ring.preference_list(vnode);
            assert_eq!(list.len(), ring.nodes().len().min(REPLICAS_MAX));
            let distinct: std::collections::BTreeSet<_> = list.iter().collect();
            assert_eq!(distinct.len(), list.len());
            let first = &list[..shape.len().min(list.len())];
            let racks: std::collections::BTreeSet<_> =
                first.iter().map(|id| &ring.node(*id).expect("a member").rack).collect();
            assert_eq!(racks.len(), first.len(), "{shape:?} {vnode:?}");
        }
    }
}

#[test]
fn the_owner_leads_the_list_and_every_member_is_found_by_its_number() {
    let ring = ring(SHAPES[8]);
    assert!(ring.nodes().iter().all(|node| ring.node(node.id) == Some(node)));
    assert_eq!(ring.node(NodeId(1)), None);
    let vnode = ring.vnode(Token(u128::MAX));
    assert_eq!(vnode, VNode(1023));
    assert_eq!(ring.owner(vnode), ring.preference_list(vnode)[0]);
}

#[test]
fn a_fingerprint_tells_racks_names_and_bits_apart() {
    let other_bits = Ring::lay_out(VNodeBits::new(9).expect("valid"), nodes_in_racks(SHAPES[2])).expect("a ring");
    let mut prints: Vec<u64> = SHAPES.iter().map(|shape| ring(shape).fingerprint()).collect();
    prints.push(other_bits.fingerprint());
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), SHAPES.len() + 1);
}

#[test]
fn lists_that_make_no_ring_are_refused_with_the_reason() {
    let lay_out = |nodes: Vec<RingNode>| Ring::lay_out(VNodeBits::new(2).expect("valid"), nodes).expect_err("no ring");
    assert_eq!(lay_out(vec![]), RingError::Empty);
    let twins = vec![RingNode::new("a", "r"), RingNode::new("a", "s")];
    assert_eq!(lay_out(twins), RingError::DuplicateName { name: "a".into() });
    assert_eq!(lay_out(nodes_in_racks(&[("a", 5)])), RingError::TooManyNodes { nodes: 5, vnodes: 4 });
    for (name, rack, bad) in [("", "r", ""), ("a b", "r", "a b"), ("a", "r/s", "r/s")] {
        assert_eq!(lay_out(vec![RingNode::new(name, rack)]), RingError::BadName { name: bad.into() });
    }
    let mut collision = nodes_in_racks(&[("a", 2)]);
    collision[1].id = collision[0].id;
    assert!(matches!(lay_out(collision), RingError::NumberCollision { .. }));
}

#[test]
fn a_ring_comes_back_from_its_owners() {
    for racks in SHAPES {
        let laid_out = ring(racks);
        let rebuilt = Ring::from_owners(laid_out.bits(), laid_out.nodes().to_vec(), &laid_out.owner_places());
        let rebuilt = rebuilt.expect("the owners of a ring make a ring");
        assert_eq!(rebuilt.fingerprint(), laid_out.fingerprint());
        for vnode in vnodes(&laid_out) {
            assert_eq!(rebuilt.preference_list(vnode), laid_out.preference_list(vnode));
        }
    }
}

#[test]
fn owners_that_do_not_fit_make_no_ring() {
    let laid_out = ring(&[("a", 3)]);
    let (bits, nodes, owners) = (laid_out.bits(), laid_out.nodes().to_vec(), laid_out.owner_places());
    let mut stranger = owners.clone();
    stranger[7] = 3;
    let mut unsorted = nodes.clone();
    unsorted.swap(0, 1);
    for (nodes, owners) in [(nodes.clone(), &owners[1..]), (nodes, &stranger), (unsorted, &owners)] {
        assert!(matches!(Ring::from_owners(bits, nodes, owners), Err(RingError::OwnersUnfit { .. })));
    }
}
