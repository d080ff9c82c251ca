//! The answer to what could not be understood.
//!
//! A request that is understood and cannot be done is refused in a data reply; this is for bytes that make no sense,
//! for a version nobody speaks, and for an order of words that the protocol does not have.

use bytes::Bytes;

use super::reader::Reader;
use super::{DecodeError, Opcode, begin_frame};
use crate::limits::MESSAGE_BYTES_MAX;

/// Bit 0 of the flags: the sender closes the connection after this frame.
const FLAG_ENDS_CONNECTION: u8 = 1;

/// What kind of trouble. The numbers are the wire's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    /// The frame or its body is not what the protocol says. Ends the connection.
    Malformed = 1,
    /// The checksum did not fit: damage on the way. Ends the connection; a new one may do better.
    Damaged = 2,
    /// No common version. Ends the connection.
    Version = 3,
    /// No such opcode, or not one that a client may send. The connection goes on.
    UnknownOpcode = 4,
    /// The frame is longer than the limits in the hello reply. Ends the connection.
    TooLong = 5,
    /// The first frame was no `HELLO`, or a later one was. Ends the connection.
    HelloExpected = 6,
    /// The authentication was not accepted. Ends the connection.
    Authentication = 7,
    /// The node has as many connections as it may. Ends the connection; another node may take it.
    TooManyConnections = 8,
    /// The node is stopping. Ends the connection; another node may take it.
    Stopping = 9,
}

impl ErrorCode {
    /// The code of that number.
    pub fn from_number(number: u16) -> Option<ErrorCode> {
        use ErrorCode::*;
        const ALL: [ErrorCode; 9] = [
            Malformed,
            Damaged,
            Version,
            UnknownOpcode,
            TooLong,
            HelloExpected,
            Authentication,
            TooManyConnections,
            Stopping,
        ];
        ALL.into_iter().find(|code| *code as u16 == number)
    }
}

/// An error frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorReply {
    /// What kind.
    pub code: ErrorCode,
    /// True if the sender closes the connection now.
    pub ends_connection: bool,
    /// For people; at most [`MESSAGE_BYTES_MAX`] bytes are sent.
    pub message: String,
}

impl ErrorReply {
    /// What to say about a frame that could not be decoded.
    pub fn of_decode(error: &DecodeError) -> ErrorReply {
        let code = match error {
            DecodeError::BadChecksum { .. } => ErrorCode::Damaged,
            DecodeError::BadVersion { .. } => ErrorCode::Version,
            DecodeError::UnknownOpcode { .. } => ErrorCode::UnknownOpcode,
            DecodeError::TooLong { .. } => ErrorCode::TooLong,
            DecodeError::BadMagic { .. }
            | DecodeError::Truncated { .. }
            | DecodeError::TrailingBytes { .. }
            | DecodeError::BadValue { .. }
            | DecodeError::NotText { .. }
            | DecodeError::BadObject { .. } => ErrorCode::Malformed,
        };
        ErrorReply { code, ends_connection: error.ends_connection(), message: error.to_string() }
    }

    /// Appends the frame.
    pub fn encode(&self, request_id: u32, out: &mut Vec<u8>) {
        let frame = begin_frame(out, Opcode::Error, request_id);
        out.extend_from_slice(&(self.code as u16).to_le_bytes());
        out.push(if self.ends_connection { FLAG_ENDS_CONNECTION } else { 0 });
        out.push(0);
        append_message(&self.message, out);
        frame.finish(out);
    }

    /// Reads the body.
    pub fn decode(body: Bytes) -> Result<ErrorReply, DecodeError> {
        let mut reader = Reader::new(body);
        let number = reader.u16("error code")?;
        let code = ErrorCode::from_number(number)
            .ok_or(DecodeError::BadValue { what: "error code", found: u64::from(number) })?;
        let ends_connection = match reader.u8("error flags")? {
            0 => false,
            FLAG_ENDS_CONNECTION => true,
            found => return Err(DecodeError::BadValue { what: "error flags", found: u64::from(found) }),
        };
        reader.zeros(1, "reserved byte of an error")?;
        let message = read_message(&mut reader)?;
        reader.finish()?;
        Ok(ErrorReply { code, ends_connection, message })
    }
}

/// `u16 length | text`, cut to [`MESSAGE_BYTES_MAX`] at a character's border.
pub(super) fn append_message(message: &str, out: &mut Vec<u8>) {
    let text = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The inverse of [`append_message`].
pub(super) fn read_message(reader: &mut Reader) -> Result<String, DecodeError> {
    let length = usize::from(reader.u16("message length")?);
    reader.text(length, MESSAGE_BYTES_MAX, "message")
}
