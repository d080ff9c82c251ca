//! A key's place on the ring.

/// XXH3-128 (seed 0) of `u16-LE keyspace length | keyspace | key`, as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token(pub u128);

impl Token {
    /// The token of bytes that are already in routed form (`u16-LE keyspace length | keyspace | key`).
    pub fn of_routed(routed: &[u8]) -> Token {
        Token(xxhash_rust::xxh3::xxh3_128(routed))
    }

    /// The low 32 bits: what a context carries to show that it belongs to the key.
    pub fn low32(self) -> u32 {
        self.0 as u32
    }
}
