//! What the cluster looks like, for a client that wants to send each request to the core that owns its key.
//!
//! It names the nodes (where, how many cores, up or not), the owner of each vnode, and the keyspaces. From the owners
//! and the racks a client walks to the preference list of a vnode exactly as the nodes do.

use bytes::Bytes;

use super::reader::Reader;
use super::{DecodeError, Opcode, begin_frame};
use crate::limits::{KEYSPACE_NAME_BYTES_MAX, KEYSPACES_MAX, NODES_MAX, TEXT_BYTES_MAX};
use crate::node::NodeId;
use crate::ring::{Ring, RingError, RingNode, VNodeBits};
use crate::view::{ClusterView, ConflictPolicy, Keyspace};
use crate::wire::request::Level;

/// A node's bytes without its texts.
const NODE_BYTES_MIN: usize = 11;
/// A keyspace's bytes without its name.
const KEYSPACE_BYTES_MIN: usize = 5;
/// Bit 0 of a node's flags.
const FLAG_UP: u8 = 1;

/// A node as a client needs to know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopologyNode {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its availability zone.
    pub rack: String,
    /// Where clients reach it (`host:port`); `None` if the answering node has not heard yet.
    pub client_addr: Option<String>,
    /// Its cores; 0 if the answering node has not heard yet.
    pub shards: u16,
    /// Whether the answering node has a link to it (or is it).
    pub up: bool,
}

/// The cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopologyReply {
    /// Counts its changes.
    pub epoch: u64,
    /// b: there are 2^b vnodes.
    pub vnode_bits: VNodeBits,
    /// Members, sorted by name.
    pub nodes: Vec<TopologyNode>,
    /// For each vnode, the index of its owner in `nodes`. 2^b of them.
    pub owners: Vec<u16>,
    /// Sorted by name.
    pub keyspaces: Vec<Keyspace>,
}

/// What the answering node knows of a member beside its place on the ring.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acquaintance {
    /// As in [`TopologyNode::client_addr`].
    pub client_addr: Option<String>,
    /// As in [`TopologyNode::shards`].
    pub shards: u16,
    /// As in [`TopologyNode::up`].
    pub up: bool,
}

impl TopologyReply {
    /// The cluster of `view`, with what `known` tells about each of its nodes.
    pub fn of_view(view: &ClusterView, mut known: impl FnMut(NodeId) -> Acquaintance) -> TopologyReply {
        let mut describe = |node: &RingNode| {
            let Acquaintance { client_addr, shards, up } = known(node.id);
            TopologyNode { id: node.id, name: node.name.clone(), rack: node.rack.clone(), client_addr, shards, up }
        };
        TopologyReply {
            epoch: view.epoch,
            vnode_bits: view.ring.bits(),
            nodes: view.ring.nodes().iter().map(&mut describe).collect(),
            owners: view.ring.owner_places(),
            keyspaces: view.keyspaces.clone(),
        }
    }

    /// The ring itself, with the same preference lists as the nodes have.
    ///
    /// # Errors
    /// The nodes or owners make no ring; the answering node is at fault.
    pub fn ring(&self) -> Result<Ring, RingError> {
        let ring_node =
            |node: &TopologyNode| RingNode { id: node.id, name: node.name.clone(), rack: node.rack.clone() };
        Ring::from_owners(self.vnode_bits, self.nodes.iter().map(ring_node).collect(), &self.owners)
    }

    /// Appends the frame that answers a `TOPOLOGY` request.
    pub fn encode(&self, request_id: u32, out: &mut Vec<u8>) {
        let frame = begin_frame(out, Opcode::TopologyReply, request_id);
        self.append(out);
        frame.finish(out);
    }

    /// Reads the body of that frame.
    pub fn decode(body: Bytes) -> Result<TopologyReply, DecodeError> {
        let mut reader = Reader::new(body);
        let topology = TopologyReply::read(&mut reader)?;
        reader.finish()?;
        Ok(topology)
    }

