//! Power cuts under a shard at work, on a real ext4. More of them: `rondo-faults power-cuts --cuts 200`.

use rondo_faults::power::image;
use rondo_faults::power::shard_rounds::ShardRounds;
use rondo_faults::power::summary::Summary;
use rondo_storage::Engine;
use std::io::Write;

/// Cuts `cuts` times, or says past the harness's capture that it cannot.
fn cut(engine: Engine, cuts: u64, planted: Option<&str>) -> Option<Summary> {
    let parent = image::usual_parent();
    if let Some(why) = image::why_not(&parent) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "SKIPPED power cuts under {engine}: {why}");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_rondo-faults").into();
    let rounds = ShardRounds { program, parent, engine, cuts, seed: 11, planted: planted.map(str::to_owned) };
    Some(rounds.run().expect("the experiment can be made"))
}

fn nothing_is_lost(engine: Engine) {
    let Some(summary) = cut(engine, 5, None) else { return };
    assert_eq!(summary.violations, Vec::<String>::new());
    assert!(summary.cuts == 5 && summary.acknowledged > 0 && summary.verified > 0, "{summary:?}");
}

#[test]
fn no_acknowledged_write_is_lost_with_an_lsm_tree() {
    nothing_is_lost(Engine::Lsm);
}

#[test]
fn no_acknowledged_write_is_lost_with_sled() {
    nothing_is_lost(Engine::Sled);
}

#[test]
fn a_log_that_skips_its_sync_is_caught() {
    let Some(summary) = cut(Engine::Sled, 12, Some("skip-log-sync")) else { return };
    assert!(!summary.violations.is_empty(), "nothing was noticed in {} cuts", summary.cuts);
}
