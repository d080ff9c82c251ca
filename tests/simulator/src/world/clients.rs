//! Clients ask.

use bytes::Bytes;
use core::time::Duration;

use rondo_client::session::{RequestId, Session};
use rondo_protocol::node::ShardIndex;
use rondo_protocol::wire::BatchKind;
use rondo_protocol::wire::request::DataRequest;

use super::{Occurrence, World};
use crate::client::{ClientLink, Target, Waiting, Wish};
use crate::cluster::REPLICAS;
use crate::fault::Seat;
use crate::history::{History, Key, Kind, OpId, Operation, Outcome};

/// Requests of one connection under way: given up ones may still be there.
const IN_FLIGHT_MAX: usize = 64;
/// A client waits so much longer than the timeout it gave before it gives up. The node answers by itself at the timeout:
/// one that does not, though it serves and its cores run, hangs.
const GRACE: Duration = Duration::from_secs(4);
/// A connection that is not made by then is given up.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

impl World {
    /// All clients of the workload begin.
    pub fn begin_clients(&mut self) {
        for client in 0..self.profile.workload.clients {
            self.wake_later(client, Duration::from_millis(1), Duration::from_millis(50));
        }
    }

    /// The client beside the workload's: it asks what the run itself wants to know.
    pub fn operator(&self) -> usize {
        self.clients.len() - 1
    }

    /// Lets a client ask.
    pub fn ask(&mut self, client: usize, wish: Wish) {
        self.clients[client].wishes.push_back(wish);
        if self.clients[client].waiting.is_none() {
            self.wake_later(client, Duration::ZERO, Duration::ZERO);
        }
    }

    /// A client wakes up: it gives up what it waited for too long, or asks the next thing.
    pub(super) fn wake(&mut self, client: usize, waking: u64) {
        if self.clients[client].wakings != waking {
            return;
        }
        if self.clients[client].waiting.is_some() {
            return self.give_up(client);
        }
        if self.clients[client].wishes.is_empty() && client != self.operator() {
            let wishes = self.workload.draw(&self.cluster);
            self.clients[client].wishes.extend(wishes);
        }
        self.ask_next(client);
    }

    fn ask_next(&mut self, client: usize) {
        let Some(wish) = self.clients[client].wishes.front() else { return };
        let target = wish.target;
        if !self.clients[client].links.contains_key(&target) && !self.open_link(client, target) {
            // Nobody is there. The wish is dropped: a client that insists would ask nothing else while the node is down.
            self.clients[client].wishes.pop_front();
            return self.pause(client);
        }
        if self.clients[client].links[&target].session.welcome().is_some() {
            self.send_next(client, target);
        } else {
            let until = self.now() + CONNECT_TIME_MAX;
            self.clients[client].waiting = Some(Waiting { target, request: None, operations: Vec::new(), until });
            self.wake_later(client, CONNECT_TIME_MAX, CONNECT_TIME_MAX);
        }
    }

    fn open_link(&mut self, client: usize, target: Target) -> bool {
        let Some((connection, life)) = self.connect(client, target) else { return false };
        let mut hello = Vec::new();
        let session = Session::open(IN_FLIGHT_MAX, Some(ShardIndex(target.1)), "simulated", &mut hello);
        let now = self.now();
        let last_to_server = self.send_to_server((connection, target.0, life), hello, now);
        self.clients[client].links.insert(target, ClientLink { connection, life, session, last_to_server });
        true
    }

    pub(super) fn send_next(&mut self, client: usize, target: Target) {
        let Some(mut wish) = self.clients[client].wishes.pop_front() else { return };
        // At most one delete of a key may be unsettled, so that a tombstone can be told whose it is.
        for (key, kind) in &mut wish.items {
            if *kind == Kind::Delete && self.history.has_open_delete(*key) {
                *kind = Kind::Put { value_bytes: 16 };
            }
        }
        let operations: Vec<OpId> =
            wish.items.iter().map(|(key, kind)| self.begin_operation(client, &wish, *key, *kind)).collect();
        let now = self.now();
        let sim = &mut self.clients[client];
        let contexts: Vec<Bytes> =
            wish.items.iter().map(|(key, _)| if wish.informed { sim.context(*key).0 } else { Bytes::new() }).collect();
        let Some(link) = sim.links.get_mut(&target) else { return };
        let mut out = Vec::new();
        let sent = encode(&mut link.session, &wish, &operations, contexts, &mut out);
        let (connection, life, last) = (link.connection, link.life, link.last_to_server);
        let until = now + wish.options.timeout + GRACE;
        sim.waiting = Some(Waiting { target, request: sent, operations, until });
        let last = self.send_to_server((connection, target.0, life), out, last);
        if let Some(link) = self.clients[client].links.get_mut(&target) {
            link.last_to_server = last;
        }
        self.wake_later(client, until - now, until - now);
    }

    fn begin_operation(&mut self, client: usize, wish: &Wish, key: Key, kind: Kind) -> OpId {
        let context =
            if wish.informed && kind != Kind::Get { self.clients[client].context(key).1 } else { Default::default() };
        let started = self.now();
        let id = self.history.begin(Operation {
            client,
            key,
            kind,
            options: wish.options,
            required: wish.required,
            replicas: REPLICAS,
            context,
            started,
            ended: None,
            outcome: Outcome::Pending,
        });
        self.trace.note(started, "ask", &[id.0 as u64], || {
            format!(
                "{id}: client {client} asks {}/{} to {kind:?} {key} with {}",
                wish.target.0, wish.target.1, wish.required
            )
        });
        id
    }

    /// The time is up. A node that served all the while and did not answer hangs.
    fn give_up(&mut self, client: usize) {
        let Some(waiting) = self.clients[client].waiting.take() else { return };
        if let Some(id) = waiting.operations.first() {
            let seat: Seat = waiting.target.0;
            self.broken("liveness", format!("{id} was never answered by {seat}, which serves"));
            return;
        }
        self.clients[client].wishes.pop_front();
        self.lose_link(client, waiting.target);
        self.pause(client);
    }

    pub(super) fn pause(&mut self, client: usize) {
        let pause = self.profile.workload.pause;
        self.wake_later(client, Duration::from_micros(10), pause);
    }

    fn wake_later(&mut self, client: usize, soonest: Duration, latest: Duration) {
        let time = self.random.time(soonest, latest);
        self.clients[client].wakings += 1;
        let waking = self.clients[client].wakings;
        self.schedule.after(time, Occurrence::Wake { client, waking });
    }
}

fn encode(
    session: &mut Session<Vec<OpId>>,
    wish: &Wish,
    operations: &[OpId],
    contexts: Vec<Bytes>,
    out: &mut Vec<u8>,
) -> Option<RequestId> {
    let items = wish.items.iter().zip(operations).zip(contexts);
    let requests: Vec<DataRequest> = items
        .map(|(((key, kind), id), context)| {
            let (key, options) = (key.object_key(), wish.options);
            match *kind {
                Kind::Get => DataRequest::Get { key, options },
                Kind::Put { value_bytes } => {
                    DataRequest::Put { key, options, context, value: History::value_of(*id, value_bytes) }
                }
                Kind::Delete => DataRequest::Delete { key, options, context },
            }
        })
        .collect();
    let tag = operations.to_vec();
    match requests.as_slice() {
        [request] => session.request(request, tag, out).ok(),
        batch => session.batch(BatchKind::of(batch.first()?), &wish.options, batch, tag, out).ok(),
    }
}
