//! Why bytes are not a message.

/// What was wrong with a frame or body. `offset` counts from the start of what was being decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The first two bytes are not rondo's.
    #[error("not a rondo frame: magic {found:#06x}")]
    BadMagic { found: u16 },
    /// A version we do not speak.
    #[error("protocol version {found} is not supported (this side speaks 1)")]
    BadVersion { found: u8 },
    /// A length beyond the bound.
    #[error("{what} of {found} bytes exceeds the bound of {max}")]
    TooLong { what: &'static str, found: usize, max: usize },
    /// The checksum does not fit.
    #[error("checksum mismatch: frame says {found:#010x}, bytes give {computed:#010x}")]
    BadChecksum { found: u32, computed: u32 },
    /// The body ends too early.
    #[error("body ends inside {what} at offset {offset}")]
    Truncated { what: &'static str, offset: usize },
    /// Bytes are left over.
    #[error("{extra} bytes left over after the body")]
    TrailingBytes { extra: usize },
    /// A value that the field does not allow.
    #[error("{what} has the value {found}, which is not allowed")]
    BadValue { what: &'static str, found: u64 },
    /// No such opcode.
    #[error("unknown opcode {found:#04x}")]
    UnknownOpcode { found: u8 },
}
