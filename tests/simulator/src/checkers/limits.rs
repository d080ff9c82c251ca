//! Every queue stays within its bound, and everything that is begun is ended.

use rondo_protocol::limits::{REQUESTS_IN_FLIGHT_MAX, SIBLINGS_MAX};

use super::{Copy, Violation};
use crate::shard::Shard;

const CHECKER: &str = "limits";
/// Requests that may wait for one companion here: the cores of a simulation have little to ask.
const COMPANION_WAITING_MAX: usize = rondo_storage::limits::COMPANION_QUEUE_MAX;

/// After each turn of a shard.
pub fn check(shard: &Shard) -> Result<(), Violation> {
    let (core, place) = (shard.core(), shard.place());
    within("requests in flight", core.in_flight(), REQUESTS_IN_FLIGHT_MAX, place)?;
    within("requests that wait for the companion", shard.companion_waiting(), COMPANION_WAITING_MAX, place)?;
    if core.stats().in_flight != core.in_flight() as u64 {
        return Err(broken(format!(
            "{place:?} counts {} requests in flight and has {}",
            core.stats().in_flight,
            core.in_flight()
        )));
    }
    Ok(())
}

/// When nothing has been asked for a while.
pub fn check_quiet(shard: &Shard) -> Result<(), Violation> {
    within("requests in flight when all is quiet", shard.core().in_flight(), 0, shard.place())?;
    if let Some(deadline) = shard.core().next_deadline() {
        return Err(broken(format!("{:?} still waits for {deadline:?} when all is quiet", shard.place())));
    }
    if !shard.is_drained() {
        return Err(broken(format!("{:?} has records that are not durable when all is quiet", shard.place())));
    }
    Ok(())
}

/// What replicas hold in the end.
pub fn check_copies(copies: &[Copy]) -> Result<(), Violation> {
    for copy in copies {
        let siblings = copy.object.as_ref().map_or(0, |object| object.siblings().count());
        // Merging what two replicas hold may pass the bound of one: it is a bound on what writers may add.
        within("siblings", siblings, 2 * SIBLINGS_MAX, copy.key)?;
    }
    Ok(())
}

fn within(what: &str, found: usize, max: usize, place: impl core::fmt::Debug) -> Result<(), Violation> {
    match found <= max {
        true => Ok(()),
        false => Err(broken(format!("{place:?} has {found} {what}, and {max} is the bound"))),
    }
}

fn broken(what: String) -> Violation {
    Violation::new(CHECKER, what)
}
