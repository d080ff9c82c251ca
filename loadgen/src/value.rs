//! Values that say what they are, so that a reader can tell a right one from a stale, foreign or damaged one.
//!
//! `u64 XXH3-64 of all that follows | u64 key index | u64 sequence | fill`, little-endian. The fill is random, so that no layer can compress it, and
//! made from the key and the sequence, so that a value can be made again.

use xxhash_rust::xxh3::xxh3_64;

use crate::random::Random;

/// Bytes before the fill.
pub(crate) const STAMP_BYTES: usize = 24;

/// What a value says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// The key it was written under.
    pub(crate) key_index: u64,
    /// Which write it was: later writes of a key have larger ones.
    pub(crate) sequence: u64,
}

/// Why a value is not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadValue {
    /// Not the bytes of any value that was written.
    Damaged,
    /// A value of another key.
    OfOtherKey,
}

/// Appends the value of `bytes` bytes to `out`; one too short for its stamp is plain fill.
pub(crate) fn write_value(stamp: Stamp, bytes: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let stamp_bytes = if bytes >= STAMP_BYTES { STAMP_BYTES } else { 0 };
    if stamp_bytes != 0 {
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&stamp.key_index.to_le_bytes());
        out.extend_from_slice(&stamp.sequence.to_le_bytes());
    }
    fill(stamp, bytes - stamp_bytes, out);
    if stamp_bytes != 0 {
        let checksum = xxh3_64(&out[start + 8..]);
        out[start..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn fill(stamp: Stamp, bytes: usize, out: &mut Vec<u8>) {
    let mut random = Random::fork(stamp.key_index, stamp.sequence);
    let end = out.len() + bytes;
    while out.len() + 8 <= end {
        out.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    let last = random.next_u64().to_le_bytes();
    let missing = end - out.len();
    out.extend_from_slice(&last[..missing]);
}

/// Reads the stamp of a value found under `key_index`; `None` if it is too short to have one.
pub(crate) fn read_value(value: &[u8], key_index: u64) -> Result<Option<Stamp>, BadValue> {
    let Some((checksum, rest)) = value.split_first_chunk::<8>() else { return Ok(None) };
    let Some((found_key, after)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let Some((sequence, _)) = after.split_first_chunk::<8>() else { return Ok(None) };
    if xxh3_64(rest) != u64::from_le_bytes(*checksum) {
        return Err(BadValue::Damaged);
    }
    if u64::from_le_bytes(*found_key) != key_index {
        return Err(BadValue::OfOtherKey);
    }
    Ok(Some(Stamp { key_index, sequence: u64::from_le_bytes(*sequence) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { key_index: 7, sequence: 9 };

    fn value(bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        write_value(STAMP, bytes, &mut out);
        out
    }

    #[test]
    fn a_value_tells_its_key_and_sequence_and_has_its_size() {
        for bytes in [STAMP_BYTES, 25, 32, 1000, 1024] {
            assert_eq!(value(bytes).len(), bytes);
            assert_eq!(read_value(&value(bytes), 7), Ok(Some(STAMP)));
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_seen() {
        for at in 0..100 {
            let mut bytes = value(100);
            bytes[at] ^= 4;
            assert_eq!(read_value(&bytes, 7), Err(BadValue::Damaged), "at {at}");
        }
    }

    #[test]
    fn a_value_of_another_key_is_seen() {
        assert_eq!(read_value(&value(100), 8), Err(BadValue::OfOtherKey));
    }

    #[test]
    fn a_value_too_short_for_a_stamp_has_none() {
        for bytes in 0..STAMP_BYTES {
            assert_eq!(value(bytes).len(), bytes);
            assert_eq!(read_value(&value(bytes), 7), Ok(None));
        }
    }
}
