//! A read: one full value, digests from the others, and a closer look where they differ.
//!
//! ```text
//! asking ──R agree, one of them in full──────────────────────────────► replied
//!    │ ╲──20 ms──► hedged: the replicas not yet asked are asked too ──►    ▲
//!    │──answers differ──► merging: R in full, merged ─────────────────────╯
//!    ╰──too few left, or the deadline──► refused (a read changes nothing)
//! ```
//! The own copy is asked first. What it holds but the disk does not yet is not told before it is durable.

mod asking;

use super::Asker;
use super::in_flight::{Flight, InFlight, Progress};
use super::marks::Marks;
use super::plan::Plan;
use super::turn::Turn;
use crate::event::Found;
use crate::limits::READ_HEDGE_AFTER;
use crate::node::NodeId;
use crate::now::Instant;
use crate::object::EncodedObject;
use crate::ring::ObjectKey;
use crate::ticket::Ticket;
use crate::wire::peer::FetchAnswer;
use crate::wire::reply::{DataReply, Refusal};

/// A get under way.
#[derive(Debug)]
pub(crate) struct Get {
    asker: Asker,
    key: ObjectKey,
    plan: Plan,
    /// Who was asked for anything, and who for all of it.
    asked: Marks,
    asked_whole: Marks,
    /// Who has told all that it holds.
    whole: Marks,
    /// What all answers so far agree on.
    agreed: Option<Content>,
    /// The answers differed: from here on only whole ones count.
    is_merging: bool,
    /// The merge of what was told in full.
    object: Option<EncodedObject>,
    /// The own copy, until it is durable.
    own: Option<EncodedObject>,
    has_hedged: bool,
    /// Why the last replica refused.
    refusal: Refusal,
}

/// What a replica holds, in short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Nothing,
    Digest(u64),
}

/// Takes in a get whose plan stands.
pub(crate) fn start(asker: Asker, key: ObjectKey, plan: Plan, flights: &mut InFlight, turn: &mut Turn<'_>) {
    if !plan.quorum.can_still_be_reached() {
        return turn.refuse(asker, Refusal::NotEnoughReplicas);
    }
    let wake = plan.deadline.min(turn.now.instant + READ_HEDGE_AFTER);
    let get = Get {
        asker,
        key,
        plan,
        asked: Marks::NONE,
        asked_whole: Marks::NONE,
        whole: Marks::NONE,
        agreed: None,
        is_merging: false,
        object: None,
        own: None,
        has_hedged: false,
        refusal: Refusal::NotEnoughReplicas,
    };
    let ticket = flights.insert(Flight::Get(get), Some(wake));
    if let Some(Flight::Get(get)) = flights.get_mut(ticket) {
        get.ask_enough(ticket, turn);
    }
}

impl Get {
    /// The own store answered.
    pub(crate) fn loaded(&mut self, ticket: Ticket, found: Found, turn: &mut Turn<'_>) -> Progress {
        let Some(me) = self.plan.me else { return Progress::Waits };
        match found {
            Found::Nothing => self.hear_whole(usize::from(me), None, turn),
            Found::Unreadable => self.hear_refusal(usize::from(me), Refusal::Unreadable),
            Found::Object { object, lsn } if turn.shard.durability.is_durable(lsn) => {
                self.hear_whole(usize::from(me), Some(object), turn);
            }
            // It may be durable one day; others can answer now.
            Found::Object { .. } if turn.shard.durability.is_failing() => {
                self.hear_refusal(usize::from(me), Refusal::DiskFailed);
            }
            Found::Object { object, lsn } => {
                turn.await_durable(lsn, ticket);
                self.own = Some(object);
                return Progress::Waits;
            }
        }
        self.advance(ticket, turn)
    }

    /// The own copy is durable.
    pub(crate) fn durable(&mut self, ticket: Ticket, turn: &mut Turn<'_>) -> Progress {
        if let (Some(me), Some(object)) = (self.plan.me, self.own.take()) {
            self.hear_whole(usize::from(me), Some(object), turn);
        }
        self.advance(ticket, turn)
    }

    /// A peer answered.
    pub(crate) fn fetched(
        &mut self,
        ticket: Ticket,
        from: NodeId,
        answer: FetchAnswer,
        turn: &mut Turn<'_>,
    ) -> Progress {
        let Some(place) = self.plan.place(from) else { return Progress::Waits };
        match answer {
            FetchAnswer::Nothing => self.hear_whole(place, None, turn),
            FetchAnswer::Object(object) => self.hear_whole(place, Some(object), turn),
            FetchAnswer::Digest(digest) => self.hear_digest(place, digest, turn),
            FetchAnswer::Refused(refusal) => self.hear_refusal(place, refusal),
        }
        self.advance(ticket, turn)
    }

