//! Everything under way in one core, by ticket, and when each piece wants to be woken.
//!
//! Think of a cloakroom: numbered hooks, and a tag that also says the how-manyth coat of that hook it belongs to, so
//! an old tag never fetches a stranger's coat. The wake times stand in an array of their own, because one linear look
//! over them (eight bytes each, at most once a millisecond and usually every few seconds) is cheaper than keeping
//! any order among requests that nearly always settle long before.
//!
//! What a flight does when it is woken or answered is its own file's work.

use super::forward::Forward;
use super::get::Get;
use super::put::Put;
use crate::now::Instant;
use crate::planted::{Planted, is_planted};
use crate::replica::{Merge, ServeFetch};
use crate::ticket::Ticket;
use crate::update::KeyLoad;

/// A piece of work that waits for something.
#[derive(Debug)]
pub(crate) enum Flight {
    /// A client's get.
    Get(Get),
    /// A put or delete that this core coordinates.
    Put(Put),
    /// A put or delete handed to a replica.
    Forward(Forward),
    /// A peer's fetch.
    ServeFetch(ServeFetch),
    /// A peer's version to be merged in.
    Merge(Merge),
    /// The loading of a key for the writers that queue for it.
    KeyLoad(KeyLoad),
}

/// Does the flight go on waiting, or is it over?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Progress {
    /// Keep it.
    Waits,
    /// Remove it.
    Settled,
}

/// Wants no waking.
const NEVER: Instant = Instant(u64::MAX);
/// Wake times are rounded up to this, so that they are looked over at most a thousand times a second.
const WAKE_NANOS: u64 = 1_000_000;

#[derive(Debug)]
struct Place {
    generation: u32,
    flight: Option<Flight>,
}

impl Place {
    /// Is what lives here what the ticket was given for?
    #[inline]
    fn is_of(&self, ticket: Ticket) -> bool {
        self.generation == ticket.generation || is_planted(Planted::StaleTicketAnswered)
    }
}

/// All flights of one core.
#[derive(Debug)]
pub(crate) struct InFlight {
    places: Vec<Place>,
    wake: Vec<Instant>,
    vacant: Vec<u32>,
    earliest: Instant,
    /// Of the first ticket of each place. Peers may still answer what the life before asked: if all lives counted from 0,
    /// such an answer would name a flight of this one.
    generation_first: u32,
}

impl InFlight {
    /// No flights yet. `salt` differs from life to life.
    pub(crate) fn new(salt: u64) -> InFlight {
        // Salts may be close to each other, as times are; far apart, two lives use different generations.
        let generation_first = (salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
        InFlight { places: Vec::new(), wake: Vec::new(), vacant: Vec::new(), earliest: NEVER, generation_first }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.places.len() - self.vacant.len()
    }

    /// Takes `flight` in, to be woken at `wake` if it is still here.
    pub(crate) fn insert(&mut self, flight: Flight, wake: Option<Instant>) -> Ticket {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                self.places.push(Place { generation: self.generation_first, flight: None });
                self.wake.push(NEVER);
                u32::try_from(self.places.len() - 1).expect("admission keeps the count far below 2^32")
            }
        };
        let place = &mut self.places[index as usize];
        place.flight = Some(flight);
        let ticket = Ticket { index, generation: place.generation };
        self.wake_at(ticket, wake.unwrap_or(NEVER));
        ticket
    }

    /// The flight of `ticket`, unless it is over.
    #[inline]
    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Flight> {
        let place = self.places.get_mut(ticket.index as usize)?;
        if place.is_of(ticket) { place.flight.as_mut() } else { None }
    }

    /// Ends the flight of `ticket`, if it is not over already.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Flight> {
        let place = self.places.get_mut(ticket.index as usize)?;
        if !place.is_of(ticket) {
            return None;
        }
        let flight = place.flight.take()?;
        self.vacate(ticket.index);
        Some(flight)
    }

    fn vacate(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        // Dropped where it is: a flight is some hundred bytes, and nearly each request comes by here.
        place.flight = None;
        place.generation = place.generation.wrapping_add(1);
        self.wake[index as usize] = NEVER;
        self.vacant.push(index);
    }

    /// Ends the flight of `ticket` if its step settled it.
    #[inline]
    pub(crate) fn settle(&mut self, ticket: Ticket, progress: Progress) {
        match progress {
            Progress::Waits => {}
            Progress::Settled => {
                let place = self.places.get(ticket.index as usize);
                let is_here = place.is_some_and(|place| place.is_of(ticket) && place.flight.is_some());
                if is_here {
                    self.vacate(ticket.index);
                }
            }
        }
    }

    /// Wakes the flight of `ticket` at `wake`, and not when it was to be woken before.
    pub(crate) fn wake_at(&mut self, ticket: Ticket, wake: Instant) {
        let rounded = Instant(wake.0.checked_next_multiple_of(WAKE_NANOS).unwrap_or(u64::MAX));
        self.wake[ticket.index as usize] = rounded;
        self.earliest = self.earliest.min(rounded);
    }

    /// No flight wants to be woken earlier. It may have been settled since: then looking is all that happens.
    pub(crate) fn earliest_wake(&self) -> Option<Instant> {
        (self.earliest != NEVER).then_some(self.earliest)
    }

    /// How many places there are, used or vacant: the bound of a walk with [`InFlight::ticket_at`].
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// The ticket of the flight at a place.
    pub(crate) fn ticket_at(&self, index: usize) -> Option<Ticket> {
        let place = self.places.get(index)?;
        place.flight.as_ref()?;
        Some(Ticket { index: u32::try_from(index).ok()?, generation: place.generation })
    }

    /// The ticket of the flight at a place, if it is to be woken by `now`; it will not be woken again unless it asks.
    pub(crate) fn take_due(&mut self, index: usize, now: Instant) -> Option<Ticket> {
        if now < self.wake[index] {
            return None;
        }
        self.wake[index] = NEVER;
        self.ticket_at(index)
    }

    /// Finds the earliest wake time anew, after all that were due have been woken.
    pub(crate) fn refresh_earliest(&mut self) {
        self.earliest = self.wake.iter().copied().min().unwrap_or(NEVER);
    }
}
