//! A few seeds keep every promise, and a seed means the same run every time.

use rondo_simulator::coverage::Coverage;
use rondo_simulator::simulation::run_seed;

#[test]
fn a_few_seeds_keep_every_promise() {
    let mut total = Coverage::default();
    for seed in 0..25 {
        let report = run_seed(seed, false);
        assert_eq!(
            report.violation, None,
            "seed {seed}: cargo run --release -p rondo-simulator -- run --seeds 1 --from {seed} --trace"
        );
        total.add(&report.coverage);
    }
    assert_eq!(total.check(), Ok(()));
}

#[test]
fn a_seed_means_the_same_run_every_time() {
    for seed in [3, 14, 159] {
        let (first, second) = (run_seed(seed, false), run_seed(seed, false));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.coverage, second.coverage, "seed {seed}");
    }
}

#[test]
fn a_readable_run_is_the_same_run() {
    let (silent, readable) = (run_seed(5, false), run_seed(5, true));
    assert_eq!(silent.hash, readable.hash);
    assert!(silent.tail.is_empty() && !readable.tail.is_empty());
}

#[test]
fn two_seeds_are_two_runs() {
    assert_ne!(run_seed(1, false).hash, run_seed(2, false).hash);
}
