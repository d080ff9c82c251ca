//! The ring itself: nodes, racks, the owner of each vnode, and every preference list worked out in advance.
//!
//! A lookup is a shift and a slice: nothing is searched or allocated where requests pass.

use super::preference_list::{PreferenceLists, Stop};
use super::{Token, VNode, VNodeBits, seating};
use crate::limits::{NODE_NAME_BYTES_MAX, REPLICAS_MAX};
use crate::node::NodeId;

/// A member of the ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RingNode {
    /// Number made from the name.
    pub id: NodeId,
    /// 1 to [`NODE_NAME_BYTES_MAX`] bytes of `[A-Za-z0-9._-]`.
    pub name: String,
    /// The availability zone, with the letters of a name; replicas avoid sharing one.
    pub rack: String,
}

impl RingNode {
    /// The node called `name` in `rack`, with the number that its name gives it.
    pub fn new(name: &str, rack: &str) -> RingNode {
        RingNode { id: NodeId::of_name(name), name: name.to_owned(), rack: rack.to_owned() }
    }
}

/// Why a list of nodes makes no ring. None of these heals by trying again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RingError {
    /// There is nobody.
    #[error("a ring needs at least one node")]
    Empty,
    /// There would be nodes that own nothing.
    #[error("{nodes} nodes cannot share {vnodes} virtual nodes")]
    TooManyNodes {
        /// Nodes on the list.
        nodes: usize,
        /// Slices of the ring.
        vnodes: usize,
    },
    /// A name of a node or rack that is empty, too long or has other letters.
    #[error("{name:?} is no name for a node or rack: 1 to {NODE_NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -")]
    BadName {
        /// The name.
        name: String,
    },
    /// A list of owners that names strangers, or not one for each vnode, or whose nodes do not stand in order.
    #[error("{owners} owners, of nodes in the order of their names, were to be given for {vnodes} vnodes")]
    OwnersUnfit {
        /// How many there are.
        owners: usize,
        /// How many there must be.
        vnodes: usize,
    },
    /// Two nodes have one name.
    #[error("the node name {name:?} occurs twice")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Two names have one number.
    #[error("the node names {first:?} and {second:?} have the same number; rename one")]
    NumberCollision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

/// Who owns which slice, and who comes next.
#[derive(Clone, Debug)]
pub struct Ring {
    bits: VNodeBits,
    nodes: Vec<RingNode>,
    /// Places in `nodes`, sorted by number.
    by_number: Vec<(NodeId, u16)>,
    lists: PreferenceLists,
    fingerprint: u64,
}

/// How much of the ring one node carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingShare {
    /// The node.
    pub node: NodeId,
    /// Vnodes whose preference list it leads.
    pub owned: usize,
    /// Vnodes of which it is one of the first N, so that it keeps their keys.
    pub held: usize,
}

impl Ring {
    /// Lays out a new ring: vnodes dealt to the nodes so that each owns the same number (give or take one) and
    /// neighbours on the ring are of different racks as far as possible. The same set gives the same ring on every
    /// node, in whatever order it is listed.
    pub fn lay_out(bits: VNodeBits, mut nodes: Vec<RingNode>) -> Result<Ring, RingError> {
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let by_number = check_and_number(bits, &nodes)?;
        let owners = seating::seat(bits, &nodes);
        Ok(Ring::assemble(bits, nodes, by_number, &owners))
    }

    /// The ring that somebody else laid out, from what a topology reply tells: `owners` names the owner of each vnode
    /// by its place in `nodes`, which stand in the order of their names.
    pub fn from_owners(bits: VNodeBits, nodes: Vec<RingNode>, owners: &[u16]) -> Result<Ring, RingError> {
        let by_number = check_and_number(bits, &nodes)?;
        let are_sorted = nodes.is_sorted_by(|a, b| a.name < b.name);
        let are_members = owners.iter().all(|owner| usize::from(*owner) < nodes.len());
        if !are_sorted || !are_members || owners.len() != bits.count() {
            return Err(RingError::OwnersUnfit { owners: owners.len(), vnodes: bits.count() });
        }
        Ok(Ring::assemble(bits, nodes, by_number, owners))
    }

    fn assemble(bits: VNodeBits, nodes: Vec<RingNode>, by_number: Vec<(NodeId, u16)>, owners: &[u16]) -> Ring {
        let lists = PreferenceLists::walk(owners, &stops(&nodes), nodes.len().min(REPLICAS_MAX));
        let fingerprint = fingerprint(bits, &nodes, owners);
        Ring { bits, nodes, by_number, lists, fingerprint }
    }

    /// b.
    pub fn bits(&self) -> VNodeBits {
        self.bits
    }

