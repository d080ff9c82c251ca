//! Some hundred faults in the files of a shard. More of them: `rondo-faults damage --faults 10000`.

use rondo_faults::damage::campaign::Campaign;
use rondo_faults::damage::cell::Cell;
use rondo_faults::damage::outcome::Outcome;
use rondo_faults::damage::table::Table;
use rondo_faults::power::image;
use rondo_storage::Engine;

fn damage(engine: Engine, planted: Option<&str>, faults: u64) -> Table {
    let campaign = Campaign {
        program: env!("CARGO_BIN_EXE_rondo-faults").into(),
        parent: image::usual_parent(),
        engine,
        first: 0,
        faults,
        seed: 1,
        workers: 2,
        planted: planted.map(str::to_owned),
        keeps: false,
    };
    campaign.run().expect("the experiment can be made")
}

/// Every cell twice, and no answer that is wrong, old, or missing without a word.
fn no_wrong_answer(engine: Engine) {
    let faults = 2 * Cell::all(engine).len() as u64;
    let table = damage(engine, None, faults);
    assert_eq!(table.violations, Vec::<String>::new());
    assert_eq!(table.faults(), faults);
    let healed_or_told = table.total(Outcome::Healed) + table.total(Outcome::ReportedLoss);
    assert!(healed_or_told > faults / 4, "the faults had no effect: {}", table.summary());
}

#[test]
fn no_fault_in_a_directory_with_sled_gives_a_wrong_answer() {
    no_wrong_answer(Engine::Sled);
}

#[test]
fn no_fault_in_a_directory_with_an_lsm_tree_gives_a_wrong_answer() {
    no_wrong_answer(Engine::Lsm);
}

#[test]
fn a_shard_that_believes_a_torn_batch_is_caught() {
    let table = damage(Engine::Sled, Some("accept-torn-tail"), 400);
    assert!(!table.violations.is_empty(), "nothing was noticed: {}", table.summary());
}
