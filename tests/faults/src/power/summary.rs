//! What came of some cuts.

use rondo_storage::Engine;
use std::collections::BTreeMap;

/// Violations that are printed in full: one lost batch of many keys reads like the next.
const VIOLATIONS_SHOWN: usize = 8;

/// Counts, and what must not be.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Power cuts.
    pub cuts: u64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Keys that were looked at after a cut and were right.
    pub verified: u64,
    /// How often the power went at which moment.
    pub moments: BTreeMap<String, u64>,
    /// Acknowledged writes that were lost, and whatever else must not happen.
    pub violations: Vec<String>,
}

impl Summary {
    /// The power was cut at that moment.
    pub fn cut(&mut self, moment: &str) {
        self.cuts += 1;
        *self.moments.entry(moment.to_owned()).or_default() += 1;
    }

    /// Adds another one.
    pub fn add(&mut self, other: Summary) {
        self.cuts += other.cuts;
        self.acknowledged += other.acknowledged;
        self.verified += other.verified;
        for (moment, count) in other.moments {
            *self.moments.entry(moment).or_default() += count;
        }
        self.violations.extend(other.violations);
    }

    /// The counts, in one line.
    pub fn line(&self, engine: Engine) -> String {
        format!(
            "power cuts, {engine}: {} cuts, {} acknowledged writes, {} keys verified after a cut, {} violations",
            self.cuts,
            self.acknowledged,
            self.verified,
            self.violations.len()
        )
    }

    /// In a few lines.
    pub fn print(&self, engine: Engine) {
        println!("{}", self.line(engine));
        for (moment, count) in &self.moments {
            println!("  {count:5} x {moment}");
        }
        for violation in self.violations.iter().take(VIOLATIONS_SHOWN) {
            println!("VIOLATION {violation}");
        }
    }
}
