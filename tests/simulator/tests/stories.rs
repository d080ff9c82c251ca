//! Every story in `scenarios/` goes as it is told, whatever the seed does with latencies.

use rondo_simulator::scenario::Scenario;

#[test]
fn every_story_goes_as_it_is_told() {
    let mut stories = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).expect("the stories are there") {
        let path = entry.expect("the directory can be read").path();
        let text = std::fs::read_to_string(&path).expect("a story is text");
        let scenario = Scenario::parse(&text).unwrap_or_else(|what| panic!("{}: {what}", path.display()));
        for seed in 0..5 {
            let violation = scenario.play(seed, false).violation;
            assert_eq!(violation, None, "{} with seed {seed}", path.display());
        }
        stories += 1;
    }
    assert!(stories >= 5, "only {stories} stories were found");
}

#[test]
fn a_story_that_cannot_be_read_names_its_line() {
    let told = Scenario::parse("nodes 3\nat 10ms c1 put lww/k0 apple via n1\nat 20ms crash x1\n");
    assert!(told.is_err_and(|what| what.starts_with("line 3") && what.contains("x1")));
}

#[test]
fn a_story_that_goes_otherwise_is_not_kept_quiet() {
    let scenario = Scenario::parse("at 200ms c1 get lww/k0 via n1 r=one -> apple").expect("a good story");
    let violation = scenario.play(0, false).violation.expect("there is no apple");
    assert!(violation.what.contains("line 1"), "{violation}");
}
