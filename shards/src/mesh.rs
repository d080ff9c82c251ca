//! How the cores of one node reach each other.
//!
//! Each has an inbox for work and another for answers, so that work waiting for answers can never block the answers.
//! What a turn has for another core goes in one piece. Nobody waits to send: a full inbox for work means `Busy`, and
//! answers that find theirs full stay and are tried again, which is bounded by the requests that are in flight.

use std::os::fd::OwnedFd;

use bytes::BytesMut;
use flume::{Receiver, Sender, TrySendError};
use rondo_protocol::node::{PeerShard, ShardIndex};
use rondo_protocol::now::Instant;
use rondo_protocol::ticket::Origin;
use rondo_protocol::wire::reply::DataReply;
use rondo_protocol::wire::request::DataRequest;
use rondo_storage::Wound;

use crate::jobs::ShardJob;
use crate::limits::{INBOX_BATCHES_MAX, REPLY_BATCHES_MAX, TELL_LIMIT};

/// A request that came in on another core.
#[derive(Debug)]
pub(crate) struct MeshRequest {
    pub(crate) origin: Origin,
    pub(crate) arrived: Instant,
    pub(crate) request: DataRequest,
}

/// A connection that travels to the core it asked for.
#[derive(Debug)]
pub(crate) struct HandedConnection {
    /// The connection itself.
    pub(crate) descriptor: OwnedFd,
    /// What it has said.
    pub(crate) said: Greeting,
    /// The bytes that had been read behind it.
    pub(crate) rest: BytesMut,
}

/// The first words of a connection, understood and accepted.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// A client's.
    Client { request_id: u32 },
    /// A peer's link.
    Peer { from: PeerShard },
}

/// What an inbox holds.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// Requests whose keys this core owns.
    Requests(Vec<MeshRequest>),
    /// A connection that asked for this core.
    Connection(Box<HandedConnection>),
    /// A job for this core's companion.
    Run(Box<ShardJob>),
    /// Objects of this core that turned out to be damaged.
    Wounds(Vec<Wound>),
    /// From now on new requests are refused.
    Drain,
    /// Make everything durable and end.
    Stop,
}

/// An answer on its way to the core that has the connection.
pub(crate) type MeshReply = (Origin, DataReply);

/// The receiving ends of one core.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    pub(crate) work: Receiver<Inbound>,
    pub(crate) replies: Receiver<Vec<MeshReply>>,
}

/// The sending ends, and what the present turn has for each core.
#[derive(Debug)]
pub(crate) struct Mesh {
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    work: Sender<Inbound>,
    answers: Sender<Vec<MeshReply>>,
    requests: Vec<MeshRequest>,
    replies: Vec<MeshReply>,
}

impl Mesh {
    /// The inboxes of `shards` cores, and a way into all of them.
    pub(crate) fn new(shards: usize) -> (Mesh, Vec<Inbox>) {
        Mesh::with_bounds(shards, INBOX_BATCHES_MAX, REPLY_BATCHES_MAX)
    }

    fn with_bounds(shards: usize, work_max: usize, replies_max: usize) -> (Mesh, Vec<Inbox>) {
        let ends = |_| {
            let (work_in, work) = flume::bounded(work_max);
            let (answers, replies) = flume::bounded(replies_max);
            (Route { work: work_in, answers, requests: Vec::new(), replies: Vec::new() }, Inbox { work, replies })
        };
        let (routes, inboxes) = (0..shards).map(ends).unzip();
        (Mesh { routes }, inboxes)
    }

    /// Another way into the same inboxes.
    pub(crate) fn again(&self) -> Mesh {
        let again = |route: &Route| Route {
            work: route.work.clone(),
            answers: route.answers.clone(),
            requests: Vec::new(),
            replies: Vec::new(),
        };
        Mesh { routes: self.routes.iter().map(again).collect() }
    }

    /// Keeps a request for `owner` until the turn ends.
    pub(crate) fn forward(&mut self, owner: ShardIndex, request: MeshRequest) {
        self.routes[usize::from(owner.0)].requests.push(request);
    }

    /// Keeps an answer for `home` until the turn ends.
    pub(crate) fn reply(&mut self, home: ShardIndex, reply: MeshReply) {
        if let Some(route) = self.routes.get_mut(usize::from(home.0)) {
            route.replies.push(reply);
        }
    }