    /// The link to a node went down: it will not answer.
    pub(crate) fn link_down(&mut self, ticket: Ticket, node: NodeId, turn: &mut Turn<'_>) -> Progress {
        let Some(place) = self.plan.place(node) else { return Progress::Waits };
        self.hear_refusal(place, Refusal::NotEnoughReplicas);
        self.advance(ticket, turn)
    }

    /// Time to hedge, or to give up; with the time to be woken next.
    pub(crate) fn woken(&mut self, ticket: Ticket, turn: &mut Turn<'_>) -> (Progress, Instant) {
        let deadline = self.plan.deadline;
        if deadline <= turn.now.instant {
            turn.refuse(self.asker, Refusal::NotEnoughReplicas);
            return (Progress::Settled, deadline);
        }
        if !self.has_hedged {
            self.has_hedged = true;
            let mut has_asked = false;
            while let Some(place) = self.next_to_ask(turn) {
                self.ask(place, self.whole.is_empty(), ticket, turn);
                has_asked = true;
            }
            turn.shard.stats.read_hedges += u64::from(has_asked);
        }
        (Progress::Waits, deadline)
    }

    fn hear_whole(&mut self, place: usize, object: Option<EncodedObject>, turn: &mut Turn<'_>) {
        if self.whole.has(place) {
            return; // The network said it twice.
        }
        self.whole.set(place);
        self.plan.quorum.record_answer(place);
        if 1 < self.plan.quorum.required() && !self.is_merging {
            let content = object.as_ref().map_or(Content::Nothing, |object| Content::Digest(object.digest()));
            self.compare(content, turn);
        }
        self.object = match (self.object.take(), object) {
            (Some(known), Some(told)) if known != told => {
                Some(known.merge(&told, self.plan.policy, &mut turn.shard.arena))
            }
            (known, told) => known.or(told),
        };
    }

    fn hear_digest(&mut self, place: usize, digest: u64, turn: &mut Turn<'_>) {
        if self.is_merging || self.whole.has(place) {
            return; // It answers a question that is no longer asked.
        }
        self.plan.quorum.record_answer(place);
        self.compare(Content::Digest(digest), turn);
    }

    fn hear_refusal(&mut self, place: usize, refusal: Refusal) {
        self.plan.quorum.record_failure(place);
        self.refusal = refusal;
    }

    /// The first answer that differs from the others opens the closer look.
    fn compare(&mut self, content: Content, turn: &mut Turn<'_>) {
        if *self.agreed.get_or_insert(content) == content {
            return;
        }
        self.is_merging = true;
        turn.shard.stats.read_mismatches += 1;
        self.plan.quorum.recount(self.whole);
        for (place, node) in self.plan.nodes.iter().enumerate() {
            if !turn.shard.is_reachable(*node) {
                self.plan.quorum.record_failure(place);
            }
        }
    }

    /// Replies, gives up, or asks whom it takes.
    fn advance(&mut self, ticket: Ticket, turn: &mut Turn<'_>) -> Progress {
        if self.plan.quorum.is_reached() && !self.whole.is_empty() {
            let reply = self.reply();
            turn.answer(self.asker, reply);
            return Progress::Settled;
        }
        if !self.plan.quorum.can_still_be_reached() {
            // With one replica there is one reason, and it says more than that the replicas do not suffice.
            let is_alone = self.plan.quorum.replicas() == 1;
            let refusal = if is_alone { self.refusal } else { Refusal::NotEnoughReplicas };
            turn.refuse(self.asker, refusal);
            return Progress::Settled;
        }
        self.ask_enough(ticket, turn);
        Progress::Waits
    }

    fn reply(&mut self) -> DataReply {
        let receipt = self.plan.receipt();
        let token_low = self.key.token().low32();
        match self.object.take() {
            // What replicas took in apart may together be more than a reply can carry.
            Some(object) if object.check_limits().is_err() => {
                DataReply::Refused { refusal: Refusal::TooManySiblings, retry_after: None }
            }
            Some(object) if !object.is_deleted() => DataReply::Found { receipt, token_low, object },
            object => DataReply::NotFound { receipt, token_low, object },
        }
    }
}
