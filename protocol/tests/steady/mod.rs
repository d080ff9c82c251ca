//! One core in its steady state, with a store of one key and two peers that always agree: the least glue there can
//! be, so that what is measured is the core. Shared by the allocation test and the instruction count.

use std::sync::Arc;

use bytes::Bytes;
use core::num::NonZeroU16;
use rondo_protocol::causality::{ActorId, Hlc, Incarnation};
use rondo_protocol::effect::{Effect, Effects, Record};
use rondo_protocol::event::{Event, Found};
use rondo_protocol::node::{NodeId, PeerShard, ShardIndex};
use rondo_protocol::now::{Instant, Now};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::ring::{ObjectKey, Ring, RingNode, VNodeBits};
use rondo_protocol::shard_core::{Boot, ShardCore};
use rondo_protocol::ticket::{Lsn, Origin};
use rondo_protocol::view::{ClusterView, ConflictPolicy, Keyspace};
use rondo_protocol::wire::peer::{FetchAnswer, PeerMessage};
use rondo_protocol::wire::reply::DataReply;
use rondo_protocol::wire::request::{DataRequest, Level, RequestOptions};

/// A core and all that it talks to.
pub(crate) struct Steady {
    core: ShardCore,
    now: Now,
    key: ObjectKey,
    value: Bytes,
    stored: Option<(EncodedObject, Lsn)>,
    appended: Lsn,
    effects: Effects,
    todo: Vec<Event>,
    done: u64,
}

impl Steady {
    /// Three nodes, N = 3, values of 1 KiB.
    pub(crate) fn new() -> Steady {
        let nodes = ["n1", "n2", "n3"].map(|name| RingNode::new(name, name)).to_vec();
        let keyspace = Keyspace {
            name: "default".to_owned(),
            replicas: 3,
            read: Level::Quorum,
            write: Level::Quorum,
            policy: ConflictPolicy::Lww,
        };
        let ring = Ring::lay_out(VNodeBits::DEFAULT, nodes).expect("three nodes make a ring");
        let me = NodeId::of_name("n1");
        let view = Arc::new(ClusterView { epoch: 1, cluster_id: 1, me, ring, keyspaces: vec![keyspace] });
        let core = ShardCore::new(Boot {
            shard: ShardIndex(0),
            shards: NonZeroU16::MIN,
            actor: ActorId { node: me, incarnation: Incarnation(1) },
            hlc_bound: Hlc::from_millis(1_000),
            recovered: Lsn(0),
            salt: 0,
            view,
        });
        let mut steady = Steady {
            core,
            now: Now { instant: Instant(1), wall_millis: 1_700_000_000_000 },
            key: ObjectKey::new(b"default", b"user:4711:name").expect("a good key"),
            value: Bytes::from(vec![7; 1024]),
            stored: None,
            appended: Lsn(0),
            effects: Vec::with_capacity(64),
            todo: Vec::with_capacity(64),
            done: 0,
        };
        for name in ["n2", "n3"] {
            steady.deliver(Event::LinkChanged { node: NodeId::of_name(name), shards: Some(NonZeroU16::MIN) });
        }
        steady
    }

    /// One get at R = `required`, to its reply.
    pub(crate) fn get(&mut self, required: u8) {
        let options = RequestOptions { level: Level::Count(required), ..RequestOptions::default() };
        self.request(DataRequest::Get { key: self.key.clone(), options });
    }

    /// One put at W = `required`, to its reply and the last acknowledgement.
    pub(crate) fn put(&mut self, required: u8) {
        let options = RequestOptions { level: Level::Count(required), ..RequestOptions::default() };
        let value = self.value.clone();
        self.request(DataRequest::Put { key: self.key.clone(), options, context: Bytes::new(), value });
    }

    /// Requests answered as they should be.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    fn request(&mut self, request: DataRequest) {
        // 10,000 requests a second, so that the clock's bound is raised as often as in life.
        self.now.instant.0 += 100_000;
        self.now.wall_millis += self.now.instant.0 / 100_000 % 10 / 9;
        self.deliver(Event::Request { origin: Origin(1, 2), arrived: self.now.instant, request });
        let upto = self.appended;
        self.deliver(Event::Durable { upto });
    }

    fn deliver(&mut self, event: Event) {
        self.todo.push(event);
        while let Some(event) = self.todo.pop() {
            self.core.handle(self.now, event, &mut self.effects);
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Load { ticket, .. } => {
                        let found = match &self.stored {
                            Some((object, lsn)) => Found::Object { object: object.clone(), lsn: *lsn },
                            None => Found::Nothing,
                        };
                        self.todo.push(Event::Loaded { ticket, found });
                    }
                    Effect::Append { lsn, record } => {
                        self.appended = lsn;
                        match record {
                            Record::Object { object, .. } => self.stored = Some((object, lsn)),
                            // Its puts wait, so it is durable before anything else happens.
                            Record::HlcBound(_) => self.todo.push(Event::Durable { upto: lsn }),
                        }
                    }
                    Effect::Send { to, message } => {
                        if let Some(message) = agree(message, &self.stored) {
                            let clock_millis = self.now.wall_millis;
                            self.todo.push(Event::Message { from: to, epoch: 1, clock_millis, message });
                        }
                    }
                    Effect::Reply { reply, .. } => {
                        let is_done = matches!(reply, DataReply::Found { .. } | DataReply::Stored { .. });
                        self.done += u64::from(is_done);
                    }
                    Effect::Disconnect { peer: PeerShard { .. } } => {}
                }
            }
        }
    }
}

/// What a peer that holds the same says.
fn agree(message: PeerMessage, stored: &Option<(EncodedObject, Lsn)>) -> Option<PeerMessage> {
    match message {
        PeerMessage::Replicate { ticket, .. } => Some(PeerMessage::Replicated { ticket, outcome: Ok(()) }),
        PeerMessage::Fetch { ticket, .. } => {
            let answer = match stored {
                Some((object, _)) => FetchAnswer::Digest(object.digest()),
                None => FetchAnswer::Nothing,
            };
            Some(PeerMessage::Fetched { ticket, answer })
        }
        _ => None,
    }
}
