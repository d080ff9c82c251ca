//! What a replica does for the coordinators of its peers: tell what it holds, and take in what they wrote.
//!
//! ```text
//! fetch:     loading ──► (what was found is not durable: parked) ──► fetched
//! replicate: waiting its turn, loading ──► merged ──changed: appended; either way durable──► replicated
//! ```
//! Both end after a while in any case: the coordinator has given up by then, and a disk that hangs must not fill the core
//! with them. An acknowledgement speaks of what the key holds after the merge, so it waits for that record even where nothing
//! had to be appended.

use crate::coordinator::in_flight::{Flight, InFlight, Progress};
use crate::coordinator::turn::Turn;
use crate::event::Found;
use crate::limits::{PEER_WAIT_MAX, REQUESTS_IN_FLIGHT_MAX, SIBLINGS_WARN, WRITES_IN_FLIGHT_MAX};
use crate::node::PeerShard;
use crate::object::EncodedObject;
use crate::ring::ObjectKey;
use crate::ticket::Ticket;
use crate::update::{self, Applied, Current};
use crate::view::ConflictPolicy;
use crate::wire::peer::{FetchAnswer, PeerMessage};
use crate::wire::reply::Refusal;

/// A fetch of a peer under way.
#[derive(Debug)]
pub(crate) struct ServeFetch {
    peer: PeerShard,
    peer_ticket: Ticket,
    digest_only: bool,
    /// What was found, until it is durable.
    found: Option<EncodedObject>,
}

/// Takes in a fetch.
pub(crate) fn fetch(
    peer: PeerShard,
    peer_ticket: Ticket,
    key: &ObjectKey,
    digest_only: bool,
    flights: &mut InFlight,
    turn: &mut Turn<'_>,
) {
    let serve = ServeFetch { peer, peer_ticket, digest_only, found: None };
    if REQUESTS_IN_FLIGHT_MAX <= flights.count() {
        return serve.answer(FetchAnswer::Refused(Refusal::Busy), turn);
    }
    let ticket = flights.insert(Flight::ServeFetch(serve), Some(turn.now.instant + PEER_WAIT_MAX));
    turn.load(ticket, key);
}

impl ServeFetch {
    /// The own store answered.
    pub(crate) fn loaded(&mut self, ticket: Ticket, found: Found, turn: &mut Turn<'_>) -> Progress {
        match found {
            Found::Nothing => self.answer(FetchAnswer::Nothing, turn),
            Found::Unreadable => self.answer(FetchAnswer::Refused(Refusal::Unreadable), turn),
            Found::Object { object, lsn } => {
                self.found = Some(object);
                if turn.shard.durability.is_durable(lsn) {
                    return self.durable(turn);
                }
                if turn.shard.durability.is_failing() {
                    return self.woken(turn);
                }
                turn.await_durable(lsn, ticket);
                return Progress::Waits;
            }
        }
        Progress::Settled
    }

    /// What was found is durable.
    pub(crate) fn durable(&mut self, turn: &mut Turn<'_>) -> Progress {
        let answer = match self.found.take() {
            Some(object) if self.digest_only => FetchAnswer::Digest(object.digest()),
            Some(object) => FetchAnswer::Object(object),
            None => FetchAnswer::Nothing,
        };
        self.answer(answer, turn);
        Progress::Settled
    }

    /// What was asked for is not there, or not durable, and nobody waits for it any more.
    pub(crate) fn woken(&mut self, turn: &mut Turn<'_>) -> Progress {
        self.answer(FetchAnswer::Refused(Refusal::DiskFailed), turn);
        Progress::Settled
    }

    fn answer(&self, answer: FetchAnswer, turn: &mut Turn<'_>) {
        turn.send_back(self.peer, PeerMessage::Fetched { ticket: self.peer_ticket, answer });
    }
}

/// A version of a peer under way into the store.
#[derive(Debug)]
pub(crate) struct Merge {
    peer: PeerShard,
    peer_ticket: Ticket,
    key: ObjectKey,
    object: EncodedObject,
    policy: ConflictPolicy,
}

