//! Client bytes on their way, in random pieces, and what the node at the end makes of them.

use bytes::Bytes;
use core::time::Duration;

use rondo_protocol::limits::CONNECTION_IN_FLIGHT_MAX;
use rondo_protocol::now::Instant;
use rondo_protocol::ticket::Origin;
use rondo_protocol::wire::hello::PROTOCOL_VERSION;
use rondo_protocol::wire::reply::DataReply;
use rondo_protocol::wire::{Acquaintance, ClientHello, Limits, ServerHello, TopologyReply};

use super::{Occurrence, ShardLife, World};
use crate::client::Target;
use crate::fault::Seat;
use crate::server::{Incoming, ServerConnection, ServerEnd};

/// Pieces that the network may cut one write into.
const PIECES_MAX: u64 = 3;

impl World {
    /// Makes a connection between a client and a node that serves; `None` if nobody is there.
    pub(super) fn connect(&mut self, client: usize, target: Target) -> Option<(u64, u64)> {
        let life = self.nodes[target.0.0].serving()?;
        self.connections += 1;
        let number = self.connections;
        self.nodes[target.0.0].connections.insert(number, ServerEnd::new(number, client, target));
        Some((number, life))
    }

    /// A client's bytes reach the node.
    pub(super) fn arrive_at_server(&mut self, number: u64, seat: Seat, life: u64, bytes: &[u8]) {
        let node = &mut self.nodes[seat.0];
        if node.serving() != Some(life) {
            return;
        }
        let Some(end) = node.connections.get_mut(&number) else { return };
        let (mut incoming, mut out) = (Vec::new(), Vec::new());
        let outcome = end.connection.receive(bytes, &mut incoming, &mut out);
        self.send_to_client(seat, number, out);
        for message in incoming {
            self.take_in(seat, number, message);
        }
        if let Err(error) = outcome {
            self.broken("wire", format!("{seat} cannot read what a client sent: {error}"));
        }
    }

    fn take_in(&mut self, seat: Seat, number: u64, incoming: Incoming) {
        match incoming {
            Incoming::Hello { request_id, hello } => self.greet(seat, number, request_id, &hello),
            Incoming::Topology { request_id } => {
                let mut out = Vec::new();
                self.topology(seat).encode(request_id, &mut out);
                self.send_to_client(seat, number, out);
            }
            Incoming::Request { origin, request } => {
                let shard = self.cluster.owning_shard(seat, request.key());
                let to = self.shard_life(seat, shard);
                let here = self.nodes[seat.0].connections.get(&number).map(|end| end.connection.shard());
                let time = if here == Some(shard) { Duration::ZERO } else { self.mesh_time() };
                let arrived = self.now();
                self.schedule.after(time, Occurrence::Request { to, origin, arrived, request });
            }
        }
    }

    fn greet(&mut self, seat: Seat, number: u64, request_id: u32, hello: &ClientHello) {
        let topology = self.topology(seat);
        let node = &mut self.nodes[seat.0];
        let wanted = hello.wanted_shard.filter(|shard| shard.0 < node.shards.get());
        let shard = wanted.unwrap_or_else(|| node.deal());
        let Some(end) = node.connections.get_mut(&number) else { return };
        if hello.common_version().is_none() || !end.connection.greet(shard) {
            return self.broken("wire", format!("a client said {hello:?} to {seat}, or said it twice"));
        }
        let welcome = ServerHello {
            version: PROTOCOL_VERSION,
            node: node.id,
            node_name: seat.to_string(),
            cluster_id: 1,
            shard,
            shards: node.shards.get(),
            limits: Limits { in_flight_max: CONNECTION_IN_FLIGHT_MAX as u32, ..Limits::OURS },
            topology,
        };
        let mut out = Vec::new();
        welcome.encode(request_id, &mut out);
        self.send_to_client(seat, number, out);
    }

    fn topology(&self, seat: Seat) -> TopologyReply {
        TopologyReply::of_view(self.cluster.view(seat), |id| {
            let other = self.cluster.seat(id);
            Acquaintance {
                client_addr: Some(format!("{other}:7600")),
                shards: self.cluster.shards(other).get(),
                up: other == seat || self.network.receiver(seat, other).is_some(),
            }
        })
    }

    /// A core's reply reaches its connection.
    pub(super) fn reply(&mut self, from: ShardLife, origin: Origin, reply: DataReply) {
        let node = &mut self.nodes[from.seat.0];
        if node.serving() != Some(from.life) {
            return;
        }
        let number = ServerConnection::number_of(origin);
        let Some(end) = node.connections.get_mut(&number) else { return };
        let mut out = Vec::new();
        end.connection.reply(origin, reply, &mut out);
        self.send_to_client(from.seat, number, out);
    }

    /// Puts a node's bytes on their way to the client.
    fn send_to_client(&mut self, seat: Seat, number: u64, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let pieces = self.cut(bytes);
        let now = self.now();
        let Some(end) = self.nodes[seat.0].connections.get_mut(&number) else { return };
        for piece in pieces {
            let time = self.random.time(Duration::from_micros(20), Duration::from_millis(1));
            end.last_to_client = end.last_to_client.max(now + time);
            let (client, target) = (end.client, end.target);
            let piece = Occurrence::ToClient { client, target, connection: number, bytes: Some(piece) };
            self.schedule.at(end.last_to_client, piece);
        }
    }

    /// Puts a client's bytes on their way to the node; says when the last of them arrives.
    pub(super) fn send_to_server(
        &mut self,
        (number, seat, life): (u64, Seat, u64),
        bytes: Vec<u8>,
        mut last: Instant,
    ) -> Instant {
        for piece in self.cut(bytes) {
            let time = self.random.time(Duration::from_micros(20), Duration::from_millis(1));
            last = last.max(self.now() + time);
            self.schedule.at(last, Occurrence::ToServer { connection: number, seat, life, bytes: piece });
        }
        last
    }

    /// All connections of a node break; says how many there were.
    pub(super) fn break_connections(&mut self, seat: Seat) -> u64 {
        let broken = core::mem::take(&mut self.nodes[seat.0].connections);
        for (number, end) in &broken {
            let time = self.random.time(Duration::from_micros(20), Duration::from_millis(5));
            let (client, target) = (end.client, end.target);
            self.schedule.after(time, Occurrence::ToClient { client, target, connection: *number, bytes: None });
        }
        broken.len() as u64
    }

    fn cut(&mut self, bytes: Vec<u8>) -> Vec<Bytes> {
        let mut rest = Bytes::from(bytes);
        let mut pieces = Vec::new();
        for _ in 1..self.random.between(1, PIECES_MAX) {
            if rest.len() > 1 {
                let length = self.random.between(1, rest.len() as u64 - 1) as usize;
                pieces.push(rest.split_to(length));
            }
        }
        pieces.push(rest);
        pieces
    }
}