    /// Gives a connection to `shard`, or gives it back if its inbox is full.
    pub(crate) fn hand_over(&self, shard: ShardIndex, connection: HandedConnection) -> Result<(), HandedConnection> {
        let route = &self.routes[usize::from(shard.0)];
        route.work.try_send(Inbound::Connection(Box::new(connection))).map_err(|error| match error.into_inner() {
            Inbound::Connection(connection) => *connection,
            Inbound::Requests(_) | Inbound::Run(_) | Inbound::Wounds(_) | Inbound::Drain | Inbound::Stop => {
                unreachable!("it gives back what it was given")
            }
        })
    }

    /// Tells every core to drain or to stop. Waits a little for room: for threads that are no executors.
    pub(crate) fn tell_all(&self, word: impl Fn() -> Inbound) {
        self.tell_each(|_| word());
    }

    /// The same, with a word of its own for each.
    pub(crate) fn tell_each(&self, word: impl Fn(ShardIndex) -> Inbound) {
        for (route, index) in self.routes.iter().zip(0..) {
            // A core that has ended needs no telling, and one that is stuck is the watchdog's affair.
            let _ = route.work.send_timeout(word(ShardIndex(index)), TELL_LIMIT);
        }
    }

    /// The same for one of them.
    pub(crate) fn tell(&self, shard: ShardIndex, word: Inbound) {
        if let Some(route) = self.routes.get(usize::from(shard.0)) {
            // As above.
            let _ = route.work.send_timeout(word, TELL_LIMIT);
        }
    }

    /// Sends what the turn has gathered; requests whose owner's inbox is full go to `refused`.
    pub(crate) fn flush(&mut self, refused: &mut Vec<MeshRequest>) {
        for route in &mut self.routes {
            route.flush_replies();
            route.flush_requests(refused);
        }
    }
}

impl Route {
    fn flush_requests(&mut self, refused: &mut Vec<MeshRequest>) {
        if self.requests.is_empty() {
            return;
        }
        let batch = Inbound::Requests(core::mem::take(&mut self.requests));
        if let Err(error) = self.work.try_send(batch)
            && let Inbound::Requests(mut batch) = error.into_inner()
        {
            refused.append(&mut batch);
            self.requests = batch; // Its room is used again.
        }
    }

    fn flush_replies(&mut self) {
        if self.replies.is_empty() {
            return;
        }
        match self.answers.try_send(core::mem::take(&mut self.replies)) {
            Ok(()) => {}
            Err(TrySendError::Full(replies)) => self.replies = replies,
            Err(TrySendError::Disconnected(_)) => {} // That core has ended, and its connections with it.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_protocol::ring::ObjectKey;
    use rondo_protocol::wire::reply::Refusal;

    const OTHER: ShardIndex = ShardIndex(1);

    fn request(number: u64) -> MeshRequest {
        let key = ObjectKey::new(b"default", b"key").expect("it is a valid key");
        let request = DataRequest::Get { key, options: Default::default() };
        MeshRequest { origin: Origin(number, 0), arrived: Instant(0), request }
    }

    #[test]
    fn requests_for_a_full_inbox_come_back_to_be_refused() {
        let (mut mesh, inboxes) = Mesh::with_bounds(2, 1, 1);
        let mut refused = Vec::new();
        mesh.forward(OTHER, request(1));
        mesh.flush(&mut refused);
        assert!(refused.is_empty());
        mesh.forward(OTHER, request(2));
        mesh.forward(OTHER, request(3));
        mesh.flush(&mut refused);
        assert_eq!(refused.iter().map(|request| request.origin.0).collect::<Vec<_>>(), [2, 3]);
        assert!(matches!(inboxes[1].work.try_recv(), Ok(Inbound::Requests(batch)) if batch.len() == 1));
    }

    #[test]
    fn answers_for_a_full_inbox_stay_and_leave_later_in_one_piece() {
        let (mut mesh, inboxes) = Mesh::with_bounds(2, 1, 1);
        let answer = |number| (Origin(number, 1), DataReply::Refused { refusal: Refusal::Busy, retry_after: None });
        for number in 1..=3 {
            mesh.reply(OTHER, answer(number));
            mesh.flush(&mut Vec::new());
        }
        let sizes = core::iter::from_fn(|| {
            let batch = inboxes[1].replies.try_recv().ok()?;
            mesh.flush(&mut Vec::new());
            Some(batch.len())
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [1, 2]);
    }
}
