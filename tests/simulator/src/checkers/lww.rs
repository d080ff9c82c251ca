//! The last write wins, and "last" means what the claims page says.
//!
//! - A read shows exactly the write whose dot its context names.
//! - Of two acknowledged writes of one key the later one has the greater dot if it was made with the earlier in view, or
//!   if the earlier was acknowledged by all replicas. (Clocks play no part in either.)
//! - In the end every read of all replicas shows the greatest dot that any replica holds, which no acknowledged write
//!   exceeds.

use rondo_protocol::causality::{Dot, VersionVector};

use super::acknowledged::dot_of;
use super::{Evidence, Violation};
use crate::history::{Key, OpId, Operation, Outcome};

const CHECKER: &str = "lww";

/// Holds the last-write-wins keyspace against its claims.
pub fn check(evidence: &Evidence<'_>) -> Result<(), Violation> {
    for key in evidence.history.keys().into_iter().filter(|key| key.lww) {
        check_reads(evidence, key)?;
        check_order(evidence, key)?;
        check_end(evidence, key)?;
    }
    Ok(())
}

fn check_reads(evidence: &Evidence<'_>, key: Key) -> Result<(), Violation> {
    for (id, read) in evidence.history.of_key(key) {
        let Outcome::Read { writers, seen, .. } = &read.outcome else { continue };
        let shown = match winner(seen) {
            Some(dot) => {
                evidence.dots.birth(key, dot).ok_or_else(|| broken(format!("{id} shows {dot:?}, which nobody gave")))?
            }
            None if writers.is_empty() => continue,
            None => return Err(broken(format!("{id} on {key} shows a value without a context"))),
        };
        let expected: &[OpId] = if shown.tombstone { &[] } else { core::slice::from_ref(&shown.writer) };
        if writers != expected {
            return Err(broken(format!("{id} on {key} shows {writers:?} and names the dot of {}", shown.writer)));
        }
    }
    Ok(())
}

fn check_order(evidence: &Evidence<'_>, key: Key) -> Result<(), Violation> {
    let written: Vec<(OpId, &Operation, Dot)> = evidence
        .history
        .of_key(key)
        .filter(|(_, operation)| matches!(operation.outcome, Outcome::Written { .. }))
        .filter_map(|(id, operation)| Some((id, operation, dot_of(evidence, key, id)?)))
        .collect();
    for (earlier_id, earlier, earlier_dot) in &written {
        for (later_id, later, later_dot) in &written {
            let on_all =
                earlier.is_before(later) && earlier.required == earlier.replicas && earlier.replicas == later.replicas;
            let in_view = later.context.covers(*earlier_dot) && earlier_id != later_id;
            if (on_all || in_view) && later_dot <= earlier_dot {
                return Err(broken(format!(
                    "{later_id} ({later_dot:?}) loses against {earlier_id} ({earlier_dot:?}) on {key}, which {}",
                    if in_view { "it was made to replace" } else { "all replicas had before" },
                )));
            }
        }
    }
    Ok(())
}

fn check_end(evidence: &Evidence<'_>, key: Key) -> Result<(), Violation> {
    let copies = evidence.copies.iter().filter(|copy| copy.key == key).filter_map(|copy| copy.object.as_ref());
    let greatest = copies.filter_map(|object| winner(&object.seen())).max();
    for (id, operation) in evidence.history.of_key(key) {
        let Outcome::Written { .. } = operation.outcome else { continue };
        let dot = dot_of(evidence, key, id);
        if dot > greatest {
            return Err(broken(format!(
                "{id} on {key} was acknowledged ({dot:?}) and the replicas end at {greatest:?}"
            )));
        }
    }
    Ok(())
}

fn winner(seen: &VersionVector) -> Option<Dot> {
    seen.entries().iter().map(|(actor, hlc)| Dot { hlc: *hlc, actor: *actor }).max()
}

fn broken(what: String) -> Violation {
    Violation::new(CHECKER, what)
}
