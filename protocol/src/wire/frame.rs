//! The envelope of every message, to clients and between nodes.
//!
//! `u16 magic | u8 version | u8 opcode | u32 body bytes | u32 request id | u16 flags | u16 zero | u32 CRC32C`, then the
//! body. The checksum covers the first 16 bytes and the body. A frame is split off the read buffer without a copy, and
//! written straight into the buffer that will be sent: its length and checksum are patched in when the body is known.
//!
//! What a body means is left to the codecs; what to do about a bad frame, to whoever owns the connection.

use bytes::{Buf, Bytes, BytesMut};

use super::{DecodeError, Opcode};

/// Bytes before each body.
pub const HEADER_BYTES: usize = 20;
/// The first two bytes of each frame, little-endian: `R`, `D`.
pub const MAGIC: u16 = 0x4452;
/// The version of the frame's layout. `HELLO` always travels in a frame of version 1.
pub const FRAME_VERSION: u8 = 1;
/// The part of the header that the checksum covers: all before the checksum itself.
const COVERED_BYTES: usize = 16;

/// What stands before a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The message's kind. Raw, because an unknown one is answered and not refused as a frame.
    pub opcode: u8,
    /// Bytes that follow.
    pub body_bytes: u32,
    /// Chosen by whoever asks, repeated in the answer. 0 between peers.
    pub request_id: u32,
    /// Reserved: 0 in version 1.
    pub flags: u16,
}

/// A whole frame, its checksum verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What stands before the body.
    pub header: Header,
    /// The body: a slice of the read buffer.
    pub body: Bytes,
}

/// Splits the next whole frame off `buffer`; `None` if more bytes must come first (nothing is reserved for them: the
/// buffer grows with what arrives, not with what a length claims).
///
/// # Errors
/// The bytes are no frame, or one longer than `body_max`, or damaged. The stream cannot be followed any further.
pub fn next_frame(buffer: &mut BytesMut, body_max: usize) -> Result<Option<Frame>, DecodeError> {
    check_start(buffer)?;
    let Some(head) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let (header, crc) = Header::read(head)?;
    let body_bytes = header.body_bytes as usize;
    if body_bytes > body_max {
        return Err(DecodeError::TooLong { what: "frame body", found: body_bytes, max: body_max });
    }
    if buffer.len() < HEADER_BYTES + body_bytes {
        return Ok(None);
    }
    let mut whole = buffer.split_to(HEADER_BYTES + body_bytes).freeze();
    let computed = checksum(&whole);
    if computed != crc {
        return Err(DecodeError::BadChecksum { found: crc, computed });
    }
    whole.advance(HEADER_BYTES);
    Ok(Some(Frame { header, body: whole }))
}

/// Refuses what is no frame of ours as early as its first bytes show it: a stray HTTP client should not have to fill
/// a header before it is told.
fn check_start(buffer: &[u8]) -> Result<(), DecodeError> {
    if let Some(magic) = buffer.first_chunk::<2>() {
        let found = u16::from_le_bytes(*magic);
        if found != MAGIC {
            return Err(DecodeError::BadMagic { found });
        }
    }
    match buffer.get(2) {
        Some(&found) if found != FRAME_VERSION => Err(DecodeError::BadVersion { found }),
        _ => Ok(()),
    }
}

impl Header {
    /// Reads a header whose magic and version were checked; also the checksum it claims.
    fn read(head: &[u8; HEADER_BYTES]) -> Result<(Header, u32), DecodeError> {
        let [_, _, _, opcode, b0, b1, b2, b3, r0, r1, r2, r3, f0, f1, z0, z1, c0, c1, c2, c3] = *head;
        let zero = u16::from_le_bytes([z0, z1]);
        if zero != 0 {
            return Err(DecodeError::BadValue { what: "reserved header field", found: u64::from(zero) });
        }
        let header = Header {
            opcode,
            body_bytes: u32::from_le_bytes([b0, b1, b2, b3]),
            request_id: u32::from_le_bytes([r0, r1, r2, r3]),
            flags: u16::from_le_bytes([f0, f1]),
        };
        Ok((header, u32::from_le_bytes([c0, c1, c2, c3])))
    }

    /// The opcode by name, in a frame without flags.
    ///
    /// # Errors
    /// Unknown opcode, or a flag that version 1 does not have.
    pub fn known_opcode(&self) -> Result<Opcode, DecodeError> {
        if self.flags != 0 {
            return Err(DecodeError::BadValue { what: "flags", found: u64::from(self.flags) });
        }
        Opcode::from_number(self.opcode).ok_or(DecodeError::UnknownOpcode { found: self.opcode })
    }
}

/// The checksum of a whole frame (header and body).
fn checksum(whole: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&whole[..COVERED_BYTES]), &whole[HEADER_BYTES..])
}

/// A frame that was begun: where it starts in its buffer.
#[derive(Debug)]
#[must_use = "a frame that is not finished has no length and no checksum"]
pub struct FrameStart {
    at: usize,
}

/// Appends a header to `out`; the body is appended next, then [`FrameStart::finish`] is called.
pub fn begin_frame(out: &mut Vec<u8>, opcode: Opcode, request_id: u32) -> FrameStart {
    let at = out.len();
    let mut head = [0; HEADER_BYTES];
    head[0..2].copy_from_slice(&MAGIC.to_le_bytes());
    head[2] = FRAME_VERSION;
    head[3] = opcode as u8;
    head[8..12].copy_from_slice(&request_id.to_le_bytes());
    out.extend_from_slice(&head);
    FrameStart { at }
}

impl FrameStart {
    /// Bytes of body appended to `out` so far.
    pub fn body_bytes(&self, out: &[u8]) -> usize {
        out.len() - self.at - HEADER_BYTES
    }

    /// Patches length and checksum of the frame that ends where `out` ends now.
    pub fn finish(self, out: &mut [u8]) {
        let body_bytes = self.body_bytes(out);
        let whole = &mut out[self.at..];
        let length = u32::try_from(body_bytes).expect("bodies are bounded far below 4 GiB by their encoders");
        whole[4..8].copy_from_slice(&length.to_le_bytes());
        let crc = checksum(whole);
        whole[COVERED_BYTES..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    /// Takes the begun frame back off `out`.
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.at);
    }
}
