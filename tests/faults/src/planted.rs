//! Bugs planted in the storage, by name: each experiment must notice those that it is there to notice.

use rondo_storage::planted::{Planted, plant_everywhere};

/// The bugs that can be planted in a child, by name.
const BUGS: &[(&str, Planted)] =
    &[("skip-log-sync", Planted::SkipSync), ("accept-torn-tail", Planted::TornTailAccepted)];

/// Plants the bug of that name in all threads of this process.
///
/// # Errors
/// No bug has that name.
pub fn plant_by_name(name: &str) -> Result<(), String> {
    let bug = BUGS.iter().find(|(known, _)| *known == name).map(|&(_, bug)| bug);
    let bug = bug.ok_or_else(|| {
        let names: Vec<&str> = BUGS.iter().map(|(name, _)| *name).collect();
        format!("no bug is called {name:?}; choose one of {}", names.join(", "))
    })?;
    plant_everywhere(Some(bug));
    Ok(())
}
