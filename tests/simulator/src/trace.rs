//! The diary of a run: a running hash of everything that happened, and its last lines for a reader.
//!
//! The hash is what proves that a seed means the same run every time; the lines are only kept when somebody asked for
//! them, because most runs have nothing to tell.

use std::collections::VecDeque;

use rondo_protocol::now::Instant;

/// Lines kept for the reader: enough to see what led to a violation, few enough to read.
const TAIL_LINES_MAX: usize = 40_000;

/// The diary.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    entries: u64,
    tail: Option<VecDeque<String>>,
}

impl Trace {
    /// An empty diary; `readable` keeps the last lines too.
    pub fn new(readable: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, entries: 0, tail: readable.then(VecDeque::new) }
    }

    /// Writes that `what` happened, with the `numbers` that tell it from others of its kind. `line` is only asked for
    /// if somebody will read it.
    pub fn note(&mut self, now: Instant, what: &str, numbers: &[u64], line: impl FnOnce() -> String) {
        self.entries += 1;
        self.mix(now.0);
        self.mix(what.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))));
        for number in numbers {
            self.mix(*number);
        }
        if let Some(tail) = &mut self.tail {
            if tail.len() == TAIL_LINES_MAX {
                tail.pop_front();
            }
            tail.push_back(format!("{:>12.6}s {what:<12} {}", now.0 as f64 / 1e9, line()));
        }
    }

    /// A number for all that happened so far and its order.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How much happened.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The last lines, oldest first; none unless the diary is readable.
    pub fn tail(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().flatten().map(String::as_str)
    }

    fn mix(&mut self, number: u64) {
        let mixed = (self.hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.hash = mixed ^ (mixed >> 29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(notes: &[(&str, u64)]) -> u64 {
        let mut trace = Trace::new(false);
        for (what, number) in notes {
            trace.note(Instant(1), what, &[*number], String::new);
        }
        trace.hash()
    }

    #[test]
    fn the_same_story_has_the_same_hash() {
        assert_eq!(check(&[("send", 1), ("drop", 2)]), check(&[("send", 1), ("drop", 2)]));
    }

    #[test]
    fn order_kind_and_numbers_all_count() {
        let told = check(&[("send", 1), ("drop", 2)]);
        assert_ne!(told, check(&[("drop", 2), ("send", 1)]));
        assert_ne!(told, check(&[("send", 1), ("keep", 2)]));
        assert_ne!(told, check(&[("send", 1), ("drop", 3)]));
    }

    #[test]
    fn only_a_readable_diary_asks_for_lines() {
        let mut silent = Trace::new(false);
        silent.note(Instant(0), "send", &[], || unreachable!("nobody reads this"));
        let mut readable = Trace::new(true);
        readable.note(Instant(0), "send", &[], || "n1 to n2".into());
        assert_eq!((silent.tail().count(), readable.tail().count()), (0, 1));
    }
}
