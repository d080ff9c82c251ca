//! The first words between nodes.
//!
//! Two nodes that disagree about the cluster would put keys in different places, so nothing is said over a link before
//! both have shown the same cluster, ring and keyspaces. A refusal names the reason and the remedy.
//!
//! The hello's fields travel as an rkyv archive behind a layout number. The archived struct of a layout is frozen: a
//! change makes a new layout with a struct of its own. The answers are a few plain fields, written by hand.

use bytes::Bytes;
use rkyv::rancor::Error as ArchiveError;
use rkyv::util::AlignedVec;

use super::error_reply::{append_message, read_message};
use super::reader::Reader;
use super::topology_reply::{append_text, read_text};
use super::{DecodeError, Opcode, begin_frame};
pub use crate::limits::PEER_HELLO_BODY_BYTES_MAX;
use crate::limits::TEXT_BYTES_MAX;
use crate::node::{NodeId, ShardIndex};

/// The peer protocol's version that this code speaks.
pub const PEER_VERSION: u8 = 1;
/// The layout of the archive: [`PeerHelloV1`].
const LAYOUT_V1: u16 = 1;

/// What the node that opens a link says first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerHello {
    /// The lowest peer protocol version it speaks.
    pub version_min: u8,
    /// The highest.
    pub version_max: u8,
    /// The cluster it belongs to.
    pub cluster_id: u64,
    /// [`crate::ring::Ring::fingerprint`] of its ring.
    pub ring_fingerprint: u64,
    /// A number made from its keyspaces.
    pub keyspace_fingerprint: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Its wall clock in Unix milliseconds.
    pub clock_millis: u64,
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Its rack.
    pub rack: String,
    /// The core that opens the link.
    pub shard: ShardIndex,
    /// How many it has.
    pub shards: u16,
    /// Where its clients reach it; `None` if it does not say.
    pub client_addr: Option<String>,
    /// The node it wants to reach.
    pub target_node: NodeId,
    /// The core it wants to reach; if there are fewer, the target answers with the number it has and any core.
    pub target_shard: ShardIndex,
}

/// The archived fields of layout 1. Frozen: a golden file pins its bytes.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Debug)]
struct PeerHelloV1 {
    cluster_id: u64,
    ring_fingerprint: u64,
    keyspace_fingerprint: u64,
    epoch: u64,
    clock_millis: u64,
    node: u32,
    target_node: u32,
    shard: u16,
    shards: u16,
    target_shard: u16,
    version_min: u8,
    version_max: u8,
    name: String,
    rack: String,
    client_addr: String,
}

/// The link may be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerWelcome {
    /// The version that the link speaks from now on.
    pub version: u8,
    /// Who answers.
    pub node: NodeId,
    /// Its core.
    pub shard: ShardIndex,
    /// How many it has.
    pub shards: u16,
    /// Its epoch.
    pub epoch: u64,
    /// Its wall clock in Unix milliseconds.
    pub clock_millis: u64,
    /// Where its clients reach it; `None` if it does not say.
    pub client_addr: Option<String>,
}

/// Why a link may not be used. The numbers are the wire's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u16)]
pub enum RejectReason {
    /// No common version: bring one of the two nodes up to date.
    Version = 1,
    /// Another cluster: the address is wrong, or the data directory is of another cluster.
    OtherCluster = 2,
    /// Nodes, racks or the number of vnodes differ: give both nodes the same list.
    OtherRing = 3,
    /// The keyspaces differ: give both nodes the same ones.
    OtherKeyspaces = 4,
    /// The caller is not in the list of nodes.
    UnknownNode = 5,
    /// The node at this address is not the one that was called: an address in the list is wrong.
    WrongTarget = 6,
    /// The hello could not be read.
    Malformed = 7,
    /// The node takes no further links now; trying again later helps.
    Busy = 8,
    /// The node is stopping.
    Stopping = 9,
}

/// A link refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerReject {
    /// Why.
    pub reason: RejectReason,
    /// For the operator: what was expected, what was found, what to do.
    pub message: String,
}

impl RejectReason {
    /// The reason of that number.
    pub fn from_number(number: u16) -> Option<RejectReason> {
        use RejectReason::*;
        const ALL: [RejectReason; 9] =
            [Version, OtherCluster, OtherRing, OtherKeyspaces, UnknownNode, WrongTarget, Malformed, Busy, Stopping];
        ALL.into_iter().find(|reason| *reason as u16 == number)
    }
}

impl PeerHello {
    /// The highest version that both sides speak.
    pub fn common_version(&self) -> Option<u8> {
        (self.version_min..=self.version_max).contains(&PEER_VERSION).then_some(PEER_VERSION)
    }

