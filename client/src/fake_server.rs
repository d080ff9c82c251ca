//! A server inside this process, for tests and examples: it speaks the wire and keeps what it is told in memory.
//!
//! No quorum, no disk, no other process; but it can be told to misbehave, which real servers do only when it hurts. Several started together
//! share one store, as the nodes of a cluster seem to their clients. Two keyspaces exist: `default` (the last write wins) and `siblings`.
//!
//! Only with the feature `fake-server`.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::{Bytes, BytesMut};
use rondo_protocol::causality::{ActorId, CausalContext, Dot, Hlc};
use rondo_protocol::limits::FRAME_BODY_BYTES_MAX;
use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::object::{EncodedObject, SiblingKind};
use rondo_protocol::ring::{ObjectKey, Ring, RingNode, VNodeBits};
use rondo_protocol::view::{ClusterView, ConflictPolicy, Keyspace};
use rondo_protocol::wire::reply::{DataReply, Receipt, Refusal};
use rondo_protocol::wire::request::{DataRequest, Level};
use rondo_protocol::wire::{
    Acquaintance, ClientMessage, Decoded, ErrorReply, Limits, ServerHello, TopologyReply, decode_client,
    encode_batch_reply, encode_data_reply, encode_pong, next_frame,
};

/// What a server does with requests on keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Answers as it should.
    Proper,
    /// Answers what it has read at a time in reverse order.
    Reversed,
    /// Does nothing and says nothing.
    Silent,
    /// Refuses.
    Refusing(Refusal),
    /// Says that it does not know.
    Unsure,
    /// Closes the connection without an answer.
    HangingUp,
    /// Answers with bytes that are no frame.
    Garbling,
    /// Answers with a frame that claims to be longer than any may be.
    Boasting,
    /// Answers requests that nobody made.
    Inventing,
}

/// One node.
#[derive(Debug)]
pub struct FakeServer {
    node: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    id: NodeId,
    name: String,
    address: SocketAddr,
    shards: u16,
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
    /// The shards that connections have asked for, in order.
    wanted_shards: Mutex<Vec<Option<ShardIndex>>>,
    is_stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    cluster: Arc<Cluster>,
}

/// What the nodes share.
#[derive(Debug)]
struct Cluster {
    epoch: AtomicU64,
    clock: AtomicU64,
    ring: Ring,
    known: Mutex<HashMap<NodeId, Acquaintance>>,
    objects: Mutex<HashMap<Bytes, EncodedObject>>,
}

const CLUSTER_ID: u64 = 0xfa4e;

impl FakeServer {
    /// A cluster of one node with one shard, on a port of its own.
    ///
    /// # Panics
    /// If no port can be opened on the loopback address.
    pub fn start() -> FakeServer {
        FakeServer::start_cluster(1, 1).remove(0)
    }

    /// A cluster of `nodes` nodes with `shards` shards each, in as many racks.
    ///
    /// # Panics
    /// As [`FakeServer::start`].
    pub fn start_cluster(nodes: usize, shards: u16) -> Vec<FakeServer> {
        let members = (0..nodes).map(|index| RingNode::new(&format!("fake-{index}"), &format!("rack-{index}")));
        let bits = VNodeBits::new(6).expect("6 is a number of bits");
        let ring = Ring::lay_out(bits, members.collect()).expect("made names make a ring");
        let cluster = Arc::new(Cluster {
            epoch: AtomicU64::new(1),
            clock: AtomicU64::new(1),
            ring,
            known: Mutex::default(),
            objects: Mutex::default(),
        });
        let members = cluster.ring.nodes().to_vec();
        members.into_iter().map(|member| FakeServer::start_member(&cluster, member, shards)).collect()
    }

