//! What a node answers: an opcode, then a body.

use bytes::Bytes;
use rondo_protocol::wire::{ClientReply, DataAnswer, Header, decode_reply};

/// What a node answers: an opcode, then a body.
pub fn reply_body(input: &[u8]) {
    let Some((&opcode, body)) = input.split_first() else { return };
    let header = Header { opcode, body_bytes: body.len() as u32, request_id: 1, flags: 0 };
    match decode_reply(header, Bytes::copy_from_slice(body)) {
        Ok(ClientReply::Data(answer)) => assert!(bytes_of(&answer) <= body.len()),
        Ok(ClientReply::Batch(answers)) => assert!(answers.iter().map(bytes_of).sum::<usize>() <= body.len()),
        Ok(ClientReply::Hello(hello)) => {
            let _ = hello.topology.ring();
        }
        Ok(ClientReply::Topology(topology)) => {
            let _ = topology.ring();
        }
        Ok(ClientReply::Pong { .. } | ClientReply::Error(_)) | Err(_) => {}
    }
}

fn bytes_of(answer: &DataAnswer) -> usize {
    match answer {
        DataAnswer::Found { context, values, .. } => context.len() + values.iter().map(Bytes::len).sum::<usize>(),
        DataAnswer::NotFound { context, .. } | DataAnswer::Stored { context, .. } => context.len(),
        DataAnswer::Refused { .. } | DataAnswer::Unknown { .. } => 0,
    }
}
