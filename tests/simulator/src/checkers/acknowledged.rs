//! No acknowledged write is lost.
//!
//! A read that was asked after a write was acknowledged, and that waits for so many replicas that it must meet one of
//! those which acknowledged (R + W > N), has seen the write. "Has seen" means, in the siblings keyspace, that its context
//! covers the write's dot (whether the value should still be there is the `siblings` checker's question), and in the
//! last-write-wins keyspace, that the version it shows has the same dot or a greater one.
//!
//! A write that was refused, on the other hand, never happened: no replica ever logs it.
//!
//! The reads of the end, from every node after healing, wait for all replicas, so they meet every acknowledged write.

use rondo_protocol::causality::{Dot, VersionVector};

use super::{Evidence, Violation};
use crate::history::{Key, OpId, Operation, Outcome};

const CHECKER: &str = "acknowledged";

/// Holds every read against every write that it must have seen.
pub fn check(evidence: &Evidence<'_>) -> Result<(), Violation> {
    for key in evidence.history.keys() {
        let writes = acknowledged_writes(evidence, key)?;
        for (id, read) in evidence.history.of_key(key) {
            let Outcome::Read { seen, .. } = &read.outcome else { continue };
            check_read(evidence, id, read, seen, &writes)?;
        }
        check_receipts(evidence, key)?;
        check_refused(evidence, key)?;
    }
    Ok(())
}

/// The dot of a write that took effect, as its client could name it.
pub fn dot_of(evidence: &Evidence<'_>, key: Key, id: OpId) -> Option<Dot> {
    // A write forwarded to two coordinators has two; the first one is in the past of whatever was acknowledged.
    evidence.dots.of_write(key, id).map(|(dot, _)| dot).next()
}

fn acknowledged_writes(evidence: &Evidence<'_>, key: Key) -> Result<Vec<(OpId, Dot)>, Violation> {
    let acknowledged =
        evidence.history.of_key(key).filter(|(_, operation)| matches!(operation.outcome, Outcome::Written { .. }));
    acknowledged
        .map(|(id, _)| {
            let dot = dot_of(evidence, key, id);
            dot.map(|dot| (id, dot)).ok_or_else(|| broken(format!("{id} on {key} was acknowledged and never logged")))
        })
        .collect()
}

fn check_read(
    evidence: &Evidence<'_>,
    id: OpId,
    read: &Operation,
    seen: &VersionVector,
    writes: &[(OpId, Dot)],
) -> Result<(), Violation> {
    let missed = writes.iter().find(|(writer, dot)| {
        let write = evidence.history.operation(*writer);
        write.is_before(read) && write.meets(read) && !has_seen(read.key, seen, *dot)
    });
    let Some((writer, dot)) = missed else { return Ok(()) };
    let write = evidence.history.operation(*writer);
    Err(broken(format!(
        "{id} (a read of {} with R={}, asked at {:?}) does not know {writer} (W={}, N={}, acknowledged at {:?}, {dot:?}); it has seen {seen:?}",
        read.key, read.required, read.started, write.required, write.replicas, write.ended,
    )))
}

fn has_seen(key: Key, seen: &VersionVector, dot: Dot) -> bool {
    match key.lww {
        true => seen.entries().iter().any(|(actor, hlc)| Dot { hlc: *hlc, actor: *actor } >= dot),
        false => seen.covers(dot),
    }
}

// A receipt that claims fewer answers than were required contradicts the reply that it comes with.
fn check_receipts(evidence: &Evidence<'_>, key: Key) -> Result<(), Violation> {
    for (id, operation) in evidence.history.of_key(key) {
        let (Outcome::Read { receipt, .. } | Outcome::Written { receipt, .. }) = &operation.outcome else { continue };
        let fits = receipt.required == operation.required && receipt.replicas == operation.replicas;
        if !fits || receipt.answered < receipt.required || !receipt.strict {
            return Err(broken(format!(
                "{id} on {key} wanted {} of {} and got {receipt:?}",
                operation.required, operation.replicas
            )));
        }
    }
    Ok(())
}

// "Refused" says that nothing happened and nothing will: no replica ever logs such a write.
fn check_refused(evidence: &Evidence<'_>, key: Key) -> Result<(), Violation> {
    let refused =
        evidence.history.of_key(key).filter(|(_, operation)| matches!(operation.outcome, Outcome::Refused(_)));
    for (id, operation) in refused {
        if let Some(dot) = dot_of(evidence, key, id) {
            return Err(broken(format!("{id} on {key} was refused ({:?}) and happened ({dot:?})", operation.outcome)));
        }
    }
    Ok(())
}

fn broken(what: String) -> Violation {
    Violation::new(CHECKER, what)
}