    /// Members, sorted by name.
    pub fn nodes(&self) -> &[RingNode] {
        &self.nodes
    }

    /// The member of that number.
    pub fn node(&self, id: NodeId) -> Option<&RingNode> {
        let place = self.by_number.binary_search_by_key(&id, |(number, _)| *number).ok()?;
        self.nodes.get(usize::from(self.by_number[place].1))
    }

    /// The slice of a token.
    #[inline]
    pub fn vnode(&self, token: Token) -> VNode {
        self.bits.vnode(token)
    }

    /// The place in [`Ring::nodes`] of the owner of each vnode, from which [`Ring::from_owners`] makes this ring again.
    pub fn owner_places(&self) -> Vec<u16> {
        let place_of = |id: &NodeId| self.by_number.binary_search_by_key(id, |(number, _)| *number);
        let owner_of = |vnode: usize| &self.lists.of(vnode)[0];
        (0..self.bits.count())
            .map(|vnode| self.by_number[place_of(owner_of(vnode)).expect("lists name members")].1)
            .collect()
    }

    /// The owner of a slice.
    #[inline]
    pub fn owner(&self, vnode: VNode) -> NodeId {
        self.preference_list(vnode)[0]
    }

    /// Distinct nodes in the order in which they keep copies of the slice: the first N are the primaries, the rest the
    /// fallbacks. As long as min(nodes, [`REPLICAS_MAX`]).
    ///
    /// # Panics
    /// If `vnode` is not of this ring.
    #[inline]
    pub fn preference_list(&self, vnode: VNode) -> &[NodeId] {
        self.lists.of(usize::from(vnode.0))
    }

    /// What each node carries when keys have `replicas` copies, in the order of [`Ring::nodes`].
    pub fn shares(&self, replicas: usize) -> Vec<RingShare> {
        let share_of = |node: &RingNode| RingShare { node: node.id, owned: 0, held: 0 };
        let mut shares: Vec<RingShare> = self.nodes.iter().map(share_of).collect();
        let replicas = replicas.min(self.lists.length());
        for vnode in 0..self.bits.count() {
            for (place, id) in self.lists.of(vnode)[..replicas].iter().enumerate() {
                let number = self.by_number.binary_search_by_key(id, |(number, _)| *number);
                let share = &mut shares[usize::from(self.by_number[number.expect("lists name members")].1)];
                share.owned += usize::from(place == 0);
                share.held += 1;
            }
        }
        shares
    }

    /// A number that is equal exactly if bits, names, racks and owners are (XXH3-64 of their canonical bytes).
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// Refuses what makes no ring; `nodes` are sorted by name.
fn check_and_number(bits: VNodeBits, nodes: &[RingNode]) -> Result<Vec<(NodeId, u16)>, RingError> {
    if nodes.is_empty() {
        return Err(RingError::Empty);
    }
    if nodes.len() > bits.count() {
        return Err(RingError::TooManyNodes { nodes: nodes.len(), vnodes: bits.count() });
    }
    if let Some(name) = nodes.iter().flat_map(|node| [&node.name, &node.rack]).find(|name| !is_name(name)) {
        return Err(RingError::BadName { name: name.clone() });
    }
    if let Some(twins) = nodes.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(RingError::DuplicateName { name: twins[0].name.clone() });
    }
    let mut by_number: Vec<(NodeId, u16)> = nodes.iter().map(|node| node.id).zip(0..).collect();
    by_number.sort_unstable();
    if let Some(pair) = by_number.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let name = |place: usize| nodes[usize::from(pair[place].1)].name.clone();
        return Err(RingError::NumberCollision { first: name(0), second: name(1) });
    }
    Ok(by_number)
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NODE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_letter)
}

fn stops(nodes: &[RingNode]) -> Vec<Stop> {
    let mut racks: Vec<&str> = nodes.iter().map(|node| node.rack.as_str()).collect();
    racks.sort_unstable();
    racks.dedup();
    let rack_of = |node: &RingNode| racks.binary_search(&node.rack.as_str()).expect("every rack is listed");
    nodes.iter().map(|node| Stop { id: node.id, rack: rack_of(node) }).collect()
}

/// Canonical bytes: `u8 bits | u16 nodes | nodes x (u16 length, name, u16 length, rack) | 2^b x u16 owner's place`.
fn fingerprint(bits: VNodeBits, nodes: &[RingNode], owners: &[u16]) -> u64 {
    let mut bytes = vec![bits.get()];
    bytes.extend((nodes.len() as u16).to_le_bytes());
    for text in nodes.iter().flat_map(|node| [&node.name, &node.rack]) {
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.extend(owners.iter().flat_map(|owner| owner.to_le_bytes()));
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
pub(super) mod tests;
