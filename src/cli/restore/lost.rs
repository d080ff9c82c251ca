//! What a damaged backup has cost, told by place and count.

use rondo_storage::backup::{Losses, LostPart, LostPlace};
use serde_json::{Value, json};

use crate::cli::data::eprint_line;
use crate::limits::RESTORE_TROUBLES_NAMED;

/// For programs: all places that are kept.
pub(super) fn lost_json(losses: &Losses) -> Value {
    let place = |place: &LostPlace| {
        let LostPlace { offset, from, to, what } = place;
        json!({ "offset": offset, "from": format!("{from:032x}"), "to": format!("{to:032x}"), "what": what })
    };
    let part = |part: &LostPart| {
        let places: Vec<Value> = part.places.iter().map(place).collect();
        json!({ "file": part.path.display().to_string(), "vnode": part.vnode, "records": part.records, "places": places })
    };
    losses.parts.iter().map(part).collect()
}

/// For people, on standard error: the first places, and the sums.
pub(super) fn tell_lost(losses: &Losses) {
    if losses.is_empty() {
        return;
    }
    for part in losses.parts.iter().take(RESTORE_TROUBLES_NAMED) {
        let LostPart { path, vnode, records, places } = part;
        eprint_line(&format!("rondo: not restored: {records} records of vnode {vnode} in {}", path.display()));
        for LostPlace { offset, from, to, what } in places.iter().take(RESTORE_TROUBLES_NAMED) {
            eprint_line(&format!("    tokens {from:032x} to {to:032x}, at byte {offset}: {what}"));
        }
    }
    let left_out = losses.parts.len().saturating_sub(RESTORE_TROUBLES_NAMED);
    if left_out > 0 {
        eprint_line(&format!("rondo: and in {left_out} more places; rondo backup verify names them all"));
    }
    let Losses { records, withheld, .. } = losses;
    eprint_line(&format!("rondo: the backup is damaged: {records} records of it are not restored"));
    if *withheld > 0 {
        eprint_line(&format!(
            "rondo: {withheld} keys of its parents are left out too: a newer version of them may be among what is lost. \
             To have the old ones, restore the parent behind it: what is there already stays"
        ));
    }
}
