//! What a client has seen, as bytes that it keeps and gives back without looking inside.
//!
//! Think of a cloakroom ticket: the client need not understand it, and it is good for one coat. The key's token guards
//! against a mix-up of keys, the checksum against a mangled copy; neither is a secret, so neither guards against malice.

use super::VersionVector;
use super::encoded_vector::{ENTRY_BYTES, EncodedVector, encode_entry};
use crate::limits::{ACTORS_MAX, CONTEXT_BYTES_MAX};
use crate::ring::Token;

const VERSION: u8 = 1;
/// Version, token, number of entries.
const HEADER_BYTES: usize = 1 + 4 + 2;
const CHECKSUM_BYTES: usize = 4;

const _: () = assert!(HEADER_BYTES + ACTORS_MAX * ENTRY_BYTES + CHECKSUM_BYTES <= CONTEXT_BYTES_MAX);

/// The decoded context of one key.
///
/// Bytes: `u8 version = 1 | u32 token_low | u16 entries | entries x (u64 actor, u64 hlc) | u32 CRC32C of all before`,
/// little-endian, 1 to [`ACTORS_MAX`] entries strictly ascending by actor, no time of 0.
/// The empty string is the empty context.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CausalContext {
    /// What was seen.
    pub seen: VersionVector,
}

/// Why bytes are not a context of this key. Trying again with the same bytes does not help.
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
    /// Reads `bytes` as a context of the key with `token`. Only the very bytes that a reply carried are taken.
    pub fn decode(bytes: &[u8], token: Token) -> Result<CausalContext, ContextError> {
        if bytes.is_empty() {
            return Ok(CausalContext::default());
        }
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(ContextError::Garbage)?;
        let (header, entries) = body.split_first_chunk::<HEADER_BYTES>().ok_or(ContextError::Garbage)?;
        let [version, token_0, token_1, token_2, token_3, count_0, count_1] = *header;
        let count = usize::from(u16::from_le_bytes([count_0, count_1]));
        let vector = EncodedVector::from_checked(entries);
        let is_ours = version == VERSION
            && (1..=ACTORS_MAX).contains(&count)
            && entries.len() == count * ENTRY_BYTES
            && u32::from_le_bytes(*checksum) == crc32c::crc32c(body)
            && vector.check().is_ok();
        if !is_ours {
            return Err(ContextError::Garbage);
        }
        if u32::from_le_bytes([token_0, token_1, token_2, token_3]) != token.low32() {
            return Err(ContextError::OtherKey);
        }
        Ok(CausalContext { seen: vector.into() })
    }

    /// Appends the bytes of this context for a key whose token ends in `token_low`; none if nothing was seen.
    pub fn append_to(&self, token_low: u32, out: &mut Vec<u8>) {
        let bytes: Vec<u8> = self.seen.entries().iter().flat_map(|entry| encode_entry(*entry)).collect();
        append(token_low, &bytes, out);
    }
}

/// Appends a context whose entries are there as bytes already; none if there are none.
pub(crate) fn append(token_low: u32, entries: &[u8], out: &mut Vec<u8>) {
    if entries.is_empty() {
        return;
    }
    let start = out.len();
    out.reserve(HEADER_BYTES + entries.len() + CHECKSUM_BYTES);
    out.push(VERSION);
    out.extend_from_slice(&token_low.to_le_bytes());
    out.extend_from_slice(&((entries.len() / ENTRY_BYTES) as u16).to_le_bytes());
    out.extend_from_slice(entries);
    let checksum = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::{ActorId, Dot, Hlc};
    use super::*;

    const TOKEN: Token = Token(0x1122_3344_5566_7788);

    fn context(entries: &[(u64, u64)]) -> CausalContext {
        let dot = |(actor, hlc): &(u64, u64)| Dot { hlc: Hlc(*hlc), actor: ActorId::from_u64(*actor) };
        CausalContext { seen: entries.iter().map(dot).collect() }
    }

    fn bytes(context: &CausalContext) -> Vec<u8> {
        let mut out = Vec::new();
        context.append_to(TOKEN.low32(), &mut out);
        out
    }

    /// Wraps `entries` as they are, canonical or not, with a right checksum.
    fn wrapped(entries: &[(u64, u64)]) -> Vec<u8> {
        let encode = |(actor, hlc): &(u64, u64)| encode_entry((ActorId::from_u64(*actor), Hlc(*hlc)));
        let entries: Vec<u8> = entries.iter().flat_map(encode).collect();
        let mut out = Vec::new();
        append(TOKEN.low32(), &entries, &mut out);
        out
    }

    #[test]
    fn what_was_given_out_is_taken_back() {
        for context in [context(&[]), context(&[(1, 9)]), context(&[(1, 9), (2, 3), (u64::MAX, 1)])] {
            assert_eq!(CausalContext::decode(&bytes(&context), TOKEN), Ok(context));
        }
    }

    #[test]
    fn a_context_of_another_key_is_named_as_such() {
        let bytes = bytes(&context(&[(1, 9)]));
        assert_eq!(CausalContext::decode(&bytes, Token(1)), Err(ContextError::OtherKey));
    }

    #[test]
    fn one_wrong_bit_anywhere_makes_it_garbage() {
        let bytes = bytes(&context(&[(1, 9), (2, 3)]));
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(CausalContext::decode(&wrong, TOKEN), Err(ContextError::Garbage), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_or_lengthened_context_is_garbage() {
        let mut bytes = bytes(&context(&[(1, 9), (2, 3)]));
        for length in 1..bytes.len() {
            assert_eq!(CausalContext::decode(&bytes[..length], TOKEN), Err(ContextError::Garbage), "{length} bytes");
        }
        bytes.push(0);
        assert_eq!(CausalContext::decode(&bytes, TOKEN), Err(ContextError::Garbage));
    }

    #[test]
    fn a_right_checksum_does_not_make_up_for_entries_out_of_order() {
        for entries in [&[(2, 1), (1, 1)][..], &[(1, 1), (1, 2)], &[(1, 0)]] {
            assert_eq!(CausalContext::decode(&wrapped(entries), TOKEN), Err(ContextError::Garbage), "{entries:?}");
        }
    }
}