    /// Appends the frame: `u16 layout | u16 zero | u32 archive bytes | archive`. The length is there because an archive
    /// is read from its end, so that it could not tell by itself that a piece of it is missing.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let archive = rkyv::to_bytes::<ArchiveError>(&PeerHelloV1::of(self))
            .expect("numbers and short texts always have an archive");
        let frame = begin_frame(out, Opcode::PeerHello, 0);
        out.extend_from_slice(&LAYOUT_V1.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(archive.len() as u32).to_le_bytes());
        out.extend_from_slice(&archive);
        frame.finish(out);
    }

    /// Reads the body. The archive is checked in full before a field of it is believed.
    pub fn decode(body: Bytes) -> Result<PeerHello, DecodeError> {
        if body.len() > PEER_HELLO_BODY_BYTES_MAX {
            let (found, max) = (body.len(), PEER_HELLO_BODY_BYTES_MAX);
            return Err(DecodeError::TooLong { what: "peer hello", found, max });
        }
        let mut reader = Reader::new(body);
        let layout = reader.u16("layout of a peer hello")?;
        if layout != LAYOUT_V1 {
            return Err(DecodeError::BadValue { what: "layout of a peer hello", found: u64::from(layout) });
        }
        reader.zeros(2, "reserved bytes of a peer hello")?;
        let archive_bytes = reader.length("archive length")?;
        let archive = reader.bytes(archive_bytes, "archive of a peer hello")?;
        reader.finish()?;
        // An archive is read at addresses that suit its fields; the read buffer's may not.
        let mut aligned = AlignedVec::<8>::with_capacity(archive.len());
        aligned.extend_from_slice(&archive);
        match rkyv::from_bytes::<PeerHelloV1, ArchiveError>(&aligned) {
            Ok(hello) => hello.into_hello(),
            Err(_) => Err(DecodeError::BadValue { what: "archive of a peer hello", found: archive.len() as u64 }),
        }
    }
}

impl PeerHelloV1 {
    fn of(hello: &PeerHello) -> PeerHelloV1 {
        PeerHelloV1 {
            cluster_id: hello.cluster_id,
            ring_fingerprint: hello.ring_fingerprint,
            keyspace_fingerprint: hello.keyspace_fingerprint,
            epoch: hello.epoch,
            clock_millis: hello.clock_millis,
            node: hello.node.0,
            target_node: hello.target_node.0,
            shard: hello.shard.0,
            shards: hello.shards,
            target_shard: hello.target_shard.0,
            version_min: hello.version_min,
            version_max: hello.version_max,
            name: hello.name.clone(),
            rack: hello.rack.clone(),
            client_addr: hello.client_addr.clone().unwrap_or_default(),
        }
    }

    /// Texts are bounded here, because they travel on: to clients, in topologies.
    fn into_hello(self) -> Result<PeerHello, DecodeError> {
        for (what, text) in [("node name", &self.name), ("rack", &self.rack), ("client address", &self.client_addr)] {
            if text.len() > TEXT_BYTES_MAX {
                return Err(DecodeError::TooLong { what, found: text.len(), max: TEXT_BYTES_MAX });
            }
        }
        Ok(PeerHello {
            version_min: self.version_min,
            version_max: self.version_max,
            cluster_id: self.cluster_id,
            ring_fingerprint: self.ring_fingerprint,
            keyspace_fingerprint: self.keyspace_fingerprint,
            epoch: self.epoch,
            clock_millis: self.clock_millis,
            node: NodeId(self.node),
            name: self.name,
            rack: self.rack,
            shard: ShardIndex(self.shard),
            shards: self.shards,
            client_addr: Some(self.client_addr).filter(|addr| !addr.is_empty()),
            target_node: NodeId(self.target_node),
            target_shard: ShardIndex(self.target_shard),
        })
    }
}

impl PeerWelcome {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let frame = begin_frame(out, Opcode::PeerWelcome, 0);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.clock_millis.to_le_bytes());
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.extend_from_slice(&self.shard.0.to_le_bytes());
        out.extend_from_slice(&self.shards.to_le_bytes());
        out.push(self.version);
        append_text(self.client_addr.as_deref().unwrap_or(""), out);
        frame.finish(out);
    }

    /// Reads the body.
    pub fn decode(body: Bytes) -> Result<PeerWelcome, DecodeError> {
        let mut reader = Reader::new(body);
        let epoch = reader.u64("epoch")?;
        let clock_millis = reader.u64("clock")?;
        let node = NodeId(reader.u32("node")?);
        let shard = ShardIndex(reader.u16("shard")?);
        let shards = reader.u16("shards")?;
        let version = reader.u8("version")?;
        let client_addr = Some(read_text(&mut reader, "client address")?).filter(|addr| !addr.is_empty());
        reader.finish()?;
        Ok(PeerWelcome { version, node, shard, shards, epoch, clock_millis, client_addr })
    }
}

impl PeerReject {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let frame = begin_frame(out, Opcode::PeerReject, 0);
        out.extend_from_slice(&(self.reason as u16).to_le_bytes());
        append_message(&self.message, out);
        frame.finish(out);
    }

    /// Reads the body.
    pub fn decode(body: Bytes) -> Result<PeerReject, DecodeError> {
        let mut reader = Reader::new(body);
        let number = reader.u16("reason")?;
        let reason = RejectReason::from_number(number)
            .ok_or(DecodeError::BadValue { what: "reason", found: u64::from(number) })?;
        let message = read_message(&mut reader)?;
        reader.finish()?;
        Ok(PeerReject { reason, message })
    }
}
