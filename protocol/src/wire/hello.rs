//! The first words on a client's connection.
//!
//! The client says which versions it speaks and which core it would like to talk to; the node says which version it
//! is, who and how large it is, and what the cluster looks like, so that the client's next request goes to the right
//! core of the right node. `HELLO` and its reply always travel in frames of version 1, and bytes behind the fields
//! known here are skipped, so that later versions can still be understood when they introduce themselves.

use bytes::Bytes;
use core::time::Duration;

use super::reader::Reader;
use super::{DecodeError, Opcode, TopologyReply, begin_frame};
pub use crate::limits::HELLO_BODY_BYTES_MAX;
use crate::limits::{self, CLIENT_NAME_BYTES_MAX};
use crate::node::{NodeId, ShardIndex};

/// The protocol version that this code speaks.
pub const PROTOCOL_VERSION: u8 = 1;
/// On the wire: any shard will do.
const SHARD_ANY: u16 = u16::MAX;
/// On the wire: no authentication.
const MECHANISM_NONE: u8 = 0;

/// What a client says first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientHello {
    /// The lowest protocol version it speaks.
    pub version_min: u8,
    /// The highest.
    pub version_max: u8,
    /// The core it wants to talk to; `None` lets the node choose.
    pub wanted_shard: Option<ShardIndex>,
    /// For logs: at most [`CLIENT_NAME_BYTES_MAX`] bytes are sent.
    pub client_name: String,
}

impl ClientHello {
    /// A hello of this version.
    pub fn new(client_name: &str, wanted_shard: Option<ShardIndex>) -> ClientHello {
        let client_name = client_name.to_owned();
        ClientHello { version_min: PROTOCOL_VERSION, version_max: PROTOCOL_VERSION, wanted_shard, client_name }
    }

    /// The highest version that both sides speak.
    pub fn common_version(&self) -> Option<u8> {
        (self.version_min..=self.version_max).contains(&PROTOCOL_VERSION).then_some(PROTOCOL_VERSION)
    }
}

/// What the node accepts. Each is told so that a client can refuse early what the node would refuse late.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest frame body, in bytes.
    pub frame_body_bytes_max: u32,
    /// Longest key, in bytes.
    pub key_bytes_max: u32,
    /// Longest value, in bytes.
    pub value_bytes_max: u32,
    /// Longest context, in bytes.
    pub context_bytes_max: u32,
    /// Items of one batch.
    pub batch_items_max: u32,
    /// Requests of this connection that may be unanswered; beyond it the node stops reading for a while.
    pub in_flight_max: u32,
    /// Longest timeout of a request.
    pub timeout_max: Duration,
}

impl Limits {
    /// Those of [`crate::limits`].
    pub const OURS: Limits = Limits {
        frame_body_bytes_max: limits::FRAME_BODY_BYTES_MAX as u32,
        key_bytes_max: limits::KEY_BYTES_MAX as u32,
        value_bytes_max: limits::VALUE_BYTES_MAX as u32,
        context_bytes_max: limits::CONTEXT_BYTES_MAX as u32,
        batch_items_max: limits::BATCH_ITEMS_MAX as u32,
        in_flight_max: limits::CONNECTION_IN_FLIGHT_MAX as u32,
        timeout_max: limits::REQUEST_TIMEOUT_MAX,
    };
}

/// What the node answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerHello {
    /// The version that the connection speaks from now on.
    pub version: u8,
    /// The node's number.
    pub node: NodeId,
    /// Its name.
    pub node_name: String,
    /// The cluster's number.
    pub cluster_id: u64,
    /// The core that answers on this connection.
    pub shard: ShardIndex,
    /// How many the node has.
    pub shards: u16,
    /// What it accepts.
    pub limits: Limits,
    /// What the cluster looks like.
    pub topology: TopologyReply,
}

