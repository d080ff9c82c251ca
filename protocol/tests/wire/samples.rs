//! One frame of each kind, with what it means: the examples that golden files, laws and hostile bytes start from.
//!
//! Objects and contexts are put together here byte by byte from their written layouts, so that the codec is held to
//! the page and not to itself.

use bytes::{Bytes, BytesMut};
use core::time::Duration;

use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::ring::{ObjectKey, VNodeBits};
use rondo_protocol::ticket::Ticket;
use rondo_protocol::view::{ConflictPolicy, Keyspace};
use rondo_protocol::wire::client_message::{encode_ping, encode_topology_request};
use rondo_protocol::wire::peer::{FetchAnswer, PeerEnvelope, PeerMessage};
use rondo_protocol::wire::reply::{DataReply, Receipt, Refusal};
use rondo_protocol::wire::request::{DataRequest, Level, RequestOptions};
use rondo_protocol::wire::*;

/// A frame and its meaning.
pub struct Sample {
    pub name: &'static str,
    pub comment: &'static str,
    pub frame: Vec<u8>,
    pub meaning: Meaning,
}

/// What a frame says, by who may say it.
#[derive(Clone, PartialEq, Debug)]
pub enum Meaning {
    Client(ClientMessage),
    Reply(ClientReply),
    Peer(PeerFrame),
}

/// Takes the single frame out of `bytes`.
pub fn frame_of(bytes: &[u8]) -> Frame {
    let mut buffer = BytesMut::from(bytes);
    let frame = next_frame(&mut buffer, bytes.len()).expect("a good frame").expect("a whole frame");
    assert!(buffer.is_empty(), "one frame only");
    frame
}

pub const HLC_1: u64 = 0x019a_0000_0000_0001;
pub const HLC_2: u64 = 0x019a_0000_0002_0000;
pub const ACTOR_A: u64 = 0x0000_000a_0000_0001;
pub const ACTOR_B: u64 = 0x0000_000b_0000_0001;