    fn start_member(cluster: &Arc<Cluster>, member: RingNode, shards: u16) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on the loopback address");
        let address = listener.local_addr().expect("a listener has an address");
        let known = Acquaintance { client_addr: Some(address.to_string()), shards, up: true };
        lock(&cluster.known).insert(member.id, known);
        let node = Arc::new(Node {
            id: member.id,
            name: member.name,
            address,
            shards,
            behaviour: Mutex::new(Behaviour::Proper),
            requests: AtomicU64::new(0),
            wanted_shards: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            connections: Mutex::default(),
            cluster: cluster.clone(),
        });
        let accepting = node.clone();
        thread::spawn(move || accept(&accepting, &listener));
        FakeServer { node }
    }

    /// Where clients reach it, `HOST:PORT`.
    pub fn address(&self) -> String {
        self.node.address.to_string()
    }

    /// From now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.node.behaviour) = behaviour;
    }

    /// Requests on keys that were read so far, each item of a batch counted.
    pub fn requests(&self) -> u64 {
        self.node.requests.load(Ordering::SeqCst)
    }

    /// The shards that connections have asked for so far, in order.
    pub fn wanted_shards(&self) -> Vec<Option<ShardIndex>> {
        lock(&self.node.wanted_shards).clone()
    }

    /// The whole cluster is in this epoch from now on.
    pub fn set_epoch(&self, epoch: u64) {
        self.node.cluster.epoch.store(epoch, Ordering::SeqCst);
    }

    /// Ends all connections; new ones are taken.
    pub fn disconnect_all(&self) {
        for connection in lock(&self.node.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Dies: ends all connections and takes no new ones.
    pub fn stop(&self) {
        if !self.node.is_stopped.swap(true, Ordering::SeqCst) {
            // Wakes the accepting thread, which then drops the listener.
            drop(TcpStream::connect(self.node.address));
            self.disconnect_all();
        }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(node: &Arc<Node>, listener: &TcpListener) {
    for stream in listener.incoming() {
        if node.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        if let Ok(clone) = stream.try_clone() {
            lock(&node.connections).push(clone);
        }
        let serving = node.clone();
        thread::spawn(move || serving.serve(stream));
    }
}

impl Node {
    /// Reads, answers what was read at a time with one write, until the client leaves or is left.
    fn serve(&self, mut stream: TcpStream) {
        let (mut buffer, mut chunk) = (BytesMut::new(), vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            buffer.extend_from_slice(&chunk[..read]);
            let mut replies: Vec<Vec<u8>> = Vec::new();
            let mut goes_on = true;
            while goes_on {
                let mut out = Vec::new();
                match next_frame(&mut buffer, FRAME_BODY_BYTES_MAX) {
                    Ok(None) => break,
                    Err(error) => {
                        ErrorReply::of_decode(&error).encode(0, &mut out);
                        goes_on = false;
                    }
                    Ok(Some(frame)) => match decode_client(frame.header, frame.body) {
                        Err(error) => {
                            ErrorReply::of_decode(&error).encode(frame.header.request_id, &mut out);
                            goes_on = !error.ends_connection();
                        }
                        Ok(Decoded::Refused(refusal)) => {
                            let reply = DataReply::Refused { refusal, retry_after: None };
                            encode_data_reply(frame.header.request_id, &reply, &mut out);
                        }
                        Ok(Decoded::Message(message)) => {
                            goes_on = self.answer(frame.header.request_id, message, &mut out)
                        }
                    },
                }
                replies.push(out);
            }
            if *lock(&self.behaviour) == Behaviour::Reversed {
                replies.reverse();
            }
            if stream.write_all(&replies.concat()).is_err() || !goes_on {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// False if the connection is to end.
    fn answer(&self, id: u32, message: ClientMessage, out: &mut Vec<u8>) -> bool {
        match message {
            ClientMessage::Hello(hello) => {
                lock(&self.wanted_shards).push(hello.wanted_shard);
                self.welcome(hello.wanted_shard).encode(id, out);
            }
            ClientMessage::Ping { echo } => encode_pong(id, &echo, out),
            ClientMessage::Topology => self.topology().encode(id, out),
            ClientMessage::Data(request) => {
                return self.misbehave(id, 1, out).unwrap_or_else(|| {
                    encode_data_reply(id, &self.reply(request), out);
                    true
                });
            }
            ClientMessage::Batch(batch) => {
                return self.misbehave(id, batch.items.len() as u64, out).unwrap_or_else(|| {
                    let refused = |refusal| DataReply::Refused { refusal, retry_after: None };
                    let answer = |item: Result<_, _>| item.map_or_else(refused, |request| self.reply(request));
                    let replies: Vec<DataReply> = batch.items.into_iter().map(answer).collect();
                    encode_batch_reply(id, replies.iter(), out);
                    true
                });
            }
        }
        true
    }

    /// What the behaviour makes of a request, and whether the connection goes on; `None` if it is to be answered.
    fn misbehave(&self, id: u32, requests: u64, out: &mut Vec<u8>) -> Option<bool> {
        self.requests.fetch_add(requests, Ordering::SeqCst);
        match *lock(&self.behaviour) {
            Behaviour::Silent => Some(true),
            Behaviour::HangingUp => Some(false),
            Behaviour::Garbling => {
                out.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                Some(true)
            }
            Behaviour::Boasting => {
                encode_pong(id, b"", out);
                out[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
                Some(true)
            }
            Behaviour::Inventing => {
                encode_pong(id ^ 0x00f0_0000, b"", out);
                Some(true)
            }
            Behaviour::Proper | Behaviour::Reversed | Behaviour::Refusing(_) | Behaviour::Unsure => None,
        }
    }

    fn reply(&self, request: DataRequest) -> DataReply {
        match *lock(&self.behaviour) {
            Behaviour::Refusing(refusal) => DataReply::Refused { refusal, retry_after: None },
            Behaviour::Unsure => DataReply::Unknown { receipt: self.receipt() },
            _ => self.cluster.apply(self.id, request, self.receipt()),
        }
    }

    fn receipt(&self) -> Receipt {
        let epoch = self.cluster.epoch.load(Ordering::SeqCst);
        Receipt { epoch, coordinator: self.id, replicas: 1, required: 1, answered: 1, strict: true }
    }

    fn welcome(&self, shard: Option<ShardIndex>) -> ServerHello {
        ServerHello {
            version: 1,
            node: self.id,
            node_name: self.name.clone(),
            cluster_id: CLUSTER_ID,
            shard: shard.unwrap_or_default(),
            shards: self.shards,
            limits: Limits::OURS,
            topology: self.topology(),
        }
    }

    fn topology(&self) -> TopologyReply {
        let keyspace = |name: &str, policy| Keyspace {
            name: name.to_owned(),
            replicas: 1,
            read: Level::One,
            write: Level::One,
            policy,
        };
        let view = ClusterView {
            epoch: self.cluster.epoch.load(Ordering::SeqCst),
            cluster_id: CLUSTER_ID,
            me: self.id,
            ring: self.cluster.ring.clone(),
            keyspaces: vec![keyspace("default", ConflictPolicy::Lww), keyspace("siblings", ConflictPolicy::Siblings)],
        };
        let known = lock(&self.cluster.known);
        let stranger = || Acquaintance { client_addr: None, shards: 0, up: false };
        TopologyReply::of_view(&view, |id| known.get(&id).cloned().unwrap_or_else(stranger))
    }
}

impl Cluster {
    fn apply(&self, node: NodeId, request: DataRequest, receipt: Receipt) -> DataReply {
        let mut objects = lock(&self.objects);
        let policy = match request.key().keyspace() {
            b"default" => ConflictPolicy::Lww,
            b"siblings" => ConflictPolicy::Siblings,
            _ => return DataReply::Refused { refusal: Refusal::UnknownKeyspace, retry_after: None },
        };
        let (key, context, kind) = match &request {
            DataRequest::Get { key, .. } => return found(key, objects.get(key.routed()), receipt),
            DataRequest::Put { key, context, value, .. } => (key, context, SiblingKind::Value(value)),
            DataRequest::Delete { key, context, .. } => (key, context, SiblingKind::Tombstone),
        };
        let current = objects.get(key.routed());
        let Ok(context) = CausalContext::decode(context, key.token()) else {
            return DataReply::Refused { refusal: Refusal::BadContext, retry_after: None };
        };
        let seen = match (kind, current) {
            (SiblingKind::Tombstone, Some(current)) if context.seen.is_empty() => current.seen(),
            _ => context.seen,
        };
        let hlc = Hlc(self.clock.fetch_add(1, Ordering::SeqCst));
        let dot = Dot { hlc, actor: ActorId { node, ..ActorId::default() } };
        match EncodedObject::put(current, policy, dot, &seen, kind, &mut BytesMut::new()) {
            Err(_) => DataReply::Refused { refusal: Refusal::TooManySiblings, retry_after: None },
            Ok(outcome) => {
                objects.insert(key.routed().clone(), outcome.object.clone());
                DataReply::Stored { receipt, token_low: key.token().low32(), object: outcome.object }
            }
        }
    }
}

fn found(key: &ObjectKey, object: Option<&EncodedObject>, receipt: Receipt) -> DataReply {
    let token_low = key.token().low32();
    match object {
        Some(object) if !object.is_deleted() => DataReply::Found { receipt, token_low, object: object.clone() },
        object => DataReply::NotFound { receipt, token_low, object: object.cloned() },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