impl ClientHello {
    /// Appends the frame.
    pub fn encode(&self, request_id: u32, out: &mut Vec<u8>) {
        let name = &self.client_name[..self.client_name.floor_char_boundary(CLIENT_NAME_BYTES_MAX)];
        let frame = begin_frame(out, Opcode::Hello, request_id);
        out.extend_from_slice(&[self.version_min, self.version_max]);
        out.extend_from_slice(&self.wanted_shard.map_or(SHARD_ANY, |shard| shard.0).to_le_bytes());
        out.extend_from_slice(&[MECHANISM_NONE, name.len() as u8]);
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        frame.finish(out);
    }

    /// Reads the body.
    pub fn decode(body: Bytes) -> Result<ClientHello, DecodeError> {
        let mut reader = Reader::new(body);
        let version_min = reader.u8("lowest version")?;
        let version_max = reader.u8("highest version")?;
        let shard = reader.u16("wanted shard")?;
        let mechanism = reader.u8("authentication mechanism")?;
        let name_bytes = usize::from(reader.u8("client name length")?);
        let authentication_bytes = reader.u16("authentication length")?;
        if mechanism != MECHANISM_NONE || authentication_bytes != 0 {
            return Err(DecodeError::BadValue { what: "authentication mechanism", found: u64::from(mechanism) });
        }
        let client_name = reader.text(name_bytes, CLIENT_NAME_BYTES_MAX, "client name")?;
        let wanted_shard = (shard != SHARD_ANY).then_some(ShardIndex(shard));
        // What follows belongs to a later version, which says so in `version_max`.
        Ok(ClientHello { version_min, version_max, wanted_shard, client_name })
    }
}

impl ServerHello {
    /// Appends the frame.
    pub fn encode(&self, request_id: u32, out: &mut Vec<u8>) {
        let frame = begin_frame(out, Opcode::HelloReply, request_id);
        out.extend_from_slice(&[self.version, 0]);
        out.extend_from_slice(&self.shard.0.to_le_bytes());
        out.extend_from_slice(&self.shards.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.extend_from_slice(&self.cluster_id.to_le_bytes());
        self.limits.append(out);
        super::topology_reply::append_text(&self.node_name, out);
        self.topology.append(out);
        frame.finish(out);
    }

    /// Reads the body.
    pub fn decode(body: Bytes) -> Result<ServerHello, DecodeError> {
        let mut reader = Reader::new(body);
        let version = reader.u8("version")?;
        reader.u8("reserved byte")?;
        let shard = ShardIndex(reader.u16("shard")?);
        let shards = reader.u16("shards")?;
        reader.u16("reserved field")?;
        let node = NodeId(reader.u32("node")?);
        let cluster_id = reader.u64("cluster id")?;
        let limits = Limits::read(&mut reader)?;
        let node_name = super::topology_reply::read_text(&mut reader, "node name")?;
        let topology = TopologyReply::read(&mut reader)?;
        Ok(ServerHello { version, node, node_name, cluster_id, shard, shards, limits, topology })
    }
}

impl Limits {
    fn append(&self, out: &mut Vec<u8>) {
        let timeout_millis = u32::try_from(self.timeout_max.as_millis()).unwrap_or(u32::MAX);
        for number in [
            self.frame_body_bytes_max,
            self.key_bytes_max,
            self.value_bytes_max,
            self.context_bytes_max,
            self.batch_items_max,
            self.in_flight_max,
            timeout_millis,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn read(reader: &mut Reader) -> Result<Limits, DecodeError> {
        Ok(Limits {
            frame_body_bytes_max: reader.u32("longest frame body")?,
            key_bytes_max: reader.u32("longest key")?,
            value_bytes_max: reader.u32("longest value")?,
            context_bytes_max: reader.u32("longest context")?,
            batch_items_max: reader.u32("largest batch")?,
            in_flight_max: reader.u32("requests in flight")?,
            timeout_max: Duration::from_millis(u64::from(reader.u32("longest timeout")?)),
        })
    }
}
