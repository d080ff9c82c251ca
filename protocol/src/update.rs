//! One writer at a time for a key: load, merge, append; later writers of that key queue behind the load.
//!
//! ```text
//! begin ──nobody loads the key, no load needed──► applied at once
//!   │ ╲──nobody loads the key──► the key is loaded ──► all that queued are applied in turn, each on the last one's object
//!   ╰──somebody does──► queued (bounded)
//! ```
//! Only a load takes time: an append is visible to later loads at once, so the key is free again as soon as it is done.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::coordinator::in_flight::{Flight, InFlight, Progress};
use crate::coordinator::turn::Turn;
use crate::event::Found;
use crate::limits::{WRITER_QUEUES_SPARE, WRITERS_PER_KEY_MAX};
use crate::object::EncodedObject;
use crate::ring::{ObjectKey, Token};
use crate::ticket::{Lsn, Ticket};
use crate::wire::reply::Refusal;

/// What a key holds when a writer's turn comes.
#[derive(Debug)]
pub(crate) enum Current {
    /// Nobody looked: the writer does not need to know.
    NotLoaded,
    /// Nothing.
    Nothing,
    /// This, from that log record.
    Object { object: EncodedObject, lsn: Lsn },
    /// The store could not say.
    Unreadable,
}

/// What a writer did with its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Applied {
    /// Done or refused; remove it.
    Settled,
    /// It waits for the disk or its peers.
    Waits,
    /// It needs a higher bound of the clock, and another turn then.
    AwaitsBound,
}

impl From<Progress> for Applied {
    fn from(progress: Progress) -> Applied {
        match progress {
            Progress::Waits => Applied::Waits,
            Progress::Settled => Applied::Settled,
        }
    }
}

/// The loading of a key, and the writers that wait for it in the order they came.
#[derive(Debug)]
pub(crate) struct KeyLoad {
    token: Token,
    writers: Vec<Ticket>,
}

/// Which keys are being loaded for writers.
///
/// Keys are told apart by token: two keys of one token would only queue behind each other.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    loading: HashMap<Token, Ticket, BuildHasherDefault<TokenHasher>>,
    /// Emptied queues, used again.
    spare: Vec<Vec<Ticket>>,
}

/// A token is evenly spread already: its low half will do.
#[derive(Debug, Default)]
pub(crate) struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

/// The writer of `ticket` wants its turn.
pub(crate) fn begin(ticket: Ticket, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let Some((key, needs_load)) = writer(ticket, flights) else { return };
    let token = key.token();
    match turn.shard.updates.loading.get(&token).copied() {
        Some(load) => enqueue(load, ticket, flights, turn),
        None if needs_load => {
            let key = key.clone();
            let mut writers = turn.shard.updates.spare.pop().unwrap_or_default();
            writers.push(ticket);
            let load = flights.insert(Flight::KeyLoad(KeyLoad { token, writers }), None);
            turn.shard.updates.loading.insert(token, load);
            turn.load(load, &key);
        }
        None => apply(ticket, &mut Current::NotLoaded, flights, turn),
    }
}

/// The key of `load` is loaded: all who queued have their turn.
pub(crate) fn loaded(load: Ticket, found: Found, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let Some(Flight::KeyLoad(KeyLoad { token, mut writers })) = flights.remove(load) else { return };
    turn.shard.updates.loading.remove(&token);
    let mut current = match found {
        Found::Nothing => Current::Nothing,
        Found::Object { object, lsn } => Current::Object { object, lsn },
        Found::Unreadable => Current::Unreadable,
    };
    for ticket in writers.drain(..) {
        apply(ticket, &mut current, flights, turn);
    }
    if turn.shard.updates.spare.len() < WRITER_QUEUES_SPARE {
        turn.shard.updates.spare.push(writers);
    }
}

/// The puts that wait for a higher bound of the clock try again: it is higher now, or there will be none for a while.
pub(crate) fn retry_waiting(flights: &mut InFlight, turn: &mut Turn<'_>) {
    // Only as many as wait now: one that finds the bound too low again goes to the end.
    for _ in 0..turn.shard.clock.waiting_count() {
        let Some(ticket) = turn.shard.clock.pop_waiting() else { return };
        begin(ticket, flights, turn);
    }
}

/// The key of a writer and whether it must know what the key holds; `None` if it is gone (its deadline passed).
fn writer(ticket: Ticket, flights: &mut InFlight) -> Option<(&ObjectKey, bool)> {
    match flights.get_mut(ticket)? {
        Flight::Put(put) => Some((put.key(), put.needs_load())),
        Flight::Merge(merge) => Some((merge.key(), true)),
        Flight::Get(_) | Flight::Forward(_) | Flight::ServeFetch(_) | Flight::KeyLoad(_) => None,
    }
}

fn enqueue(load: Ticket, ticket: Ticket, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let Some(Flight::KeyLoad(queue)) = flights.get_mut(load) else { return };
    if queue.writers.len() < WRITERS_PER_KEY_MAX {
        queue.writers.push(ticket);
        turn.shard.stats.writers_queued += 1;
        return;
    }
    let applied = match flights.get_mut(ticket) {
        Some(Flight::Put(put)) => put.refuse(Refusal::Busy, turn),
        Some(Flight::Merge(merge)) => merge.refuse(Refusal::Busy, turn),
        Some(Flight::Get(_) | Flight::Forward(_) | Flight::ServeFetch(_) | Flight::KeyLoad(_)) | None => return,
    };
    finish(ticket, applied, flights, turn);
}

fn apply(ticket: Ticket, current: &mut Current, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let applied = match flights.get_mut(ticket) {
        Some(Flight::Put(put)) => put.apply(ticket, current, turn),
        Some(Flight::Merge(merge)) => merge.apply(ticket, current, turn),
        Some(Flight::Get(_) | Flight::Forward(_) | Flight::ServeFetch(_) | Flight::KeyLoad(_)) | None => return,
    };
    finish(ticket, applied, flights, turn);
}

fn finish(ticket: Ticket, applied: Applied, flights: &mut InFlight, turn: &mut Turn<'_>) {
    match applied {
        Applied::Waits => {}
        Applied::Settled => flights.settle(ticket, Progress::Settled),
        Applied::AwaitsBound => turn.shard.clock.await_bound(ticket),
    }
}
