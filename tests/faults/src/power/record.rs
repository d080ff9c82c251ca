//! What was sent, what was acknowledged, and what may therefore be found.
//!
//! ```text
//! sent(v) ──► acknowledged(v) ──► power cut ──► found: v, or one sent after it
//! ```
//! What was found is durable: from then on nothing older may be found.

use crate::content::Version;
use crate::shard::Found;
use std::collections::BTreeMap;

/// One key.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The number of the last acknowledged version; 0 if none was.
    acknowledged: u64,
    /// Numbers of the versions that were sent later, ascending.
    later: Vec<u64>,
}

/// All keys of an experiment.
#[derive(Clone, Debug, Default)]
pub struct Record {
    keys: BTreeMap<u32, Known>,
    acknowledgements: u64,
}

impl Record {
    /// The version is on its way.
    pub fn sent(&mut self, version: Version) {
        self.keys.entry(version.key).or_default().later.push(version.number);
    }

    /// The version was acknowledged.
    pub fn acknowledged(&mut self, version: Version) {
        self.acknowledgements += 1;
        self.settle(version);
    }

    fn settle(&mut self, version: Version) {
        let known = self.keys.entry(version.key).or_default();
        known.acknowledged = known.acknowledged.max(version.number);
        known.later.retain(|&number| number > version.number);
    }

    /// Acknowledgements so far.
    pub fn acknowledgements(&self) -> u64 {
        self.acknowledgements
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = u32> {
        self.keys.keys().copied()
    }

    /// The record of some of its keys, with no acknowledgement counted.
    pub fn part(&self, is_in: impl Fn(u32) -> bool) -> Record {
        let keys = self.keys.iter().filter(|(key, _)| is_in(**key));
        Record { keys: keys.map(|(&key, known)| (key, known.clone())).collect(), acknowledgements: 0 }
    }

    /// Takes in the record of somebody who wrote other keys.
    pub fn extend(&mut self, other: Record) {
        self.acknowledgements += other.acknowledgements;
        self.keys.extend(other.keys);
    }

    /// Compares what a shard found with what may be found; what was found counts as known from now on.
    ///
    /// # Errors
    /// The violation, in words.
    pub fn check(&mut self, key: u32, found: &Found) -> Result<(), String> {
        let Known { acknowledged, later } = self.keys.get(&key).cloned().unwrap_or_default();
        match found {
            Found::Version(version) if version.number == acknowledged || later.contains(&version.number) => {
                self.settle(*version);
                Ok(())
            }
            Found::Version(version) => Err(format!(
                "key {key}: version {} came back, but {acknowledged} was acknowledged (later ones: {later:?})",
                version.number
            )),
            Found::Absent if acknowledged == 0 => Ok(()),
            Found::Absent => Err(format!("key {key}: version {acknowledged} was acknowledged, and nothing is there")),
            Found::Unreadable => Err(format!("key {key}: version {acknowledged} was acknowledged, and is unreadable")),
            Found::Wrong(bytes) => Err(format!("key {key}: {} bytes that nobody wrote", bytes.len())),
        }
    }

    /// The same for the client of a cluster, to whom a deletion looks like nothing, and who may find a write without an answer
    /// in one read and not in the next, because too few replicas have it: such a one stays uncertain.
    ///
    /// # Errors
    /// The violation, in words.
    pub fn check_in_cluster(&mut self, key: u32, found: &Found) -> Result<(), String> {
        let before = self.keys.get(&key).cloned().unwrap_or_default();
        let outcome = self.check_as_client(key, found);
        self.keys.insert(key, before);
        outcome
    }

    /// The same for the client of a single node, to whom a deletion looks like nothing.
    ///
    /// # Errors
    /// The violation, in words.
    pub fn check_as_client(&mut self, key: u32, found: &Found) -> Result<(), String> {
        if *found != Found::Absent {
            return self.check(key, found);
        }
        let Known { acknowledged, later } = self.keys.get(&key).cloned().unwrap_or_default();
        let deletion = |&number: &u64| number != 0 && Version { key, number }.is_deletion();
        match later.iter().rev().copied().find(|number| deletion(number)) {
            // Which of the two it is cannot be seen; the older one is what is known.
            _ if acknowledged == 0 || deletion(&acknowledged) => Ok(()),
            Some(number) => {
                self.settle(Version { key, number });
                Ok(())
            }
            None => self.check(key, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Record;
    use crate::content::Version;
    use crate::shard::Found;

    fn version(number: u64) -> Version {
        Version { key: 1, number }
    }

    #[test]
    fn the_last_acknowledged_or_a_later_one_may_be_found_and_nothing_else() {
        let mut record = Record::default();
        for number in [3, 5, 8] {
            record.sent(version(number));
        }
        assert_eq!(record.check(1, &Found::Absent), Ok(()), "none was acknowledged yet");
        record.acknowledged(version(5));
        assert!(record.check(1, &Found::Version(version(3))).is_err(), "an old one");
        assert!(record.check(1, &Found::Absent).is_err(), "lost");
        assert!(record.check(1, &Found::Unreadable).is_err(), "lost");
        assert_eq!(record.check(1, &Found::Version(version(8))), Ok(()));
        assert!(record.check(1, &Found::Version(version(5))).is_err(), "8 was durable already");
    }

    #[test]
    fn in_a_cluster_a_write_without_an_answer_stays_uncertain_though_it_was_found() {
        let mut record = Record::default();
        record.sent(version(3));
        record.acknowledged(version(3));
        record.sent(version(5));
        for found in [5, 3, 5] {
            assert_eq!(record.check_in_cluster(1, &Found::Version(version(found))), Ok(()));
        }
        assert!(record.check_in_cluster(1, &Found::Version(version(4))).is_err());
    }

    #[test]
    fn a_client_may_find_nothing_only_where_a_deletion_allows_it() {
        let deletion = (1..).find(|&number| version(number).is_deletion()).expect("one in nine is");
        let value = (deletion + 1..).find(|&number| !version(number).is_deletion()).expect("most are");
        let mut record = Record::default();
        record.sent(version(deletion));
        record.acknowledged(version(deletion));
        assert_eq!(record.check_as_client(1, &Found::Absent), Ok(()));
        record.sent(version(value));
        assert_eq!(record.check_as_client(1, &Found::Absent), Ok(()), "the value was never acknowledged");
        record.acknowledged(version(value));
        assert!(record.check_as_client(1, &Found::Absent).is_err());
    }
}
