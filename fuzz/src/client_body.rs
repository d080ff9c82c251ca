//! What a client says: an opcode, then a body.

use bytes::Bytes;
use rondo_protocol::wire::reply::Refusal;
use rondo_protocol::wire::request::DataRequest;
use rondo_protocol::wire::{
    BatchRequest, ClientMessage, Decoded, HEADER_BYTES, Header, decode_client, encode_batch, encode_data,
};

/// What a client says: an opcode, then a body.
pub fn client_body(input: &[u8]) {
    let Some((&opcode, body)) = input.split_first() else { return };
    let header = Header { opcode, body_bytes: body.len() as u32, request_id: 1, flags: 0 };
    let Ok(Decoded::Message(message)) = decode_client(header, Bytes::copy_from_slice(body)) else { return };
    let mut out = Vec::new();
    match message {
        ClientMessage::Data(request) => encode_data(1, &request, &mut out).expect("it came in a frame"),
        ClientMessage::Batch(BatchRequest { kind, options, items }) => {
            let Ok(items) = items.into_iter().collect::<Result<Vec<DataRequest>, Refusal>>() else { return };
            encode_batch(1, kind, &options, &items, &mut out).expect("it came in a frame");
        }
        ClientMessage::Hello(_) | ClientMessage::Ping { .. } | ClientMessage::Topology => return,
    }
    assert_eq!(&out[HEADER_BYTES..], body);
}
