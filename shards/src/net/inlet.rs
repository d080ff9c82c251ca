//! A peer's link to this shard: messages come in, and nothing goes out but the link's own PONG.

use std::rc::Rc;

use bytes::BytesMut;
use rondo_protocol::Event;
use rondo_protocol::limits::PEER_BODY_BYTES_MAX;
use rondo_protocol::node::PeerShard;
use rondo_protocol::now::Instant;
use rondo_protocol::wire::peer::PeerEnvelope;
use rondo_protocol::wire::peer_hello::PEER_VERSION;
use rondo_protocol::wire::{DecodeError, Frame, PeerFrame, PeerWelcome, decode_peer, encode_link_pong};

use super::Socket;
use super::frames::Frames;
use super::peers::Peers;
use super::reader::{Next, Port};
use crate::limits::LINK_SILENCE_MAX;
use crate::shard::Shard;

/// One such link.
#[derive(Debug)]
pub(super) struct Inlet {
    /// Who speaks.
    pub(super) from: PeerShard,
    pub(super) socket: Rc<Socket>,
    carry: BytesMut,
    last_heard: Instant,
}

impl Peers {
    pub(super) fn inlet_socket(&mut self, number: u64) -> Option<Rc<Socket>> {
        self.inlets.get_mut(number).map(|inlet| Rc::clone(&inlet.socket))
    }

    pub(super) fn forget_inlet(&mut self, number: u64) {
        self.inlets.remove(number);
    }

    /// Breaks off links whose peers have been silent: they have gone without a word, and have opened new ones if they live.
    pub(crate) fn sweep_inlets(&mut self, now: Instant) {
        let silent = self.inlets.iter_mut().filter(|(_, inlet)| now - inlet.last_heard > LINK_SILENCE_MAX);
        silent.for_each(|(_, inlet)| inlet.socket.break_off());
    }
}

impl Shard {
    /// A peer's link that was found good: says so, and works on what came behind its hello.
    pub(super) fn take_in_inlet(&mut self, socket: Rc<Socket>, from: PeerShard, rest: &[u8]) -> Option<Port> {
        let welcome = PeerWelcome {
            version: PEER_VERSION,
            node: self.facts.node,
            shard: self.index,
            shards: self.facts.shards.get(),
            epoch: self.core.epoch(),
            clock_millis: self.now.wall_millis,
            client_addr: Some(self.facts.advertised.to_string()),
        };
        if socket.push(|out| welcome.encode(out)) {
            self.list(&socket);
        }
        let last_heard = self.now.instant;
        let number = self.peers.inlets.insert(Inlet { from, socket, carry: BytesMut::new(), last_heard });
        // It lives: no reason to wait any longer before our own link is tried again.
        if let Some(link) = self.peers.place_of(from.node).and_then(|place| self.peers.link(place, from.shard.0.into()))
        {
            link.try_again.ring();
        }
        if !rest.is_empty() {
            self.receive_inlet(number, rest);
        }
        Some(Port::Inlet(number))
    }

    /// Bytes from a peer.
    pub(super) fn receive_inlet(&mut self, number: u64, fresh: &[u8]) -> Next {
        let now = self.now.instant;
        let Some(inlet) = self.peers.inlets.get_mut(number) else { return Next::End };
        inlet.last_heard = now;
        let from = inlet.from;
        let mut frames = Frames::begin(&mut inlet.carry, &mut self.arena, fresh, PEER_BODY_BYTES_MAX);
        let taken = self.take_peer_frames(number, from, &mut frames);
        let mut carry = BytesMut::new();
        frames.end(&mut carry, &mut self.arena);
        if let Err(error) = taken {
            let address = self.peers.inlet_socket(number).and_then(|socket| socket.peer_addr());
            tracing::warn!(node = %from.node, shard = from.shard.0, ?address, %error, "a peer's message makes no sense");
            self.peers.forget_inlet(number);
            return Next::End;
        }
        if let Some(inlet) = self.peers.inlets.get_mut(number) {
            inlet.carry = carry;
        }
        Next::Read
    }

    fn take_peer_frames(&mut self, number: u64, from: PeerShard, frames: &mut Frames) -> Result<(), DecodeError> {
        while let Some(Frame { header, body }) = frames.next()? {
            match decode_peer(header, body)? {
                PeerFrame::Message(PeerEnvelope { epoch, clock_millis, message }) => {
                    self.admit_message(Event::Message { from, epoch, clock_millis, message });
                }
                PeerFrame::Ping { nonce } => self.pong(number, nonce),
                PeerFrame::Hello(_) | PeerFrame::Welcome(_) | PeerFrame::Reject(_) | PeerFrame::Pong { .. } => {
                    return Err(DecodeError::UnknownOpcode { found: header.opcode });
                }
            }
        }
        Ok(())
    }

    fn pong(&mut self, number: u64, nonce: u64) {
        let Some(socket) = self.peers.inlet_socket(number) else { return };
        if socket.push(|out| encode_link_pong(nonce, out)) {
            self.list(&socket);
        }
    }
}