    /// The bytes themselves, which a hello reply carries too.
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        assert_eq!(self.owners.len(), self.vnode_bits.count(), "one owner for each vnode");
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.push(self.vnode_bits.get());
        out.push(0);
        out.extend_from_slice(&(self.nodes.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.keyspaces.len() as u16).to_le_bytes());
        for node in &self.nodes {
            node.append(out);
        }
        for keyspace in &self.keyspaces {
            append_keyspace(keyspace, out);
        }
        for owner in &self.owners {
            out.extend_from_slice(&owner.to_le_bytes());
        }
    }

    pub(super) fn read(reader: &mut Reader) -> Result<TopologyReply, DecodeError> {
        let epoch = reader.u64("epoch")?;
        let bits = reader.u8("vnode bits")?;
        let vnode_bits =
            VNodeBits::new(bits).ok_or(DecodeError::BadValue { what: "vnode bits", found: u64::from(bits) })?;
        reader.zeros(1, "reserved byte of the topology")?;
        let node_count = usize::from(reader.u16("node count")?);
        let keyspace_count = usize::from(reader.u16("keyspace count")?);
        reader.check_count(node_count, NODES_MAX, NODE_BYTES_MIN, "nodes")?;
        let nodes = (0..node_count).map(|_| TopologyNode::read(reader)).collect::<Result<Vec<_>, _>>()?;
        reader.check_count(keyspace_count, KEYSPACES_MAX, KEYSPACE_BYTES_MIN, "keyspaces")?;
        let keyspaces = (0..keyspace_count).map(|_| read_keyspace(reader)).collect::<Result<Vec<_>, _>>()?;
        reader.check_count(vnode_bits.count(), vnode_bits.count(), 2, "owners")?;
        let owners = (0..vnode_bits.count()).map(|_| read_owner(reader, node_count)).collect::<Result<Vec<_>, _>>()?;
        Ok(TopologyReply { epoch, vnode_bits, nodes, owners, keyspaces })
    }
}

impl TopologyNode {
    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.shards.to_le_bytes());
        out.push(if self.up { FLAG_UP } else { 0 });
        out.push(0);
        append_text(&self.name, out);
        append_text(&self.rack, out);
        append_text(self.client_addr.as_deref().unwrap_or(""), out);
    }

    fn read(reader: &mut Reader) -> Result<TopologyNode, DecodeError> {
        let id = NodeId(reader.u32("node number")?);
        let shards = reader.u16("shards of a node")?;
        let up = match reader.u8("flags of a node")? {
            0 => false,
            FLAG_UP => true,
            found => return Err(DecodeError::BadValue { what: "flags of a node", found: u64::from(found) }),
        };
        reader.zeros(1, "reserved byte of a node")?;
        let name = read_text(reader, "node name")?;
        let rack = read_text(reader, "rack")?;
        let client_addr = Some(read_text(reader, "client address")?).filter(|addr| !addr.is_empty());
        Ok(TopologyNode { id, name, rack, client_addr, shards, up })
    }
}

fn append_keyspace(keyspace: &Keyspace, out: &mut Vec<u8>) {
    let policy = match keyspace.policy {
        ConflictPolicy::Lww => 1,
        ConflictPolicy::Siblings => 2,
    };
    out.extend_from_slice(&[keyspace.replicas, keyspace.read.code(), keyspace.write.code(), policy]);
    append_text(&keyspace.name, out);
}

fn read_keyspace(reader: &mut Reader) -> Result<Keyspace, DecodeError> {
    let replicas = reader.u8("replicas of a keyspace")?;
    let read = read_level(reader)?;
    let write = read_level(reader)?;
    let policy = match reader.u8("policy of a keyspace")? {
        1 => ConflictPolicy::Lww,
        2 => ConflictPolicy::Siblings,
        found => return Err(DecodeError::BadValue { what: "policy of a keyspace", found: u64::from(found) }),
    };
    let length = usize::from(reader.u8("keyspace name length")?);
    let name = reader.text(length, KEYSPACE_NAME_BYTES_MAX, "keyspace name")?;
    Ok(Keyspace { name, replicas, read, write, policy })
}

fn read_level(reader: &mut Reader) -> Result<Level, DecodeError> {
    let code = reader.u8("level of a keyspace")?;
    Level::from_code(code).ok_or(DecodeError::BadValue { what: "level of a keyspace", found: u64::from(code) })
}

fn read_owner(reader: &mut Reader, nodes: usize) -> Result<u16, DecodeError> {
    let owner = reader.u16("owner of a vnode")?;
    if usize::from(owner) >= nodes {
        return Err(DecodeError::BadValue { what: "owner of a vnode", found: u64::from(owner) });
    }
    Ok(owner)
}

/// `u8 length | text`. Names and addresses are bounded where they are configured.
pub(super) fn append_text(text: &str, out: &mut Vec<u8>) {
    let length = u8::try_from(text.len()).expect("names and addresses are bounded where they are configured");
    out.push(length);
    out.extend_from_slice(text.as_bytes());
}

/// The inverse of [`append_text`].
pub(super) fn read_text(reader: &mut Reader, what: &'static str) -> Result<String, DecodeError> {
    let length = usize::from(reader.u8(what)?);
    reader.text(length, TEXT_BYTES_MAX, what)
}
