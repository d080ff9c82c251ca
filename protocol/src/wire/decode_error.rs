//! Why bytes are not a message, and why a message has no bytes.

use crate::object::ObjectDecodeError;

/// What was wrong with a frame or body. `offset` counts from the start of what was being decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The first two bytes are not rondo's.
    #[error("not a rondo frame: magic {found:#06x}")]
    BadMagic {
        /// What was found.
        found: u16,
    },
    /// A version we do not speak.
    #[error("protocol version {found} is not supported (this side speaks 1)")]
    BadVersion {
        /// What was found.
        found: u8,
    },
    /// A length beyond the bound.
    #[error("{what}: {found} exceeds the bound of {max}")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// What was found.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The checksum does not fit.
    #[error("checksum mismatch: frame says {found:#010x}, bytes give {computed:#010x}")]
    BadChecksum {
        /// What was found.
        found: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The body ends too early.
    #[error("body ends inside {what} at offset {offset}")]
    Truncated {
        /// Which field.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// Bytes are left over.
    #[error("{extra} bytes left over after the body")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// A value that the field does not allow.
    #[error("{what} has the value {found}, which is not allowed")]
    BadValue {
        /// Which field.
        what: &'static str,
        /// What was found.
        found: u64,
    },
    /// No such opcode.
    #[error("unknown opcode {found:#04x}")]
    UnknownOpcode {
        /// What was found.
        found: u8,
    },
    /// A text that is not UTF-8.
    #[error("{what} is not UTF-8 at offset {offset}")]
    NotText {
        /// Which field.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// Bytes that are no object.
    #[error("not an object: {what} at byte {at} of it")]
    BadObject {
        /// Which field.
        what: &'static str,
        /// Where in it.
        at: usize,
    },
}

impl DecodeError {
    /// True if the stream of frames can be followed no further, so that the connection ends after the error reply.
    /// Only an unknown opcode leaves it in order.
    pub fn ends_connection(&self) -> bool {
        !matches!(self, DecodeError::UnknownOpcode { .. })
    }
}

impl From<ObjectDecodeError> for DecodeError {
    fn from(error: ObjectDecodeError) -> DecodeError {
        DecodeError::BadObject { what: error.what, at: error.at }
    }
}

/// Why a message was not encoded. The buffer is as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// Longer than the other side would accept.
    #[error("{what} of {found} exceeds the bound of {max}")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// What was found.
        found: usize,
        /// The bound.
        max: usize,
    },
}