/// Canonical bytes: versions in dot order (`None` is a tombstone), seen by a vector of just their dots.
pub fn object(versions: &[(u64, u64, Option<&[u8]>)]) -> EncodedObject {
    let mut seen: Vec<(u64, u64)> = versions.iter().map(|(hlc, actor, _)| (*actor, *hlc)).collect();
    seen.sort_unstable();
    let mut bytes = vec![1, 0];
    bytes.extend((seen.len() as u16).to_le_bytes());
    bytes.extend((versions.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    for (actor, hlc) in seen {
        bytes.extend(actor.to_le_bytes());
        bytes.extend(hlc.to_le_bytes());
    }
    for (hlc, actor, value) in versions {
        bytes.extend(hlc.to_le_bytes());
        bytes.extend(actor.to_le_bytes());
        bytes.extend([if value.is_some() { 1 } else { 2 }, 0, 0, 0]);
        bytes.extend((value.unwrap_or(b"").len() as u32).to_le_bytes());
        bytes.extend_from_slice(value.unwrap_or(b""));
    }
    EncodedObject::decode(Bytes::from(bytes)).expect("canonical bytes")
}

/// The context of an object whose vector is `seen` (by actor).
pub fn context(token_low: u32, seen: &[(u64, u64)]) -> Bytes {
    let mut bytes = vec![1];
    bytes.extend(token_low.to_le_bytes());
    bytes.extend((seen.len() as u16).to_le_bytes());
    for (actor, hlc) in seen {
        bytes.extend(actor.to_le_bytes());
        bytes.extend(hlc.to_le_bytes());
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    Bytes::from(bytes)
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new(b"default", name.as_bytes()).expect("a good key")
}

pub fn receipt(answered: u8) -> Receipt {
    Receipt { epoch: 1, coordinator: NodeId(0x0a0b_0c0d), replicas: 3, required: 2, answered, strict: true }
}

fn quorum() -> RequestOptions {
    RequestOptions { replicas: 0, level: Level::Quorum, timeout: Duration::from_millis(250) }
}

pub fn topology() -> TopologyReply {
    let node = |name: &str, rack: &str, addr: Option<&str>, up| TopologyNode {
        id: NodeId::of_name(name),
        name: name.to_owned(),
        rack: rack.to_owned(),
        client_addr: addr.map(str::to_owned),
        shards: if up { 2 } else { 0 },
        up,
    };
    let keyspace = |name: &str, policy| Keyspace {
        name: name.to_owned(),
        replicas: 2,
        read: Level::One,
        write: Level::Quorum,
        policy,
    };
    TopologyReply {
        epoch: 1,
        vnode_bits: VNodeBits::new(2).expect("1 to 16"),
        nodes: vec![node("n1", "r1", Some("127.0.0.1:7600"), true), node("n2", "r2", None, false)],
        owners: vec![0, 1, 0, 1],
        keyspaces: vec![keyspace("default", ConflictPolicy::Lww), keyspace("siblings", ConflictPolicy::Siblings)],
    }
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

/// Every sample.
pub fn samples() -> Vec<Sample> {
    let mut all = client_samples();
    all.extend(reply_samples());
    all.extend(peer_samples());
    all
}

pub fn client_samples() -> Vec<Sample> {
    let sample = |name, comment, frame, message| Sample { name, comment, frame, meaning: Meaning::Client(message) };
    let get = DataRequest::Get { key: key("city"), options: RequestOptions::default() };
    let put = |name: &str, context: Bytes, value: &'static [u8]| DataRequest::Put {
        key: key(name),
        options: quorum(),
        context,
        value: Bytes::from_static(value),
    };
    let delete = |name: &str| DataRequest::Delete { key: key(name), options: quorum(), context: Bytes::new() };
    let data = |request: &DataRequest| encoded(|out| encode_data(7, request, out).expect("fits"));
    let many = |kind, options, items: Vec<DataRequest>| {
        let frame = encoded(|out| encode_batch(8, kind, &options, &items, out).expect("fits"));
        (frame, ClientMessage::Batch(BatchRequest { kind, options, items: items.into_iter().map(Ok).collect() }))
    };
    let hello = ClientHello::new("sample", Some(ShardIndex(1)));
    let hello_any = ClientHello::new("", None);
    let put_city = put("city", Bytes::new(), b"Aachen");
    let put_seen = put("city", context(key("city").token().low32(), &[(ACTOR_A, HLC_1)]), b"Bonn");
    let get_quorum = |name| DataRequest::Get { key: key(name), options: quorum() };
    let (gets, gets_meaning) = many(BatchKind::Get, quorum(), vec![get_quorum("a"), get_quorum("b")]);
    let puts = vec![put("a", Bytes::new(), b"1"), put("b", Bytes::new(), b"")];
    let (puts, puts_meaning) = many(BatchKind::Put, quorum(), puts);
    let (deletes, deletes_meaning) = many(BatchKind::Delete, quorum(), vec![delete("a"), delete("b")]);
    vec![
        sample("hello", "HELLO, request 1: wants shard 1, name \"sample\"", encoded(|out| hello.encode(1, out)), {
            ClientMessage::Hello(hello.clone())
        }),
        sample("hello_any", "HELLO, request 1: any shard, no name", encoded(|out| hello_any.encode(1, out)), {
            ClientMessage::Hello(hello_any.clone())
        }),
        sample("ping", "PING, request 2, echo \"tick\"", encoded(|out| encode_ping(2, b"tick", out)), {
            ClientMessage::Ping { echo: Bytes::from_static(b"tick") }
        }),
        sample("topology", "TOPOLOGY, request 3", encoded(|out| encode_topology_request(3, out)), {
            ClientMessage::Topology
        }),
        sample("get", "GET default/city, request 7, all options default", data(&get), ClientMessage::Data(get.clone())),
        sample("put", "PUT default/city = Aachen, request 7, QUORUM, 250 ms, no context", data(&put_city), {
            ClientMessage::Data(put_city.clone())
        }),
        sample("put_context", "PUT default/city = Bonn, request 7, with the context of one write", data(&put_seen), {
            ClientMessage::Data(put_seen.clone())
        }),
        sample("delete", "DELETE default/city, request 7, QUORUM, 250 ms, no context", data(&delete("city")), {
            ClientMessage::Data(delete("city"))
        }),
        sample("batch_get", "BATCH_GET of default/a and default/b, request 8", gets, gets_meaning),
        sample("batch_put", "BATCH_PUT of default/a = 1 and default/b = (empty), request 8", puts, puts_meaning),
        sample("batch_delete", "BATCH_DELETE of default/a and default/b, request 8", deletes, deletes_meaning),
    ]
}

/// Pairs of what a node has and what a client sees of it.
pub fn answers() -> Vec<(&'static str, &'static str, DataReply, DataAnswer)> {
    let token_low = key("city").token().low32();
    let one = object(&[(HLC_1, ACTOR_A, Some(b"Aachen"))]);
    let two = object(&[(HLC_1, ACTOR_A, Some(b"Aachen")), (HLC_2, ACTOR_B, Some(b"Bonn"))]);
    let mixed = object(&[(HLC_1, ACTOR_A, None), (HLC_2, ACTOR_B, Some(b""))]);
    let gone = object(&[(HLC_2, ACTOR_B, None)]);
    let saw_one = context(token_low, &[(ACTOR_A, HLC_1)]);
    let saw_two = context(token_low, &[(ACTOR_A, HLC_1), (ACTOR_B, HLC_2)]);
    let saw_gone = context(token_low, &[(ACTOR_B, HLC_2)]);
    let value = Bytes::from_static;
    let (r2, r1, r0, full) = (receipt(2), receipt(1), Refusal::Busy, Refusal::DiskFull);
    let busy = Some(Duration::from_millis(20));
    vec![
        ("found", "FOUND: one value", DataReply::Found { receipt: r2, token_low, object: one.clone() }, {
            DataAnswer::Found { receipt: r2, context: saw_one.clone(), values: vec![value(b"Aachen")] }
        }),
        ("found_siblings", "FOUND: two siblings", DataReply::Found { receipt: r2, token_low, object: two }, {
            let values = vec![value(b"Aachen"), value(b"Bonn")];
            DataAnswer::Found { receipt: r2, context: saw_two.clone(), values }
        }),
        (
            "found_hidden",
            "FOUND: an empty value; the tombstone beside it shows in the context only",
            { DataReply::Found { receipt: r2, token_low, object: mixed } },
            { DataAnswer::Found { receipt: r2, context: saw_two, values: vec![value(b"")] } },
        ),
        ("not_found", "NOT_FOUND: never written", DataReply::NotFound { receipt: r2, token_low, object: None }, {
            DataAnswer::NotFound { receipt: r2, context: Bytes::new() }
        }),
        (
            "not_found_deleted",
            "NOT_FOUND: deleted, with the context of the delete",
            { DataReply::NotFound { receipt: r2, token_low, object: Some(gone) } },
            { DataAnswer::NotFound { receipt: r2, context: saw_gone } },
        ),
        ("stored", "STORED", DataReply::Stored { receipt: r2, token_low, object: one }, {
            DataAnswer::Stored { receipt: r2, context: saw_one, versions: 1 }
        }),
        ("refused", "REFUSED: busy, retry after 20 ms", DataReply::Refused { refusal: r0, retry_after: busy }, {
            DataAnswer::Refused { refusal: r0, retry_after: busy }
        }),
        ("refused_disk_full", "REFUSED: the disk is full", DataReply::Refused { refusal: full, retry_after: None }, {
            DataAnswer::Refused { refusal: full, retry_after: None }
        }),
        ("unknown", "UNKNOWN: one of two acknowledgements came", DataReply::Unknown { receipt: r1 }, {
            DataAnswer::Unknown { receipt: r1 }
        }),
    ]
}

pub fn reply_samples() -> Vec<Sample> {
    let sample = |name, comment, frame, reply| Sample { name, comment, frame, meaning: Meaning::Reply(reply) };
    let single = |(name, comment, reply, answer): (_, _, DataReply, _)| {
        sample(name, comment, encoded(|out| encode_data_reply(7, &reply, out)), ClientReply::Data(answer))
    };
    let mut all: Vec<Sample> = answers().into_iter().map(single).collect();
    let (replies, seen): (Vec<DataReply>, Vec<DataAnswer>) = answers()
        .into_iter()
        .filter(|(name, ..)| ["found", "not_found", "refused"].contains(name))
        .map(|a| (a.2, a.3))
        .unzip();
    let batch = encoded(|out| encode_batch_reply(8, replies.iter(), out));
    let hello = server_hello();
    let error = ErrorReply {
        code: ErrorCode::UnknownOpcode,
        ends_connection: false,
        message: "unknown opcode 0x3f".to_owned(),
    };
    all.push(sample("batch_reply", "BATCH_REPLY: found, not found, refused", batch, ClientReply::Batch(seen)));
    all.push(sample("hello_reply", "HELLO_REPLY of n1, shard 1 of 2", encoded(|out| hello.encode(1, out)), {
        ClientReply::Hello(Box::new(hello))
    }));
    all.push(sample("pong", "PONG, request 2, echo \"tick\"", encoded(|out| encode_pong(2, b"tick", out)), {
        ClientReply::Pong { echo: Bytes::from_static(b"tick") }
    }));
    all.push(sample(
        "topology_reply",
        "TOPOLOGY_REPLY: two nodes, four vnodes",
        encoded(|out| topology().encode(3, out)),
        ClientReply::Topology(Box::new(topology())),
    ));
    all.push(sample("error", "ERROR: an opcode that nobody knows", encoded(|out| error.encode(9, out)), {
        ClientReply::Error(error.clone())
    }));
    all
}

fn server_hello() -> ServerHello {
    ServerHello {
        version: 1,
        node: NodeId::of_name("n1"),
        node_name: "n1".to_owned(),
        cluster_id: 0x1122_3344_5566_7788,
        shard: ShardIndex(1),
        shards: 2,
        limits: Limits::OURS,
        topology: topology(),
    }
}

pub fn peer_hello() -> PeerHello {
    PeerHello {
        version_min: 1,
        version_max: 1,
        cluster_id: 0x1122_3344_5566_7788,
        ring_fingerprint: 0x0102_0304_0506_0708,
        keyspace_fingerprint: 0x1112_1314_1516_1718,
        epoch: 1,
        clock_millis: 1_800_000_000_000,
        node: NodeId::of_name("n1"),
        name: "n1".to_owned(),
        rack: "a-rack-with-a-longer-name".to_owned(),
        shard: ShardIndex(1),
        shards: 2,
        client_addr: Some("127.0.0.1:7600".to_owned()),
        target_node: NodeId::of_name("n2"),
        target_shard: ShardIndex(0),
    }
}

pub fn peer_samples() -> Vec<Sample> {
    let sample = |name, comment, frame, meaning| Sample { name, comment, frame, meaning: Meaning::Peer(meaning) };
    let welcome = PeerWelcome {
        version: 1,
        node: NodeId::of_name("n2"),
        shard: ShardIndex(0),
        shards: 2,
        epoch: 1,
        clock_millis: 1_800_000_000_001,
        client_addr: Some("127.0.0.1:7610".to_owned()),
    };
    let reject = PeerReject { reason: RejectReason::OtherRing, message: "give both nodes the same list".to_owned() };
    let mut all = vec![
        sample(
            "peer_hello",
            "PEER_HELLO of n1, shard 1, to n2, shard 0 (rkyv, layout 1)",
            encoded(|out| peer_hello().encode(out)),
            PeerFrame::Hello(peer_hello()),
        ),
        sample("peer_welcome", "PEER_WELCOME of n2", encoded(|out| welcome.encode(out)), {
            PeerFrame::Welcome(welcome.clone())
        }),
        sample("peer_reject", "PEER_REJECT: another ring", encoded(|out| reject.encode(out)), {
            PeerFrame::Reject(reject.clone())
        }),
        sample("link_ping", "LINK_PING 5", encoded(|out| encode_link_ping(5, out)), PeerFrame::Ping { nonce: 5 }),
        sample("link_pong", "LINK_PONG 5", encoded(|out| encode_link_pong(5, out)), PeerFrame::Pong { nonce: 5 }),
    ];
    for (name, comment, message) in peer_messages() {
        let (epoch, clock_millis) = (1, 1_800_000_000_002);
        let frame = encoded(|out| encode_envelope(epoch, clock_millis, &message, out));
        all.push(sample(name, comment, frame, PeerFrame::Message(PeerEnvelope { epoch, clock_millis, message })));
    }
    all
}

fn peer_messages() -> Vec<(&'static str, &'static str, PeerMessage)> {
    let ticket = Ticket { index: 3, generation: 9 };
    let city = key("city");
    let one = object(&[(HLC_1, ACTOR_A, Some(b"Aachen"))]);
    let fetched = |answer| PeerMessage::Fetched { ticket, answer };
    let forward = DataRequest::Put {
        key: city.clone(),
        options: quorum(),
        context: Bytes::new(),
        value: Bytes::from_static(b"Aachen"),
    };
    let timeout = Duration::from_micros(249_500);
    let stored = DataReply::Stored { receipt: receipt(2), token_low: city.token().low32(), object: one.clone() };
    let refused = DataReply::Refused { refusal: Refusal::NotEnoughReplicas, retry_after: None };
    vec![
        ("replicate", "REPLICATE default/city", {
            PeerMessage::Replicate { ticket, key: city.clone(), object: one.clone() }
        }),
        ("replicated", "REPLICATED: durable", PeerMessage::Replicated { ticket, outcome: Ok(()) }),
        ("replicated_refused", "REPLICATED: refused, the disk failed", {
            PeerMessage::Replicated { ticket, outcome: Err(Refusal::DiskFailed) }
        }),
        ("replicated_disk_full", "REPLICATED: refused, the disk is full", {
            PeerMessage::Replicated { ticket, outcome: Err(Refusal::DiskFull) }
        }),
        ("fetch", "FETCH default/city, digest only", { PeerMessage::Fetch { ticket, key: city, digest_only: true } }),
        ("fetched_nothing", "FETCHED: nothing", fetched(FetchAnswer::Nothing)),
        ("fetched_digest", "FETCHED: a digest", fetched(FetchAnswer::Digest(one.digest()))),
        ("fetched_object", "FETCHED: the object", fetched(FetchAnswer::Object(one))),
        ("fetched_refused", "FETCHED: unreadable", fetched(FetchAnswer::Refused(Refusal::Unreadable))),
        ("forward", "FORWARD a put, 249.5 ms left", PeerMessage::Forward { ticket, request: forward, timeout }),
        ("forwarded", "FORWARDED: stored", PeerMessage::Forwarded { ticket, reply: stored }),
        ("forwarded_refused", "FORWARDED: refused", PeerMessage::Forwarded { ticket, reply: refused }),
        ("epoch_too_old", "EPOCH_TOO_OLD: mine is 2", PeerMessage::EpochTooOld { epoch: 2 }),
    ]
}
