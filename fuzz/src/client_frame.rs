//! A stream of bytes, as a client's connection reads it.

use bytes::BytesMut;
use rondo_protocol::limits::FRAME_BODY_BYTES_MAX;
use rondo_protocol::wire::{HEADER_BYTES, decode_client, next_frame};

/// A stream of bytes, as a client's connection reads it.
pub fn client_frame(stream: &[u8]) {
    let mut buffer = BytesMut::from(stream);
    let mut read = 0;
    while let Ok(Some(frame)) = next_frame(&mut buffer, FRAME_BODY_BYTES_MAX) {
        assert_eq!(frame.body.len(), frame.header.body_bytes as usize);
        assert_eq!(frame.body, stream[read + HEADER_BYTES..][..frame.body.len()]);
        read += HEADER_BYTES + frame.body.len();
        let _ = decode_client(frame.header, frame.body);
    }
}
