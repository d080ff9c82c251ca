//! The kind of a message: one byte of the header.
//!
//! Requests of clients stand below 0x40, the reply to a request has bit 6 set, what peers say has bit 7 set.

/// Every opcode of version 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Client: the first frame of a connection.
    Hello = 0x01,
    /// Client: are you there?
    Ping = 0x02,
    /// Client: what does the cluster look like?
    Topology = 0x03,
    /// Client: what does this key hold?
    Get = 0x10,
    /// Client: let this key hold these bytes.
    Put = 0x11,
    /// Client: let this key hold nothing.
    Delete = 0x12,
    /// Client: many gets.
    BatchGet = 0x18,
    /// Client: many puts.
    BatchPut = 0x19,
    /// Client: many deletes.
    BatchDelete = 0x1a,
    /// Node: answers `Hello`.
    HelloReply = 0x41,
    /// Node: answers `Ping`.
    Pong = 0x42,
    /// Node: answers `Topology`.
    TopologyReply = 0x43,
    /// Node: answers `Get`, `Put`, `Delete`, and a batch that is refused as a whole.
    DataReply = 0x50,
    /// Node: answers a batch.
    BatchReply = 0x58,
    /// Node: the frame could not be understood.
    Error = 0x7f,
    /// Peer: the first frame of a link.
    PeerHello = 0x80,
    /// Peer: the link may be used.
    PeerWelcome = 0x81,
    /// Peer: the link may not be used, and why.
    PeerReject = 0x82,
    /// Peer: are you there?
    LinkPing = 0x83,
    /// Peer: I am.
    LinkPong = 0x84,
    /// Peer: [`crate::wire::peer::PeerMessage::Replicate`].
    Replicate = 0x90,
    /// Peer: its answer.
    Replicated = 0x91,
    /// Peer: [`crate::wire::peer::PeerMessage::Fetch`].
    Fetch = 0x92,
    /// Peer: its answer.
    Fetched = 0x93,
    /// Peer: [`crate::wire::peer::PeerMessage::Forward`].
    Forward = 0x94,
    /// Peer: its answer.
    Forwarded = 0x95,
    /// Peer: [`crate::wire::peer::PeerMessage::EpochTooOld`].
    EpochTooOld = 0x96,
}

impl Opcode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Opcode; 27] = [
        Opcode::Hello,
        Opcode::Ping,
        Opcode::Topology,
        Opcode::Get,
        Opcode::Put,
        Opcode::Delete,
        Opcode::BatchGet,
        Opcode::BatchPut,
        Opcode::BatchDelete,
        Opcode::HelloReply,
        Opcode::Pong,
        Opcode::TopologyReply,
        Opcode::DataReply,
        Opcode::BatchReply,
        Opcode::Error,
        Opcode::PeerHello,
        Opcode::PeerWelcome,
        Opcode::PeerReject,
        Opcode::LinkPing,
        Opcode::LinkPong,
        Opcode::Replicate,
        Opcode::Replicated,
        Opcode::Fetch,
        Opcode::Fetched,
        Opcode::Forward,
        Opcode::Forwarded,
        Opcode::EpochTooOld,
    ];

    /// The opcode of that number; `None` if version 1 has no such.
    pub fn from_number(number: u8) -> Option<Opcode> {
        // A table, because this stands in the path of every frame.
        const TABLE: [Option<Opcode>; 256] = {
            let mut table = [None; 256];
            let mut index = 0;
            while index < Opcode::ALL.len() {
                table[Opcode::ALL[index] as usize] = Some(Opcode::ALL[index]);
                index += 1;
            }
            table
        };
        TABLE[usize::from(number)]
    }
}
