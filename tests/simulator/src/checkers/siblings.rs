//! Siblings are exact: a put replaces what its context covers and nothing else.
//!
//! The model is the causal history that clients really held. Given what a read has seen, the values it must show are
//! those seen and not replaced; a write is replaced once a write that was made with it in view has been seen too. One
//! value too few is a lost update, one too many is a version that somebody merged already.

use rondo_protocol::causality::{Dot, VersionVector};

use super::dots::Birth;
use super::{Evidence, Violation};
use crate::history::{Key, Kind, OpId, Outcome};

const CHECKER: &str = "siblings";

/// Holds every read of the siblings keyspace against the model.
pub fn check(evidence: &Evidence<'_>) -> Result<(), Violation> {
    for key in evidence.history.keys().into_iter().filter(|key| !key.lww) {
        let births: Vec<(Dot, &Birth, VersionVector)> =
            evidence.dots.of_key(key).map(|(dot, birth)| (dot, birth, in_view(evidence, dot, birth))).collect();
        for (id, read) in evidence.history.of_key(key) {
            let Outcome::Read { writers, seen, .. } = &read.outcome else { continue };
            check_read(key, id, writers, seen, &births)?;
        }
    }
    Ok(())
}

fn check_read(
    key: Key,
    id: OpId,
    writers: &[OpId],
    seen: &VersionVector,
    births: &[(Dot, &Birth, VersionVector)],
) -> Result<(), Violation> {
    let known: Vec<_> = births.iter().filter(|(dot, ..)| seen.covers(*dot)).collect();
    let replaced_by = |dot: Dot| known.iter().find(|(_, _, view)| view.covers(dot)).map(|(_, birth, _)| birth.writer);
    for (dot, birth, _) in &known {
        let shown = writers.contains(&birth.writer);
        match replaced_by(*dot) {
            Some(newer) if shown => {
                return Err(broken(format!("{id} on {key} shows {}, which {newer} had replaced", birth.writer)));
            }
            None if !shown && !birth.tombstone => {
                return Err(broken(format!("{id} on {key} has seen {} and lost it: nobody replaced it", birth.writer)));
            }
            Some(_) | None => {}
        }
    }
    let stranger = writers.iter().find(|writer| !known.iter().any(|(_, birth, _)| birth.writer == **writer));
    match stranger {
        Some(writer) => Err(broken(format!("{id} on {key} shows {writer}, which its context does not cover"))),
        None => Ok(()),
    }
}

/// What the client of a write had in view. A delete without a context takes the view of the replica that coordinates it.
fn in_view(evidence: &Evidence<'_>, dot: Dot, birth: &Birth) -> VersionVector {
    let write = evidence.history.operation(birth.writer);
    if write.kind != Kind::Delete || !write.context.entries().is_empty() {
        return write.context.clone();
    }
    let mut view = VersionVector::default();
    for (earlier, _) in evidence.dots.of_key(write.key) {
        if earlier != dot && birth.seen.covers(earlier) {
            view.add(earlier);
        }
    }
    view
}

fn broken(what: String) -> Violation {
    Violation::new(CHECKER, what)
}
