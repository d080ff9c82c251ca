//! The same request again and again through one core, to be counted by callgrind. `instructions.txt` has the command
//! and the figures.

#[path = "../tests/steady/mod.rs"]
mod steady;

use steady::Steady;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let what = words.next().unwrap_or_default();
    let count: u64 = words.next().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let mut steady = Steady::new();
    steady.put(1);
    let before = steady.done();
    for _ in 0..count {
        match what.as_str() {
            "get-one" => steady.get(1),
            "get-quorum" => steady.get(2),
            "put-one" => steady.put(1),
            "put-quorum" => steady.put(2),
            _ => {
                println!("get-one, get-quorum, put-one or put-quorum, and how many");
                return;
            }
        }
    }
    assert_eq!(steady.done() - before, count, "each was answered as it should be");
}
