//! A sorted store keeps what it has said is durable, and a store that only says so is caught, both ways.

use rondo_faults::power::image;
use rondo_faults::power::store_cuts::{KEYS, KEYS_TO_BE_CAUGHT, StoreCut, StoreCuts};
use rondo_storage::Engine;
use std::io::Write;

/// What both ways find; `None` where power cannot be cut.
fn violations(engine: Engine, planted: Option<&str>) -> Option<[Option<String>; 2]> {
    let parent = image::usual_parent();
    if let Some(why) = image::why_not(&parent) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "SKIPPED power cuts under a store on {engine}: {why}");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_rondo-faults").into();
    let keys = if planted.is_some() { KEYS_TO_BE_CAUGHT } else { KEYS };
    let cuts = StoreCuts { program, parent, engine, keys, planted: planted.map(str::to_owned) };
    let ways = [StoreCut::PowerCut, StoreCut::LookAtTheDevice];
    Some(ways.map(|way| cuts.violation(way).expect("the experiment can be made")))
}

#[test]
fn what_a_store_has_flushed_is_on_the_device() {
    for engine in Engine::ALL {
        let Some(found) = violations(engine, None) else { return };
        assert_eq!(found, [None, None], "{engine}");
    }
}

#[test]
fn a_sled_store_that_skips_its_sync_is_caught_both_ways() {
    let Some(found) = violations(Engine::Sled, Some("skip-store-sync")) else { return };
    assert!(found.iter().all(Option::is_some), "{found:?}");
}
