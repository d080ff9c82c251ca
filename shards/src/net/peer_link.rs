//! This shard's link to one shard of a peer: connect, introduce ourselves, send; and again when it breaks.
//!
//! ```text
//! connecting ──welcome──► up ──closed, or silent for 3 s──► waiting ──50 ms … 1 s, or the peer calls──► connecting
//! ```
//! The first link to a node goes to its shard 0, which tells how many shards there are; the others follow from that.

use core::num::NonZeroU16;
use core::time::Duration;
use std::io;
use std::rc::Rc;

use bytes::BytesMut;
use futures_lite::future;
use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::now::Instant;
use rondo_protocol::wire::peer_hello::{PEER_HELLO_BODY_BYTES_MAX, PEER_VERSION};
use rondo_protocol::wire::{
    DecodeError, PeerFrame, PeerHello, PeerReject, PeerWelcome, decode_peer, encode_link_ping, next_frame,
};

use super::Socket;
use super::outbox::Outbox;
use super::peers::Peers;
use super::reader::{Next, Port, read_loop};
use crate::limits::{
    LINK_CONNECT_LIMIT, LINK_PING_INTERVAL, LINK_SILENCE_MAX, RECONNECT_AFTER_MAX, RECONNECT_AFTER_MIN,
};
use crate::runtime::{Notify, Stream, sleep, spawn_detached};
use crate::shard::{Shard, ShardPhase, SharedShard};
use crate::status::LinkStatus;

/// One link. Up while its outbox has a socket.
#[derive(Debug, Default)]
pub(super) struct PeerLink {
    pub(super) outbox: Outbox,
    /// Rung when there is a reason to connect at once.
    pub(super) try_again: Rc<Notify>,
    carry: BytesMut,
    last_heard: Instant,
    last_ping: Instant,
    connects: u64,
    trouble: Option<String>,
}

/// Why a link did not come up.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
    #[error("no answer within {LINK_CONNECT_LIMIT:?}")]
    Silent,
    #[error("refused: {0}")]
    Rejected(String),
    #[error("the answer makes no sense: {0}")]
    Malformed(#[from] DecodeError),
    #[error("the answer is not one to PEER_HELLO")]
    Unexpected,
}

/// Starts the first link to each node.
pub(crate) fn start_links(shard: &SharedShard) {
    let peers = shard.with(|shard| shard.peers.all.len());
    (0..peers).for_each(|peer| spawn_detached(keep_link(shard.clone(), peer, 0)));
}

async fn keep_link(shard: SharedShard, peer: usize, to: usize) {
    let Some(try_again) = shard.with(|shard| shard.peers.link(peer, to).map(|link| Rc::clone(&link.try_again))) else {
        return;
    };
    let mut pause = RECONNECT_AFTER_MIN;
    while shard.with(|shard| shard.phase != ShardPhase::Stopping) {
        match introduce(&shard, peer, to).await {
            Ok((socket, welcome)) => {
                pause = RECONNECT_AFTER_MIN;
                let further = shard.turn(|shard| shard.link_up(peer, to, socket, welcome));
                further.for_each(|to| spawn_detached(keep_link(shard.clone(), peer, to)));
                read_loop(shard.clone(), Port::Link { peer, to }).await;
            }
            Err(error) => shard.with(|shard| shard.note_trouble(peer, to, &error)),
        }
        future::or(sleep(pause), try_again.wait()).await;
        pause = (pause * 2).min(RECONNECT_AFTER_MAX);
    }
}

async fn introduce(shard: &SharedShard, peer: usize, to: usize) -> Result<(Rc<Socket>, PeerWelcome), LinkError> {
    let address = shard.with(|shard| shard.facts.peers[peer].peer_addr);
    let stream = Stream::connect(address, LINK_CONNECT_LIMIT).await?;
    let socket = shard.with(|shard| {
        shard.begin_turn();
        let socket = shard.peers.socket_of(stream, shard.now.instant);
        socket.push(|out| shard.peer_hello(peer, to).encode(out));
        socket
    });
    socket.flush();
    match future::or(read_answer(&socket), silence(LINK_CONNECT_LIMIT)).await? {
        PeerFrame::Welcome(welcome) => Ok((socket, welcome)),
        PeerFrame::Reject(PeerReject { message, .. }) => Err(LinkError::Rejected(message)),
        PeerFrame::Hello(_) | PeerFrame::Ping { .. } | PeerFrame::Pong { .. } | PeerFrame::Message(_) => {
            Err(LinkError::Unexpected)
        }
    }
}

async fn silence(limit: Duration) -> Result<PeerFrame, LinkError> {
    sleep(limit).await;
    Err(LinkError::Silent)
}

/// Reads the one frame that answers a hello; nothing follows it before we send.
async fn read_answer(socket: &Socket) -> Result<PeerFrame, LinkError> {
    let mut buffer = BytesMut::new();
    let mut piece = [0; 512];
    loop {
        let count = core::future::poll_fn(|cx| socket.poll_read(cx, &mut piece)).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        buffer.extend_from_slice(&piece[..count]);
        if let Some(frame) = next_frame(&mut buffer, PEER_HELLO_BODY_BYTES_MAX)? {
            return Ok(decode_peer(frame.header, frame.body)?);
        }
    }
}

