//! Every planted bug is caught, and the same mix without it keeps every promise.

use rondo_simulator::planted::{Bug, Hunt, SEEDS_MAX};

fn check(bug: Bug) {
    match bug.hunt(SEEDS_MAX) {
        Hunt::Caught { .. } => {}
        other => panic!("{}: {other:?}", bug.name()),
    }
}

#[test]
fn every_planted_bug_is_caught() {
    assert!(Bug::ALL.len() >= 8);
    Bug::ALL.into_iter().for_each(check);
}
