//! What a peer says: an opcode, then a body.

use bytes::Bytes;
use rondo_protocol::wire::{HEADER_BYTES, Header, PeerFrame, decode_peer, encode_envelope};

/// What a peer says: an opcode, then a body.
pub fn peer_body(input: &[u8]) {
    let Some((&opcode, body)) = input.split_first() else { return };
    let header = Header { opcode, body_bytes: body.len() as u32, request_id: 0, flags: 0 };
    if let Ok(PeerFrame::Message(envelope)) = decode_peer(header, Bytes::copy_from_slice(body)) {
        let mut out = Vec::new();
        encode_envelope(envelope.epoch, envelope.clock_millis, &envelope.message, &mut out);
        assert_eq!(&out[HEADER_BYTES..], body);
    }
}
