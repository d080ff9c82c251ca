//! Cores act: whatever reaches a shard goes in as one event, and what comes out is planned.

use bytes::{Bytes, BytesMut};
use core::time::Duration;

use rondo_protocol::Event;
use rondo_protocol::limits::PEER_BODY_BYTES_MAX;
use rondo_protocol::node::PeerShard;
use rondo_protocol::now::{Instant, Now};
use rondo_protocol::wire::peer::PeerMessage;
use rondo_protocol::wire::{PeerFrame, decode_peer, encode_envelope, next_frame};

use super::{Occurrence, ShardLife, World};
use crate::checkers::limits;
use crate::fault::{FaultKind, Seat};
use crate::history::Key;
use crate::node::NodeState;
use crate::shard::{Output, Shard};

/// A shard looks at its disk no more often than this.
const DISK_LOOK_GAP: Duration = Duration::from_millis(20);

impl World {
    /// Something reaches a shard, unless its life is over or its core stands still.
    pub(super) fn at_shard(&mut self, of: ShardLife, occurrence: Occurrence) {
        let node = &self.nodes[of.seat.0];
        if node.life != of.life || node.is_down() {
            return;
        }
        let place = usize::from(of.shard.0);
        let free_at = node.stalled[place];
        let queued = !node.waiting[place].is_empty();
        if free_at > self.now() || queued {
            self.coverage.met(FaultKind::Stall);
            self.nodes[of.seat.0].waiting[place].push_back(occurrence);
            if !queued {
                self.schedule.at(free_at, Occurrence::Resume { of });
            }
            return;
        }
        self.do_at_shard(of, occurrence);
    }

    /// A core stood still: what came meanwhile is done in the order in which it came.
    pub(super) fn resume(&mut self, of: ShardLife) {
        let node = &mut self.nodes[of.seat.0];
        let place = usize::from(of.shard.0);
        if node.life != of.life {
            return;
        }
        if node.stalled[place] > self.schedule.now() {
            return self.schedule.at(node.stalled[place], Occurrence::Resume { of });
        }
        for occurrence in core::mem::take(&mut node.waiting[place]) {
            self.do_at_shard(of, occurrence);
        }
    }