impl PeerLink {
    pub(super) fn status(&self, node: NodeId, shard: ShardIndex) -> LinkStatus {
        LinkStatus {
            node,
            shard,
            is_up: self.outbox.socket().is_some(),
            reconnects: self.connects.saturating_sub(1),
            outbox_bytes: self.outbox.bytes(),
            outbox_drops: self.outbox.drops,
            trouble: self.trouble.clone(),
        }
    }
}

impl Peers {
    pub(super) fn link_socket(&mut self, peer: usize, to: usize) -> Option<Rc<Socket>> {
        self.link(peer, to)?.outbox.socket().map(Rc::clone)
    }
}

impl Shard {
    fn peer_hello(&self, peer: usize, to: usize) -> PeerHello {
        let facts = &self.facts;
        PeerHello {
            version_min: PEER_VERSION,
            version_max: PEER_VERSION,
            cluster_id: facts.view.cluster_id,
            ring_fingerprint: facts.ring_fingerprint,
            keyspace_fingerprint: facts.keyspace_fingerprint,
            epoch: self.core.epoch(),
            clock_millis: self.now.wall_millis,
            node: facts.node,
            name: facts.name.clone(),
            rack: facts.rack.clone(),
            shard: self.index,
            shards: facts.shards.get(),
            client_addr: Some(facts.advertised.to_string()),
            target_node: self.peers.all[peer].node,
            target_shard: ShardIndex(u16::try_from(to).expect("shards are counted in 16 bits")),
        }
    }

    /// The link may be used. Returns the shards of the peer that have no link yet.
    fn link_up(&mut self, peer: usize, to: usize, socket: Rc<Socket>, welcome: PeerWelcome) -> core::ops::Range<usize> {
        let now = self.now.instant;
        let known = &mut self.peers.all[peer];
        known.client_addr = welcome.client_addr;
        known.shards = NonZeroU16::new(welcome.shards);
        let (linked, shards) = (known.links.len(), usize::from(welcome.shards));
        known.links.resize_with(linked.max(shards), PeerLink::default);
        let link = &mut known.links[to];
        link.connects += 1;
        self.counters.link_reconnects += u64::from(link.connects > 1);
        (link.last_heard, link.last_ping, link.trouble) = (now, now, None);
        link.carry.clear();
        link.outbox.open(socket);
        self.judge_reach(peer);
        linked..shards
    }

    /// The link broke.
    pub(super) fn link_down(&mut self, peer: usize, to: usize, why: &str) {
        let Some(link) = self.peers.link(peer, to) else { return };
        link.outbox.close();
        link.trouble.get_or_insert_with(|| why.to_owned());
        self.judge_reach(peer);
    }

    fn note_trouble(&mut self, peer: usize, to: usize, error: &LinkError) {
        let name = self.facts.peers[peer].name.clone();
        let Some(link) = self.peers.link(peer, to) else { return };
        link.outbox.close();
        let trouble = error.to_string();
        if link.trouble.as_ref() != Some(&trouble) {
            tracing::info!(peer = name, shard = to, trouble, "no link; trying again");
            link.trouble = Some(trouble);
        }
    }

    /// Bytes on our own link: nothing but PONG may come.
    pub(super) fn receive_link(&mut self, peer: usize, to: usize, fresh: &[u8]) -> Next {
        let now = self.now.instant;
        let Some(link) = self.peers.link(peer, to) else { return Next::End };
        link.last_heard = now;
        link.carry.extend_from_slice(fresh);
        match take_pongs(&mut link.carry) {
            Ok(()) => Next::Read,
            Err(error) => {
                self.link_down(peer, to, &error.to_string());
                Next::End
            }
        }
    }

    /// Once a beat: asks silent peers for a sign of life, and gives up those who give none.
    pub(crate) fn beat_links(&mut self) {
        let now = self.now.instant;
        let mut listed = Vec::new();
        for link in self.peers.all.iter_mut().flat_map(|peer| &mut peer.links) {
            let Some(socket) = link.outbox.socket() else { continue };
            if now - link.last_heard > LINK_SILENCE_MAX {
                link.trouble = Some(format!("silent for {LINK_SILENCE_MAX:?}"));
                socket.break_off();
            } else if now - link.last_ping >= LINK_PING_INTERVAL {
                link.last_ping = now;
                listed.extend(socket.push(|out| encode_link_ping(now.0, out)).then(|| Rc::clone(socket)));
            }
        }
        listed.iter().for_each(|socket| self.list(socket));
    }
}

fn take_pongs(carry: &mut BytesMut) -> Result<(), DecodeError> {
    while let Some(frame) = next_frame(carry, PEER_HELLO_BODY_BYTES_MAX)? {
        match decode_peer(frame.header, frame.body)? {
            PeerFrame::Pong { .. } => {}
            PeerFrame::Hello(_)
            | PeerFrame::Welcome(_)
            | PeerFrame::Reject(_)
            | PeerFrame::Ping { .. }
            | PeerFrame::Message(_) => return Err(DecodeError::UnknownOpcode { found: frame.header.opcode }),
        }
    }
    Ok(())
}
