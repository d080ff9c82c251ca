//! What a client has seen, as bytes that it keeps and gives back without looking inside.

use super::VersionVector;
use crate::ring::Token;

/// The decoded context of one key.
///
/// Bytes: `u8 version = 1 | u32 token_low | u16 entries | entries x (u64 actor, u64 hlc) | u32 CRC32C of all before`.
/// The empty string is the empty context.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CausalContext {
    /// What was seen.
    pub seen: VersionVector,
}

/// Why bytes are not a context of this key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContextError {
    /// Not the bytes that a reply carried.
    #[error("the context is not one that rondo gave out")]
    Garbage,
    /// A context, but of another key.
    #[error("the context belongs to another key")]
    OtherKey,
}

impl CausalContext {
    /// Reads `bytes` as a context of the key with `token`.
    pub fn decode(bytes: &[u8], token: Token) -> Result<CausalContext, ContextError> {
        todo!("{bytes:?}{token:?}")
    }
}
