//! What strangers may send: every answer is an error with a name, never a panic, never memory for a length that lies.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use rondo_protocol::limits::{BATCH_ITEMS_MAX, FRAME_BODY_BYTES_MAX, KEY_BYTES_MAX, OBJECT_BYTES_MAX, VALUE_BYTES_MAX};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::ring::Token;
use rondo_protocol::wire::frame::{FRAME_VERSION, MAGIC};
use rondo_protocol::wire::reply::{DataReply, Refusal};
use rondo_protocol::wire::*;

use crate::samples::{HLC_1, HLC_2, client_samples, frame_of, key, object, receipt, samples};

/// Reads `body` as everything that it might be. Whatever it is, this returns.
fn decode_as_all(body: &Bytes) {
    for opcode in 0..=u8::MAX {
        let header = Header { opcode, body_bytes: body.len() as u32, request_id: 1, flags: 0 };
        let _ = decode_client(header, body.clone());
        let _ = decode_reply(header, body.clone());
        let _ = decode_peer(header, body.clone());
    }
    let _ = EncodedObject::decode(body.clone());
    let _ = rondo_protocol::causality::CausalContext::decode(body, Token(1));
}

fn says(opcode: Opcode, body: Vec<u8>) -> Result<Decoded, DecodeError> {
    let header = Header { opcode: opcode as u8, body_bytes: body.len() as u32, request_id: 1, flags: 0 };
    decode_client(header, Bytes::from(body))
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    for sample in samples() {
        let frame = frame_of(&sample.frame);
        // An echo may have any length.
        let is_free = ["ping", "pong"].contains(&sample.name);
        for end in 0..frame.body.len() {
            let cut = frame.body.slice(..end);
            let refused = [
                decode_client(frame.header, cut.clone()).is_err(),
                decode_reply(frame.header, cut.clone()).is_err(),
                decode_peer(frame.header, cut).is_err(),
            ];
            assert!(is_free || refused == [true; 3], "{} cut to {end} bytes", sample.name);
        }
    }
}

#[test]
fn bytes_after_a_body_are_refused_but_after_a_hello_skipped() {
    for sample in samples() {
        let frame = frame_of(&sample.frame);
        let longer = Bytes::from([&frame.body[..], b"\0"].concat());
        let understood = decode_client(frame.header, longer.clone()).is_ok()
            || decode_reply(frame.header, longer.clone()).is_ok()
            || decode_peer(frame.header, longer).is_ok();
        let may_grow = ["hello", "hello_any", "hello_reply", "ping", "pong"].contains(&sample.name);
        assert_eq!(understood, may_grow, "{} with a byte more", sample.name);
    }
}

