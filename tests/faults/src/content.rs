//! What is stored in the experiments: objects that say which version of which key they are.
//!
//! A version's bytes are a function of its key and number, so whoever reads some can tell exactly what he has: the right
//! version, another one, or something that nobody ever wrote.

use crate::random::Dice;
use bytes::Bytes;

/// Bytes before the filling: magic, key, version.
const HEAD_BYTES: usize = 16;
const MAGIC: [u8; 4] = *b"FLT1";
/// One version in this many is a deletion.
const DELETION_ONE_IN: u64 = 9;

/// How large the objects are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// One version in this many is a large one.
    pub large_one_in: u64,
    /// Bytes of a large one, from and to.
    pub large_bytes: (u64, u64),
}

impl Sizes {
    /// For directories that are copied ten thousand times.
    pub const SMALL: Sizes = Sizes { large_one_in: 40, large_bytes: (9_000, 60_000) };
    /// For power cuts: up to the largest value that a client may send.
    pub const FULL: Sizes = Sizes { large_one_in: 60, large_bytes: (100_000, 1 << 20) };
}

/// A version of a key. Numbers of versions are unique in an experiment, and grow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    /// The key's number.
    pub key: u32,
    /// 1 or more; 0 stands for "never written".
    pub number: u64,
}

impl Version {
    fn dice(self) -> Dice {
        Dice::new(self.number, u64::from(self.key))
    }

    /// Is it a deletion? Then a client finds nothing; the shard keeps its bytes like any other's.
    pub fn is_deletion(self) -> bool {
        self.dice().below(DELETION_ONE_IN) == 0
    }

    /// Its bytes.
    pub fn object(self, sizes: Sizes) -> Bytes {
        let mut dice = self.dice();
        let is_deletion = dice.below(DELETION_ONE_IN) == 0;
        let filling = match dice.below(sizes.large_one_in) {
            _ if is_deletion => 0,
            0 => dice.between(sizes.large_bytes.0, sizes.large_bytes.1 - HEAD_BYTES as u64),
            1..=3 => dice.between(1_500, 6_000),
            _ => dice.between(0, 1_200),
        };
        let mut bytes = vec![0; HEAD_BYTES + filling as usize];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        dice.fill(&mut bytes[HEAD_BYTES..]);
        Bytes::from(bytes)
    }

    /// Which version of `key` the bytes are; `None` if they are none that was ever made.
    pub fn read(key: u32, bytes: &[u8], sizes: Sizes) -> Option<Version> {
        let number = u64::from_le_bytes(bytes.get(8..HEAD_BYTES)?.try_into().ok()?);
        let version = Version { key, number };
        (version.object(sizes) == bytes).then_some(version)
    }
}

/// A key as it is routed: the keyspace `default`, and a name.
pub fn routed(key: u32) -> Vec<u8> {
    let name = name(key);
    [&7u16.to_le_bytes()[..], b"default", name.as_bytes()].concat()
}

/// A key as a client says it.
pub fn name(key: u32) -> String {
    format!("key-{key}")
}

/// Where a key lies on the ring: anywhere.
pub fn token(key: u32) -> u128 {
    let mut dice = Dice::new(0x70CE, u64::from(key));
    u128::from(dice.draw()) << 64 | u128::from(dice.draw())
}

#[cfg(test)]
mod tests {
    use super::{Sizes, Version};

    #[test]
    fn bytes_say_which_version_they_are_and_nothing_else_passes() {
        for number in 1..200 {
            let version = Version { key: 4, number };
            let object = version.object(Sizes::SMALL);
            assert_eq!(Version::read(4, &object, Sizes::SMALL), Some(version));
            assert_eq!(Version::read(5, &object, Sizes::SMALL), None, "of another key");
            assert_eq!(Version::read(4, &object[..object.len() - 1], Sizes::SMALL), None, "cut");
        }
    }
}