    fn do_at_shard(&mut self, of: ShardLife, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Disk { operation, .. } => self.disk_ended(of, operation),
            Occurrence::PeerBytes { from, bytes, .. } => self.peer_bytes(of, from, bytes),
            Occurrence::LinkNews { peer, shards, .. } => {
                self.act(of, "link", |shard, now, output| {
                    shard.turn(now, Event::LinkChanged { node: peer, shards }, output);
                });
            }
            Occurrence::Request { origin, arrived, request, .. } => {
                self.act(of, "request", |shard, now, output| shard.request(now, origin, arrived, request, output));
            }
            Occurrence::Companion { .. } => {
                let mut more = false;
                self.act(of, "companion", |shard, now, output| more = shard.companion_step(now, output));
                if more {
                    self.plan_companion(of);
                }
            }
            Occurrence::Deadline { .. } => self.deadline(of),
            Occurrence::DiskLook { .. } => {
                self.nodes[of.seat.0].disk_looks[usize::from(of.shard.0)] = None;
                self.act(of, "disk-look", Shard::disk_look);
            }
            _ => unreachable!("the world sends only what concerns shards here"),
        }
    }

    /// One shard does one thing; what follows is planned.
    pub(super) fn act(&mut self, of: ShardLife, what: &str, deed: impl FnOnce(&mut Shard, Now, &mut Output)) {
        let node = &mut self.nodes[of.seat.0];
        let now = node.now(self.schedule.now());
        let Some(shard) = node.shards_mut().get_mut(usize::from(of.shard.0)) else { return };
        let mut output = Output::default();
        deed(shard, now, &mut output);
        let counts = [
            of.seat.0 as u64,
            u64::from(of.shard.0),
            output.sends.len() as u64,
            output.replies.len() as u64,
            output.appended.len() as u64,
        ];
        self.trace.note(now.instant, what, &counts, || {
            format!("{}/{}: {} sends, {} replies, {} appends", of.seat, of.shard.0, counts[2], counts[3], counts[4])
        });
        self.coverage.deletes_on_full += output.deletes_on_full;
        self.carry_out(of, output);
        self.plan_disk(of);
        self.plan_disk_look(of);
        self.plan_deadline(of);
        let shard = &self.nodes[of.seat.0].shards().get(usize::from(of.shard.0));
        if let Some(Err(violation)) = shard.map(limits::check) {
            self.broken(violation.checker, violation.what);
        }
    }

    fn carry_out(&mut self, of: ShardLife, output: Output) {
        if let Some(what) = output.broken {
            self.broken("storage", what);
        }
        let (place, actor) = (self.place(of), self.nodes[of.seat.0].actor());
        for (key, object) in &output.appended {
            let Some(key) = Key::of(key) else { continue };
            self.trace.note(self.schedule.now(), "append", &[object.digest()], || {
                let dots: Vec<_> = object.siblings().map(|sibling| sibling.dot).collect();
                format!("{}/{} {key} {dots:?}", of.seat, of.shard.0)
            });
            if let Err(violation) = self.dots.observe(&self.history, place, actor, key, object) {
                self.broken(violation.checker, violation.what);
            }
        }
        for (to, message) in output.sends {
            self.send_to_peer(of, to, &message);
        }
        for (origin, reply) in output.replies {
            let time = self.mesh_time();
            self.schedule.after(time, Occurrence::Reply { from: of, origin, reply });
        }
        for peer in output.disconnects {
            let to = self.cluster.seat(peer.node);
            if self.network.close(of.seat, to) {
                self.tell_link(of.seat, to, false);
            }
        }
        if output.companion_woke {
            self.plan_companion(of);
        }
    }

    fn send_to_peer(&mut self, of: ShardLife, to: PeerShard, message: &PeerMessage) {
        let (seat, from) = (self.cluster.seat(to.node), self.place(of));
        let Some(life) = self.network.receiver(of.seat, seat) else { return };
        let mut bytes = Vec::new();
        let clock = self.nodes[of.seat.0].now(self.now()).wall_millis;
        encode_envelope(1, clock, message, &mut bytes);
        // A connection never delivers twice; what comes twice is an answer or a request that somebody said again. No core
        // says a forward again, because doing a write twice is not the same as doing it once.
        let may_come_twice = !matches!(message, PeerMessage::Forward { .. });
        let lane = (of.shard, to.shard);
        let now = self.now();
        let arrivals = self.network.send(now, (of.seat, seat), lane, may_come_twice, &mut self.coverage);
        self.coverage.forwards += u64::from(!may_come_twice);
        let numbers = [of.seat.0 as u64, seat.0 as u64, bytes.len() as u64, arrivals.len() as u64];
        self.trace.note(now, "send", &numbers, || {
            format!("{}/{} to {seat}/{} x{}: {}", of.seat, of.shard.0, to.shard.0, arrivals.len(), brief(message))
        });
        let bytes = Bytes::from(bytes);
        for arrival in arrivals {
            let to = ShardLife { seat, life, shard: to.shard };
            self.schedule.at(arrival, Occurrence::PeerBytes { from, to, bytes: bytes.clone() });
        }
    }

    fn peer_bytes(&mut self, of: ShardLife, from: PeerShard, bytes: Bytes) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let frame = next_frame(&mut buffer, PEER_BODY_BYTES_MAX);
        let message = frame.map(|frame| frame.map(|frame| decode_peer(frame.header, frame.body)));
        let Ok(Some(Ok(PeerFrame::Message(envelope)))) = message else {
            self.broken("wire", format!("{from:?} sent what cannot be read: {message:?}"));
            return;
        };
        self.coverage.messages += 1;
        let event = Event::Message {
            from,
            epoch: envelope.epoch,
            clock_millis: envelope.clock_millis,
            message: envelope.message,
        };
        self.act(of, "message", |shard, now, output| shard.turn(now, event, output));
    }

    fn disk_ended(&mut self, of: ShardLife, operation: u64) {
        let node = &mut self.nodes[of.seat.0];
        if !node.disks[usize::from(of.shard.0)].complete(operation) {
            return;
        }
        match &node.state {
            NodeState::Recovering { .. } => self.recovery_goes_on(of),
            NodeState::Serving { .. } => self.act(of, "disk", |shard, now, output| shard.disk_ended(now, output)),
            NodeState::Down => {}
        }
    }

    fn deadline(&mut self, of: ShardLife) {
        let now = self.now();
        let node = &mut self.nodes[of.seat.0];
        let planned = &mut node.deadlines[usize::from(of.shard.0)];
        // One that was planned earlier and then brought forward comes again, for nothing.
        if planned.is_none_or(|planned| planned > now) {
            return;
        }
        *planned = None;
        self.act(of, "deadline", |shard, now, output| shard.deadline(now, output));
    }

    /// Plans the ends of the disk operations that a shard began.
    pub(super) fn plan_disk(&mut self, of: ShardLife) {
        let disk = &self.nodes[of.seat.0].disks[usize::from(of.shard.0)];
        for (operation, time) in disk.take_begun() {
            self.schedule.after(time, Occurrence::Disk { of, operation });
        }
    }

    fn plan_disk_look(&mut self, of: ShardLife) {
        let now = self.now();
        let node = &mut self.nodes[of.seat.0];
        let clock = node.now(now);
        let next = node.shards().get(usize::from(of.shard.0)).and_then(|shard| shard.next_disk_look(clock));
        let Some(next) = next.map(|next| next.max(now + DISK_LOOK_GAP)) else { return };
        let planned = &mut node.disk_looks[usize::from(of.shard.0)];
        if planned.is_none_or(|planned: Instant| next < planned) {
            *planned = Some(next);
            self.schedule.at(next, Occurrence::DiskLook { of });
        }
    }

    fn plan_deadline(&mut self, of: ShardLife) {
        // A core whose deadline does not move is called again after a while, not for ever at the same moment.
        let soonest = self.now() + Duration::from_micros(10);
        let node = &mut self.nodes[of.seat.0];
        let next = node.shards().get(usize::from(of.shard.0)).and_then(|shard| shard.core().next_deadline());
        let Some(next) = next.map(|next| next.max(soonest)) else { return };
        let planned = &mut node.deadlines[usize::from(of.shard.0)];
        if planned.is_none_or(|planned: Instant| next < planned) {
            *planned = Some(next);
            self.schedule.at(next, Occurrence::Deadline { of });
        }
    }

    fn plan_companion(&mut self, of: ShardLife) {
        let (quickest, slowest) = self.profile.disk.latency;
        let time = self.random.time(quickest, slowest);
        self.schedule.after(time, Occurrence::Companion { of });
    }

    /// What a message takes between two cores of a node.
    pub(super) fn mesh_time(&mut self) -> Duration {
        self.random.time(Duration::from_micros(1), Duration::from_micros(300))
    }

    /// A shard's place in the cluster.
    pub(super) fn place(&self, of: ShardLife) -> PeerShard {
        PeerShard { node: self.cluster.id(of.seat), shard: of.shard }
    }

    /// Every shard of a node in its present life.
    pub(super) fn lives(&self, seat: Seat) -> Vec<ShardLife> {
        let node = &self.nodes[seat.0];
        let shards = 0..node.shards.get();
        shards
            .map(|shard| ShardLife { seat, life: node.life, shard: rondo_protocol::node::ShardIndex(shard) })
            .collect()
    }
}

fn brief(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Replicate { ticket, .. } => format!("replicate {}:{}", ticket.index, ticket.generation),
        PeerMessage::Replicated { ticket, outcome } => {
            format!("replicated {}:{} {outcome:?}", ticket.index, ticket.generation)
        }
        PeerMessage::Fetch { ticket, digest_only, .. } => {
            format!("fetch {}:{} digest={digest_only}", ticket.index, ticket.generation)
        }
        PeerMessage::Fetched { ticket, .. } => format!("fetched {}:{}", ticket.index, ticket.generation),
        PeerMessage::Forward { ticket, .. } => format!("forward {}:{}", ticket.index, ticket.generation),
        PeerMessage::Forwarded { ticket, .. } => format!("forwarded {}:{}", ticket.index, ticket.generation),
        PeerMessage::EpochTooOld { epoch } => format!("epoch too old, mine is {epoch}"),
    }
}