#[test]
fn lengths_of_nothing_and_of_four_gigabytes_do_no_harm() {
    for sample in samples() {
        let body = frame_of(&sample.frame).body;
        for at in 0..body.len().saturating_sub(3) {
            for length in [0u32, 1, u32::MAX, u32::MAX - 7, i32::MAX as u32] {
                let mut bytes = body.to_vec();
                bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
                let bytes = Bytes::from(bytes);
                let header = Header { opcode: sample.frame[3], body_bytes: 0, request_id: 0, flags: 0 };
                let _ = decode_client(header, bytes.clone());
                let _ = decode_reply(header, bytes.clone());
                let _ = decode_peer(header, bytes);
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bodies_do_no_harm(body in vec(any::<u8>(), 0..300)) {
        decode_as_all(&Bytes::from(body));
    }

    #[test]
    fn mutated_bodies_do_no_harm(
        index in any::<prop::sample::Index>(), edits in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let all = samples();
        let mut body = all[index.index(all.len())].frame[HEADER_BYTES..].to_vec();
        for (place, byte) in edits {
            let length = body.len().max(1);
            body.resize(length, 0);
            body[place.index(length)] = byte;
        }
        decode_as_all(&Bytes::from(body));
    }

    #[test]
    fn random_streams_do_no_harm(stream in vec(any::<u8>(), 0..200), start in any::<bool>()) {
        let start: &[u8] = if start { &[0x52, 0x44, 1] } else { &[] };
        let mut buffer = BytesMut::from(&[start, &stream].concat()[..]);
        while let Ok(Some(_)) = next_frame(&mut buffer, 100) {}
    }

    #[test]
    fn one_wrong_bit_is_noticed(index in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>()) {
        let all = samples();
        let mut bytes = all[index.index(all.len())].frame.clone();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A length that grew waits for bytes that never come; everything else is refused at once.
        let read = next_frame(&mut BytesMut::from(&bytes[..]), FRAME_BODY_BYTES_MAX);
        let waits = read == Ok(None) && (32..64).contains(&bit);
        prop_assert!(waits || read.is_err(), "bit {bit} went unnoticed");
    }
}

#[test]
fn a_length_beyond_the_bound_is_refused_before_anything_is_reserved() {
    for (length, is_refused) in [(0, false), (100, false), (101, true), (i32::MAX as u32, true), (u32::MAX, true)] {
        let mut head = client_samples()[0].frame[..HEADER_BYTES].to_vec();
        head[4..8].copy_from_slice(&length.to_le_bytes());
        let mut buffer = BytesMut::from(&head[..]);
        let capacity = buffer.capacity();
        let read = next_frame(&mut buffer, 100);
        let too_long = DecodeError::TooLong { what: "frame body", found: length as usize, max: 100 };
        assert_eq!(read == Err(too_long), is_refused, "length {length}");
        assert!(buffer.capacity() <= capacity);
    }
}

#[test]
fn a_stranger_is_known_by_its_first_bytes() {
    let check = |bytes: &[u8], expected| assert_eq!(next_frame(&mut BytesMut::from(bytes), 100), expected);
    check(b"", Ok(None));
    check(b"R", Ok(None));
    check(b"RD\x01", Ok(None));
    check(b"GE", Err(DecodeError::BadMagic { found: u16::from_le_bytes(*b"GE") }));
    check(b"\x16\x03\x01", Err(DecodeError::BadMagic { found: 0x0316 }));
    check(b"RD\x02", Err(DecodeError::BadVersion { found: 2 }));
    assert_eq!((MAGIC.to_le_bytes(), FRAME_VERSION), (*b"RD", 1));
}

#[test]
fn unknown_opcodes_leave_the_connection_in_order() {
    for opcode in 0..=u8::MAX {
        let header = Header { opcode, body_bytes: 0, request_id: 1, flags: 0 };
        let known = (1..=3).contains(&opcode) || (0x10..=0x12).contains(&opcode) || (0x18..=0x1a).contains(&opcode);
        match decode_client(header, Bytes::new()) {
            Err(error @ DecodeError::UnknownOpcode { found }) => {
                assert!(!known && found == opcode && !error.ends_connection());
                assert_eq!(ErrorReply::of_decode(&error).code, ErrorCode::UnknownOpcode);
            }
            _ => assert!(known, "opcode {opcode:#04x}"),
        }
    }
    let flagged = Header { opcode: 1, body_bytes: 0, request_id: 1, flags: 1 };
    assert_eq!(decode_client(flagged, Bytes::new()), Err(DecodeError::BadValue { what: "flags", found: 1 }));
}

/// A put's body from its parts, which need not be valid.
fn put_body(options: [u8; 8], keyspace: &[u8], key: &[u8], context: &[u8], value_bytes: usize) -> Vec<u8> {
    let routed = [&(keyspace.len() as u16).to_le_bytes(), keyspace, key].concat();
    let mut body = options.to_vec();
    for length in [routed.len(), context.len(), value_bytes] {
        body.extend((length as u32).to_le_bytes());
    }
    body.extend(routed);
    body.extend(context);
    body.resize(body.len() + value_bytes, 0);
    body
}

#[test]
fn a_request_that_cannot_be_is_refused_and_names_the_reason() {
    let good = [0; 8];
    let check = |expected, body| assert_eq!(says(Opcode::Put, body), Ok(Decoded::Refused(expected)));
    check(Refusal::BadKey, put_body(good, b"k", b"", b"", 0));
    check(Refusal::BadKey, put_body(good, b"k", &[0; KEY_BYTES_MAX + 1], b"", 0));
    check(Refusal::UnknownKeyspace, put_body(good, b"", b"k", b"", 0));
    check(Refusal::UnknownKeyspace, put_body(good, &[b'k'; 65], b"k", b"", 0));
    check(Refusal::ValueTooLarge, put_body(good, b"k", b"k", b"", VALUE_BYTES_MAX + 1));
    check(Refusal::BadContext, put_body(good, b"k", b"k", &[0; 16_449], 0));
    check(Refusal::BadQuorum, put_body([251, 0, 0, 0, 0, 0, 0, 0], b"k", b"k", b"", 0));
    check(Refusal::BadRequest, put_body([0, 0, 0, 0, 0x61, 0xea, 0, 0], b"k", b"k", b"", 0));
}

#[test]
fn a_routed_key_that_lies_about_its_keyspace_breaks_the_protocol() {
    for (routed, name) in [(&b""[..], "nothing"), (b"\x01", "one byte"), (b"\xff\xffk", "a name beyond its end")] {
        let mut body = vec![0; 8];
        body.extend((routed.len() as u32).to_le_bytes());
        body.extend(routed);
        let error = says(Opcode::Get, body).expect_err(name);
        assert!(error.ends_connection());
    }
}

#[test]
fn a_bad_item_does_not_hold_up_its_neighbours() {
    let mut body = vec![0; 8];
    body.extend(3u32.to_le_bytes());
    for routed in [&b"\x01\x00kx"[..], b"\x01\x00k", b"\x01\x00ky"] {
        body.extend((routed.len() as u32).to_le_bytes());
        body.extend(routed);
    }
    let Ok(Decoded::Message(ClientMessage::Batch(batch))) = says(Opcode::BatchGet, body) else {
        panic!("a batch with one bad item is a batch");
    };
    assert!(batch.items[0].is_ok() && batch.items[2].is_ok());
    assert_eq!(batch.items[1], Err(Refusal::BadKey));
}

#[test]
fn a_batch_of_none_or_too_many_is_refused_and_one_that_lies_breaks_the_protocol() {
    let body = |count: u32, items: usize| {
        let item = [&4u32.to_le_bytes()[..], b"\x01\x00kx"].concat();
        [&[0; 8], &count.to_le_bytes()[..], &item.repeat(items)].concat()
    };
    let whole = Ok(Decoded::Refused(Refusal::BadRequest));
    assert_eq!(says(Opcode::BatchGet, body(0, 0)), whole);
    assert_eq!(says(Opcode::BatchGet, body(BATCH_ITEMS_MAX as u32 + 1, BATCH_ITEMS_MAX + 1)), whole);
    assert_eq!(says(Opcode::BatchGet, body(u32::MAX, 1)), whole);
    assert!(says(Opcode::BatchGet, body(BATCH_ITEMS_MAX as u32, 3)).is_err());
    assert!(matches!(says(Opcode::BatchGet, body(BATCH_ITEMS_MAX as u32, BATCH_ITEMS_MAX)), Ok(Decoded::Message(_))));
}

fn answers_of(bytes: &[u8]) -> Vec<DataAnswer> {
    assert!(bytes.len() <= HEADER_BYTES + FRAME_BODY_BYTES_MAX, "the frame has {} bytes", bytes.len());
    let frame = frame_of(bytes);
    match decode_reply(frame.header, frame.body) {
        Ok(ClientReply::Batch(answers)) => answers,
        Ok(ClientReply::Data(answer)) => vec![answer],
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_reply_refuses_the_gets_that_do_not_fit_and_serves_the_rest() {
    let mebibyte = vec![1; VALUE_BYTES_MAX];
    let found = |value: &[u8]| DataReply::Found {
        receipt: receipt(2),
        token_low: key("city").token().low32(),
        object: object(&[(HLC_1, 1, Some(value))]),
    };
    let mut replies = vec![found(&mebibyte); 9];
    replies.push(found(b"small"));
    let mut out = Vec::new();
    encode_batch_reply(1, replies.iter(), &mut out);
    let answers = answers_of(&out);
    let is_found = |answer: &DataAnswer| matches!(answer, DataAnswer::Found { .. });
    let full = DataAnswer::Refused { refusal: Refusal::ReplyFull, retry_after: None };
    assert!(answers[..7].iter().all(is_found) && is_found(&answers[9]));
    assert_eq!(answers[7..9], [full.clone(), full]);
}

#[test]
fn what_is_stored_is_never_called_refused_for_want_of_room() {
    // Contexts of 1.6 KiB: a thousand of them, beside seven mebibytes, are more than a frame holds.
    let versions: Vec<_> = (1..=100u64).map(|actor| (HLC_2 + actor, actor, None)).collect();
    let large = object(&versions);
    let stored = DataReply::Stored { receipt: receipt(2), token_low: 1, object: large };
    let mebibytes = vec![1; VALUE_BYTES_MAX];
    let found = DataReply::Found { receipt: receipt(2), token_low: 1, object: object(&[(1, 1, Some(&mebibytes[..]))]) };
    let mut replies = vec![found; 7];
    replies.extend(vec![stored; BATCH_ITEMS_MAX - 7]);
    let mut out = Vec::new();
    encode_batch_reply(1, replies.iter(), &mut out);
    let answers = answers_of(&out);
    let context_of = |answer: &DataAnswer| match answer {
        DataAnswer::Stored { context, versions: 0, .. } => context.len(),
        other => panic!("{other:?}"),
    };
    let contexts: Vec<usize> = answers[7..].iter().map(context_of).collect();
    assert!(contexts.contains(&0) && contexts[0] > 1600);
}

#[test]
fn the_largest_object_fits_a_reply() {
    let header_bytes = 8 + 7 * 16 + 7 * 24;
    let (full, rest) = (vec![1; VALUE_BYTES_MAX], vec![2; VALUE_BYTES_MAX - header_bytes]);
    let mut versions: Vec<_> = (1..=6u64).map(|number| (number, number, Some(&full[..]))).collect();
    versions.push((7, 7, Some(&rest)));
    let object = object(&versions);
    assert_eq!(object.bytes().len(), OBJECT_BYTES_MAX);
    let mut out = Vec::new();
    encode_data_reply(1, &DataReply::Found { receipt: receipt(1), token_low: 1, object }, &mut out);
    assert!(matches!(&answers_of(&out)[..], [DataAnswer::Found { values, .. }] if values.len() == 7));
}
