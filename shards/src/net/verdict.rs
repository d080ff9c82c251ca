//! Who may come in: what a first frame says, held against what this node is.
//!
//! A client must say HELLO in a version we speak. A peer must be of our cluster, with our ring and our keyspaces: two nodes
//! that disagree there would put keys in different places. Each refusal says what its reader can do about it.

use rondo_protocol::node::{PeerShard, ShardIndex};
use rondo_protocol::wire::error_reply::{ErrorCode, ErrorReply};
use rondo_protocol::wire::hello::HELLO_BODY_BYTES_MAX;
use rondo_protocol::wire::peer_hello::PEER_HELLO_BODY_BYTES_MAX;
use rondo_protocol::wire::{
    ClientHello, ClientMessage, Decoded, Frame, PeerFrame, PeerHello, PeerReject, RejectReason, decode_client,
    decode_peer,
};

use super::listener::Door;
use crate::mesh::Greeting;
use crate::shard::Shard;

/// What to do with a connection whose first frame was read.
pub(super) enum Verdict {
    /// It goes to `shard`.
    Welcome { shard: ShardIndex, said: Greeting },
    /// It is told why not, in these bytes, and closed.
    Refuse(Vec<u8>),
}

impl Shard {
    /// Judges the first frame of a connection.
    pub(super) fn judge(&mut self, door: Door, frame: Frame) -> Verdict {
        match door {
            Door::Clients => self.judge_client(frame),
            Door::Peers => self.judge_peer(frame),
        }
    }

    fn judge_client(&mut self, Frame { header, body }: Frame) -> Verdict {
        let request_id = header.request_id;
        let hello = match decode_client(header, body) {
            Ok(Decoded::Message(ClientMessage::Hello(hello))) => hello,
            Ok(_) => return refuse(ErrorCode::HelloExpected, "the first frame must be HELLO", request_id),
            Err(error) => return refuse(ErrorReply::of_decode(&error).code, &error.to_string(), request_id),
        };
        if hello.common_version().is_none() {
            let ClientHello { version_min, version_max, .. } = hello;
            let message = format!("this node speaks version 1, the client {version_min} to {version_max}");
            return refuse(ErrorCode::Version, &message, request_id);
        }
        let shards = self.facts.shards.get();
        let shard = match hello.wanted_shard {
            Some(wanted) => ShardIndex(wanted.0 % shards),
            None => self.arrivals.any_shard(shards),
        };
        Verdict::Welcome { shard, said: Greeting::Client { request_id } }
    }

    fn judge_peer(&mut self, Frame { header, body }: Frame) -> Verdict {
        let hello = match decode_peer(header, body) {
            Ok(PeerFrame::Hello(hello)) => hello,
            Ok(_) => return reject(RejectReason::Malformed, "the first frame of a link must be PEER_HELLO".to_owned()),
            Err(error) => return reject(RejectReason::Malformed, error.to_string()),
        };
        match self.objection_to(&hello) {
            Some((reason, message)) => reject(reason, message),
            None => Verdict::Welcome {
                shard: ShardIndex(hello.target_shard.0 % self.facts.shards),
                said: Greeting::Peer { from: PeerShard { node: hello.node, shard: hello.shard } },
            },
        }
    }

    /// Why a link may not be used, and what its operator can do.
    fn objection_to(&self, hello: &PeerHello) -> Option<(RejectReason, String)> {
        let (facts, view) = (&self.facts, &self.facts.view);
        let me = &facts.name;
        if hello.common_version().is_none() {
            Some((RejectReason::Version, format!("{me} speaks version 1: bring one of the two nodes up to date")))
        } else if hello.cluster_id != view.cluster_id {
            Some((RejectReason::OtherCluster, format!("{me} is of another cluster: check cluster name and addresses")))
        } else if hello.target_node != view.me {
            Some((RejectReason::WrongTarget, format!("this is {me}: its address is in the list under another name")))
        } else if view.ring.node(hello.node).is_none() || hello.node == view.me {
            let caller = &hello.name;
            Some((RejectReason::UnknownNode, format!("{caller:?} is not in the list of nodes of {me}: add it there")))
        } else if hello.ring_fingerprint != facts.ring_fingerprint {
            let remedy = "names, racks or the number of vnodes differ: give all nodes the same list";
            Some((RejectReason::OtherRing, format!("{me} has another ring: {remedy}")))
        } else if hello.keyspace_fingerprint != facts.keyspace_fingerprint {
            Some((RejectReason::OtherKeyspaces, format!("{me} has other keyspaces: give all nodes the same ones")))
        } else {
            None
        }
    }
}

impl Door {
    /// Longest body of a first frame.
    pub(super) fn first_body_bytes_max(self) -> usize {
        match self {
            Door::Clients => HELLO_BODY_BYTES_MAX,
            Door::Peers => PEER_HELLO_BODY_BYTES_MAX,
        }
    }

    /// How a first frame that is none is answered.
    pub(super) fn refusal(self, error: ErrorReply) -> Vec<u8> {
        let mut words = Vec::new();
        match self {
            Door::Clients => error.encode(0, &mut words),
            Door::Peers => PeerReject { reason: RejectReason::Malformed, message: error.message }.encode(&mut words),
        }
        words
    }
}

fn refuse(code: ErrorCode, message: &str, request_id: u32) -> Verdict {
    let mut words = Vec::new();
    ErrorReply { code, ends_connection: true, message: message.to_owned() }.encode(request_id, &mut words);
    Verdict::Refuse(words)
}

fn reject(reason: RejectReason, message: String) -> Verdict {
    tracing::warn!(?reason, message, "a peer's link was refused");
    let mut words = Vec::new();
    PeerReject { reason, message }.encode(&mut words);
    Verdict::Refuse(words)
}