/// Takes in a peer's version.
pub(crate) fn replicate(
    peer: PeerShard,
    peer_ticket: Ticket,
    key: ObjectKey,
    object: EncodedObject,
    flights: &mut InFlight,
    turn: &mut Turn<'_>,
) {
    match admit(&key, &object, flights, turn) {
        Err(refusal) => {
            let message = PeerMessage::Replicated { ticket: peer_ticket, outcome: Err(refusal) };
            turn.send_back(peer, message);
        }
        Ok(policy) => {
            let merge = Merge { peer, peer_ticket, key, object, policy };
            let ticket = flights.insert(Flight::Merge(merge), Some(turn.now.instant + PEER_WAIT_MAX));
            update::begin(ticket, flights, turn);
        }
    }
}

fn admit(
    key: &ObjectKey,
    object: &EncodedObject,
    flights: &InFlight,
    turn: &mut Turn<'_>,
) -> Result<ConflictPolicy, Refusal> {
    let policy = turn.shard.policy(key).ok_or(Refusal::UnknownKeyspace)?;
    turn.shard.durability.check_append(object.is_deleted())?;
    if WRITES_IN_FLIGHT_MAX <= flights.count() {
        return Err(Refusal::Busy);
    }
    // What is stored is observed first, so that no later dot of this shard is earlier than what it replaces.
    let is_in_time = turn.shard.clock.observe(turn.now, object.latest()).is_ok();
    if !is_in_time {
        turn.shard.stats.clock_refused += 1;
        return Err(Refusal::ClockSkew);
    }
    Ok(policy)
}

impl Merge {
    /// The key it writes.
    pub(crate) fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Its turn: merges, and appends the result if it is news.
    pub(crate) fn apply(&mut self, ticket: Ticket, current: &mut Current, turn: &mut Turn<'_>) -> Applied {
        if let Err(refusal) = turn.shard.durability.check_append(self.object.is_deleted()) {
            return self.refuse(refusal, turn);
        }
        let (merged, lsn_known) = match current {
            Current::Unreadable => return self.refuse(Refusal::Unreadable, turn),
            Current::Nothing | Current::NotLoaded => (self.object.clone(), None),
            Current::Object { object, lsn } => {
                let merged = object.merge(&self.object, self.policy, &mut turn.shard.arena);
                if merged.check_limits().is_err() {
                    return self.refuse(Refusal::TooManySiblings, turn);
                }
                let lsn_known = (merged == *object).then_some(*lsn);
                (merged, lsn_known)
            }
        };
        turn.shard.stats.replicated_in += 1;
        let lsn = lsn_known.unwrap_or_else(|| self.append(merged, current, turn));
        if turn.await_durable(lsn, ticket) {
            return Applied::from(self.durable(turn));
        }
        Applied::Waits
    }

    fn append(&self, merged: EncodedObject, current: &mut Current, turn: &mut Turn<'_>) -> crate::ticket::Lsn {
        if self.policy == ConflictPolicy::Siblings {
            let is_crowded = SIBLINGS_WARN < merged.siblings().count();
            turn.shard.stats.siblings_warned += u64::from(is_crowded);
        }
        let lsn = turn.append(&self.key, &merged);
        *current = Current::Object { object: merged, lsn };
        lsn
    }

    /// What the key holds now is durable.
    pub(crate) fn durable(&mut self, turn: &mut Turn<'_>) -> Progress {
        self.answer(Ok(()), turn);
        Progress::Settled
    }

    /// It is not durable (or not even loaded), and nobody waits for it any more.
    pub(crate) fn woken(&mut self, turn: &mut Turn<'_>) -> Progress {
        self.answer(Err(Refusal::DiskFailed), turn);
        Progress::Settled
    }

    /// Nothing was stored.
    pub(crate) fn refuse(&mut self, refusal: Refusal, turn: &mut Turn<'_>) -> Applied {
        self.answer(Err(refusal), turn);
        Applied::Settled
    }

    fn answer(&self, outcome: Result<(), Refusal>, turn: &mut Turn<'_>) {
        turn.send_back(self.peer, PeerMessage::Replicated { ticket: self.peer_ticket, outcome });
    }
}
