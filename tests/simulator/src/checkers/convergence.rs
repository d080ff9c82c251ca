//! What was written to all replicas is equal on all of them in the end.
//!
//! While the cluster has no repair, a write that some replica missed stays missed there. But a write acknowledged by all
//! is known to each of them for ever, and once a key's last write was made after everything else had settled, with all of
//! it in view, and acknowledged by all, its copies are the same bytes everywhere.

use super::acknowledged::dot_of;
use super::{Copy, Evidence, Violation};
use crate::history::{Key, Operation, Outcome};

const CHECKER: &str = "convergence";

/// Compares the copies that the primaries of each key hold in the end.
pub fn check(evidence: &Evidence<'_>) -> Result<(), Violation> {
    for key in evidence.history.keys() {
        let copies: Vec<&Copy> = evidence.copies.iter().filter(|copy| copy.key == key).collect();
        check_known_to_all(evidence, key, &copies)?;
        check_equal(evidence, key, &copies)?;
    }
    Ok(())
}

fn check_known_to_all(evidence: &Evidence<'_>, key: Key, copies: &[&Copy]) -> Result<(), Violation> {
    for (id, write) in evidence.history.of_key(key).filter(|(_, operation)| is_on_all(operation)) {
        let Some(dot) = dot_of(evidence, key, id) else { continue };
        let knows = |copy: &Copy| {
            copy.object.as_ref().is_some_and(|object| match key.lww {
                true => object.siblings().any(|sibling| sibling.dot >= dot),
                false => object.seen().covers(dot),
            })
        };
        if let Some(copy) = copies.iter().find(|copy| !knows(copy)) {
            return Err(broken(format!(
                "{} does not know {id} on {key}, which all {} replicas had acknowledged",
                copy.node, write.replicas
            )));
        }
    }
    Ok(())
}

fn check_equal(evidence: &Evidence<'_>, key: Key, copies: &[&Copy]) -> Result<(), Violation> {
    let writes = || evidence.history.of_key(key).filter(|(_, operation)| operation.is_write());
    let Some((last_id, last)) = writes().last().filter(|(_, operation)| is_on_all(operation)) else { return Ok(()) };
    let in_view = |(id, _): (_, &Operation)| {
        id == last_id
            || evidence.dots.of_write(key, id).all(|(dot, _)| covers_or_beats(evidence, key, last, last_id, dot))
    };
    if !writes().all(in_view) {
        return Ok(());
    }
    let mut objects = copies.iter().map(|copy| (copy.node, copy.object.as_ref().map(|object| object.bytes())));
    let first = objects.next();
    match objects.find(|other| first.as_ref().is_some_and(|first| first.1 != other.1)) {
        Some((node, _)) => Err(broken(format!("{node} differs on {key} after {last_id}, which all had acknowledged"))),
        None => Ok(()),
    }
}

// In the last-write-wins keyspace the greatest dot is all that a copy keeps, seen by its writer or not.
fn covers_or_beats(
    evidence: &Evidence<'_>,
    key: Key,
    last: &Operation,
    last_id: crate::history::OpId,
    dot: rondo_protocol::causality::Dot,
) -> bool {
    last.context.covers(dot) || (key.lww && dot_of(evidence, key, last_id).is_some_and(|winner| winner > dot))
}

fn is_on_all(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Written { .. }) && operation.required == operation.replicas
}

fn broken(what: String) -> Violation {
    Violation::new(CHECKER, what)
}
