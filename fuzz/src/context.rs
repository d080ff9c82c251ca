//! A context that a client gives back, or makes up.

use rondo_protocol::causality::{CausalContext, ContextError};
use rondo_protocol::ring::Token;

/// A context that a client gives back, or makes up.
pub fn context(bytes: &[u8]) {
    let token = bytes.get(1..5).map_or(0, |low| u32::from_le_bytes([low[0], low[1], low[2], low[3]]));
    if CausalContext::decode(bytes, Token(u128::from(token))).is_ok() && !bytes.is_empty() {
        let other = CausalContext::decode(bytes, Token(u128::from(!token)));
        assert_eq!(other, Err(ContextError::OtherKey));
    }
}
