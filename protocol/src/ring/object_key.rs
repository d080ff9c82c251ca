//! A key with its keyspace and its token, cheap to clone.

use bytes::Bytes;

use super::Token;

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
        todo!("{routed:?}")
    }

    /// Builds the routed form of `keyspace` and `key` (one allocation). `None` as above.
    pub fn new(keyspace: &[u8], key: &[u8]) -> Option<ObjectKey> {
        todo!("{keyspace:?}{key:?}")
    }

    /// The token.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The routed bytes.
    pub fn routed(&self) -> &Bytes {
        &self.routed
    }

    /// The keyspace's name.
    pub fn keyspace(&self) -> &[u8] {
        todo!()
    }

    /// The key as the client gave it.
    pub fn key(&self) -> &[u8] {
        todo!()
    }
}
