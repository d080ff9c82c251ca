//! What one shard knows of the other nodes, and its links to and from them.

use core::num::NonZeroU16;
use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use rondo_protocol::Event;
use rondo_protocol::node::{NodeId, PeerShard, ShardIndex};
use rondo_protocol::now::Instant;
use rondo_protocol::wire::hello::PROTOCOL_VERSION;
use rondo_protocol::wire::peer::PeerMessage;
use rondo_protocol::wire::{Limits, ServerHello, TopologyNode, TopologyReply, encode_envelope};

use super::Socket;
use super::inlet::Inlet;
use super::peer_link::PeerLink;
use super::socket::Traffic;
use crate::facts::NodeFacts;
use crate::numbered::Numbered;
use crate::runtime::Stream;
use crate::shard::Shard;
use crate::status::LinkStatus;
use crate::watch::PeerReport;

/// All other nodes.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) traffic: Rc<Traffic>,
    pub(super) all: Vec<Peer>,
    by_node: AHashMap<NodeId, usize>,
    pub(super) inlets: Numbered<Inlet>,
}

/// One of them. Its place in the list is that in [`NodeFacts::peers`].
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    /// As it says itself, once it has.
    pub(super) client_addr: Option<String>,
    pub(super) shards: Option<NonZeroU16>,
    /// One for each of its shards, as far as they are known; at least one.
    pub(super) links: Vec<PeerLink>,
    /// What the core was last told.
    pub(super) is_up: bool,
}

impl Peers {
    /// Nobody is reached yet.
    pub(crate) fn new(facts: &Arc<NodeFacts>) -> Peers {
        let numbers = || facts.peers.iter().map(|entry| NodeId::of_name(&entry.name));
        let unknown =
            |node| Peer { node, client_addr: None, shards: None, links: vec![PeerLink::default()], is_up: false };
        Peers {
            traffic: Rc::default(),
            all: numbers().map(unknown).collect(),
            by_node: numbers().zip(0..).collect(),
            inlets: Numbered::default(),
        }
    }

    /// A socket around a stream, counted as peers' traffic.
    pub(crate) fn socket_of(&self, stream: Stream, now: Instant) -> Rc<Socket> {
        Socket::new(stream, &self.traffic, now)
    }

    /// The place of a node.
    pub(super) fn place_of(&self, node: NodeId) -> Option<usize> {
        self.by_node.get(&node).copied()
    }

    pub(super) fn link(&mut self, peer: usize, to: usize) -> Option<&mut PeerLink> {
        self.all.get_mut(peer)?.links.get_mut(to)
    }

    /// What is known of a node: its client address, its shards, and whether all links to it are up.
    pub(crate) fn known_of(&self, peer: usize) -> (Option<&str>, Option<NonZeroU16>, bool) {
        let peer = &self.all[peer];
        (peer.client_addr.as_deref(), peer.shards, peer.is_up)
    }

    /// The same, for whoever watches.
    pub(crate) fn report_of(&self, peer: usize) -> PeerReport {
        let (client_addr, shards, is_up) = self.known_of(peer);
        PeerReport { client_addr: client_addr.map(str::to_owned), shards, is_up }
    }

    /// All links, for whoever shows them.
    pub(crate) fn link_statuses(&self) -> Vec<LinkStatus> {
        let of_peer = |peer: &Peer| {
            let node = peer.node;
            let indexes = (0..).map(ShardIndex);
            peer.links.iter().zip(indexes).map(move |(link, shard)| link.status(node, shard)).collect::<Vec<_>>()
        };
        self.all.iter().flat_map(of_peer).collect()
    }

    /// Breaks off every link in both directions.
    pub(crate) fn break_off_all(&mut self) {
        self.inlets.iter_mut().for_each(|(_, inlet)| inlet.socket.break_off());
        self.all.iter_mut().flat_map(|peer| &mut peer.links).for_each(|link| link.outbox.close());
    }
}

impl Shard {
    /// Sends a message to a shard of a peer, as far as its outbox takes it.
    pub(crate) fn send(&mut self, to: PeerShard, message: &PeerMessage) {
        let (epoch, clock_millis) = (self.core.epoch(), self.now.wall_millis);
        let place = self.peers.place_of(to.node);
        let link = place.and_then(|place| self.peers.link(place, usize::from(to.shard.0)));
        let Some(link) = link else {
            self.counters.outbox_drops += 1; // The peer has not said yet how many shards it has.
            return;
        };
        let drops = link.outbox.drops;
        let listed = link.outbox.push(|out| encode_envelope(epoch, clock_millis, message, out));
        self.counters.outbox_drops += link.outbox.drops - drops;
        if let Some(socket) = listed {
            self.list(&socket);
        }
    }

    /// Closes all links with a node; ours are connected anew.
    pub(crate) fn disconnect(&mut self, node: NodeId) {
        let Some(place) = self.peers.place_of(node) else { return };
        let sockets = self.peers.all[place].links.iter().filter_map(|link| link.outbox.socket());
        sockets.for_each(|socket| socket.break_off());
        let theirs = self.peers.inlets.iter_mut().filter(|(_, inlet)| inlet.from.node == node);
        theirs.for_each(|(_, inlet)| inlet.socket.break_off());
    }

    /// Tells the core when a node has come into reach or gone out of it. In reach means all links are up: they end in one
    /// process, and a core of it that does not answer is as bad as none.
    pub(super) fn judge_reach(&mut self, place: usize) {
        let peer = &mut self.peers.all[place];
        let shards = peer.shards.filter(|shards| {
            // A peer that came back with fewer shards leaves links over; they do no harm and do not count.
            let wanted = usize::from(shards.get());
            let linked = peer.links.iter().take(wanted).filter(|link| link.outbox.socket().is_some()).count();
            linked == wanted
        });
        if peer.is_up != shards.is_some() {
            peer.is_up = shards.is_some();
            let node = peer.node;
            self.deliver(Event::LinkChanged { node, shards });
        }
    }

    /// The answer to HELLO.
    pub(crate) fn server_hello(&self) -> ServerHello {
        ServerHello {
            version: PROTOCOL_VERSION,
            node: self.facts.node,
            node_name: self.facts.name.clone(),
            cluster_id: self.facts.view.cluster_id,
            shard: self.index,
            shards: self.facts.shards.get(),
            limits: Limits::OURS,
            topology: self.topology_reply(),
        }
    }

    /// The cluster as a client is told.
    pub(crate) fn topology_reply(&self) -> TopologyReply {
        let view = &self.facts.view;
        let describe = |node: &rondo_protocol::ring::RingNode| {
            let own = (Some(self.facts.advertised.to_string()), self.facts.shards.get(), true);
            let (client_addr, shards, up) = match self.peers.place_of(node.id) {
                None => own,
                Some(place) => {
                    let (address, shards, up) = self.peers.known_of(place);
                    (address.map(str::to_owned), shards.map_or(0, NonZeroU16::get), up)
                }
            };
            TopologyNode { id: node.id, name: node.name.clone(), rack: node.rack.clone(), client_addr, shards, up }
        };
        TopologyReply {
            epoch: view.epoch,
            vnode_bits: view.ring.bits(),
            nodes: view.ring.nodes().iter().map(describe).collect(),
            owners: self.facts.owners.clone(),
            keyspaces: view.keyspaces.clone(),
        }
    }
}
