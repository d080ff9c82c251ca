//! A body, read field by field.
//!
//! Each step names what it reads, so that an error says where the bytes stopped making sense. Runs of bytes come out
//! as slices of the body, never as copies. Nothing is reserved for a count that the bytes at hand cannot hold.

use bytes::Bytes;

use super::DecodeError;

/// What is left of a body, and how far we are.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    body: Bytes,
    offset: usize,
}

impl Reader {
    /// Starts at the front.
    pub(super) fn new(body: Bytes) -> Reader {
        Reader { body, offset: 0 }
    }

    /// Bytes not read yet.
    pub(super) fn remaining(&self) -> usize {
        self.body.len() - self.offset
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let rest = &self.body[self.offset..];
        let Some(bytes) = rest.first_chunk::<N>() else {
            return Err(DecodeError::Truncated { what, offset: self.offset });
        };
        self.offset += N;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A length or count of four bytes.
    pub(super) fn length(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        self.u32(what).map(|length| length as usize)
    }

    /// A run of bytes, as a slice of the body.
    pub(super) fn bytes(&mut self, length: usize, what: &'static str) -> Result<Bytes, DecodeError> {
        if length > self.remaining() {
            return Err(DecodeError::Truncated { what, offset: self.offset });
        }
        let start = self.offset;
        self.offset += length;
        Ok(self.body.slice(start..self.offset))
    }

    /// A text of at most `max` bytes (copied: texts are few and short).
    pub(super) fn text(&mut self, length: usize, max: usize, what: &'static str) -> Result<String, DecodeError> {
        if length > max {
            return Err(DecodeError::TooLong { what, found: length, max });
        }
        let offset = self.offset;
        let bytes = self.bytes(length, what)?;
        match core::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(DecodeError::NotText { what, offset: offset + error.valid_up_to() }),
        }
    }

    /// `length` bytes that must be zero.
    pub(super) fn zeros(&mut self, length: usize, what: &'static str) -> Result<(), DecodeError> {
        for _ in 0..length {
            let found = self.u8(what)?;
            if found != 0 {
                return Err(DecodeError::BadValue { what, found: u64::from(found) });
            }
        }
        Ok(())
    }

    /// Refuses a count beyond `max`, and one whose items (of at least `item_bytes` each) cannot all be in what is
    /// left: after this, room for `count` items may be reserved.
    pub(super) fn check_count(
        &self,
        count: usize,
        max: usize,
        item_bytes: usize,
        what: &'static str,
    ) -> Result<(), DecodeError> {
        if count > max {
            return Err(DecodeError::TooLong { what, found: count, max });
        }
        if count.saturating_mul(item_bytes) > self.remaining() {
            return Err(DecodeError::Truncated { what, offset: self.offset + self.remaining() });
        }
        Ok(())
    }

    /// All must have been read.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            extra => Err(DecodeError::TrailingBytes { extra }),
        }
    }
}
