//! A key with its keyspace and its token, cheap to clone.
//!
//! The routed form is what stands in every request, in every record and in every peer message, so a key is cut out of
//! a frame as one piece and never put together again.

use bytes::{BufMut, Bytes, BytesMut};

use super::Token;
use crate::limits::{KEY_BYTES_MAX, KEYSPACE_NAME_BYTES_MAX};

/// Bytes before the keyspace's name.
const LENGTH_BYTES: usize = 2;

/// Keyspace and key in routed form, and the token computed from it once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectKey {
    token: Token,
    routed: Bytes,
}

impl ObjectKey {
    /// Takes `u16-LE keyspace length | keyspace | key`, or gives `None` if the length does not fit or the keyspace or
    /// the key is empty or too long. No copy is made.
    pub fn from_routed(routed: Bytes) -> Option<ObjectKey> {
        let length = routed.first_chunk::<LENGTH_BYTES>()?;
        let keyspace_bytes = usize::from(u16::from_le_bytes(*length));
        let key_bytes = routed.len().checked_sub(LENGTH_BYTES + keyspace_bytes)?;
        if !are_lengths_valid(keyspace_bytes, key_bytes) {
            return None;
        }
        Some(ObjectKey { token: Token::of_routed(&routed), routed })
    }

    /// Builds the routed form of `keyspace` and `key` (one allocation). `None` as above.
    pub fn new(keyspace: &[u8], key: &[u8]) -> Option<ObjectKey> {
        if !are_lengths_valid(keyspace.len(), key.len()) {
            return None;
        }
        let mut routed = BytesMut::with_capacity(LENGTH_BYTES + keyspace.len() + key.len());
        routed.put_u16_le(u16::try_from(keyspace.len()).ok()?);
        routed.put_slice(keyspace);
        routed.put_slice(key);
        Some(ObjectKey { token: Token::of_routed(&routed), routed: routed.freeze() })
    }

    /// The token.
    #[inline]
    pub fn token(&self) -> Token {
        self.token
    }

    /// The routed bytes.
    #[inline]
    pub fn routed(&self) -> &Bytes {
        &self.routed
    }

    /// The keyspace's name.
    #[inline]
    pub fn keyspace(&self) -> &[u8] {
        &self.routed[LENGTH_BYTES..self.key_start()]
    }

    /// The key as the client gave it.
    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.routed[self.key_start()..]
    }

    fn key_start(&self) -> usize {
        LENGTH_BYTES + usize::from(u16::from_le_bytes([self.routed[0], self.routed[1]]))
    }
}

fn are_lengths_valid(keyspace_bytes: usize, key_bytes: usize) -> bool {
    (1..=KEYSPACE_NAME_BYTES_MAX).contains(&keyspace_bytes) && (1..=KEY_BYTES_MAX).contains(&key_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_apart_as_it_was_put_together() {
        let key = ObjectKey::new(b"users", b"\x00ada\xff").expect("valid");
        assert_eq!((key.keyspace(), key.key()), (&b"users"[..], &b"\x00ada\xff"[..]));
        assert_eq!(&key.routed()[..], b"\x05\x00users\x00ada\xff");
        assert_eq!(ObjectKey::from_routed(key.routed().clone()), Some(key));
    }

    #[test]
    fn the_border_between_keyspace_and_key_is_part_of_the_token() {
        let one = ObjectKey::new(b"a", b"bc").expect("valid");
        let two = ObjectKey::new(b"ab", b"c").expect("valid");
        assert_ne!(one.token(), two.token());
    }

    #[test]
    fn empty_and_over_long_parts_are_refused() {
        let longest = vec![b'k'; KEY_BYTES_MAX + 1];
        let longest_name = vec![b's'; KEYSPACE_NAME_BYTES_MAX + 1];
        assert!(ObjectKey::new(b"s", &longest[1..]).is_some());
        assert!(ObjectKey::new(&longest_name[1..], b"k").is_some());
        for (keyspace, key) in [(&b""[..], &b"k"[..]), (b"s", b""), (b"s", &longest), (&longest_name, b"k")] {
            assert_eq!(ObjectKey::new(keyspace, key), None);
        }
    }

    #[test]
    fn routed_bytes_with_a_length_that_lies_are_refused() {
        for routed in [&b""[..], b"\x01", b"\x01\x00", b"\x01\x00s", b"\x02\x00s", b"\xff\xffsk", b"\x00\x00k"] {
            assert_eq!(ObjectKey::from_routed(Bytes::copy_from_slice(routed)), None, "{routed:?}");
        }
    }
}
