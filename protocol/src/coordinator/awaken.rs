//! What wakes the flights that wait: the disk, a broken link, time.
//!
//! Each waiter is found by its ticket, told, and ended if that settled it. What it makes of the news is its own file's.

use super::durability::Waiter;
use super::in_flight::{Flight, InFlight, Progress};
use super::turn::Turn;
use crate::event::DiskState;
use crate::node::NodeId;
use crate::ticket::Ticket;
use crate::update;

/// The log is durable further than before: all who waited for that speak.
pub(crate) fn release(flights: &mut InFlight, turn: &mut Turn<'_>) {
    while let Some(waiter) = turn.shard.durability.pop_durable() {
        let ticket = match waiter {
            Waiter::Flight(ticket) => ticket,
            Waiter::Bound(bound) => {
                turn.shard.clock.raise_bound(bound);
                update::retry_waiting(flights, turn);
                continue;
            }
        };
        let progress = match flights.get_mut(ticket) {
            Some(Flight::Get(get)) => get.durable(ticket, turn),
            Some(Flight::Put(put)) => put.durable(turn),
            Some(Flight::ServeFetch(serve)) => serve.durable(turn),
            Some(Flight::Merge(merge)) => merge.durable(turn),
            Some(Flight::Forward(_) | Flight::KeyLoad(_)) | None => continue,
        };
        flights.settle(ticket, progress);
    }
}

/// The disk takes other writes than before. Who waits for something appended goes on waiting; the writes that wait for a
/// higher bound of the clock, and have appended nothing, have another turn, so that they are refused now if they must be.
pub(crate) fn disk_changed(state: DiskState, flights: &mut InFlight, turn: &mut Turn<'_>) {
    turn.shard.durability.change_disk(state);
    if state != DiskState::Writable {
        update::retry_waiting(flights, turn);
    }
}

/// The link to `node` went down: whoever waits for that node is told.
pub(crate) fn link_down(node: NodeId, flights: &mut InFlight, turn: &mut Turn<'_>) {
    for index in 0..flights.places() {
        let Some(ticket) = flights.ticket_at(index) else { continue };
        let progress = match flights.get_mut(ticket) {
            Some(Flight::Get(get)) => get.link_down(ticket, node, turn),
            Some(Flight::Put(put)) => put.link_down(node, turn),
            Some(Flight::Forward(forward)) => forward.link_down(node, turn),
            Some(Flight::ServeFetch(_) | Flight::Merge(_) | Flight::KeyLoad(_)) | None => continue,
        };
        flights.settle(ticket, progress);
    }
}

/// The time that the flight of `ticket` had asked for is here.
pub(crate) fn woken(ticket: Ticket, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let progress = match flights.get_mut(ticket) {
        Some(Flight::Get(get)) => {
            let (progress, wake) = get.woken(ticket, turn);
            if progress == Progress::Waits {
                flights.wake_at(ticket, wake);
            }
            progress
        }
        Some(Flight::Put(put)) => put.woken(turn),
        Some(Flight::Forward(forward)) => forward.woken(turn),
        Some(Flight::ServeFetch(serve)) => serve.woken(turn),
        Some(Flight::Merge(merge)) => merge.woken(turn),
        Some(Flight::KeyLoad(_)) | None => return,
    };
    flights.settle(ticket, progress);
}
