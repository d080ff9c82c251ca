//! Whatever is said is understood: messages of any shape come back as they were, through a buffer cut anywhere.

use bytes::{Bytes, BytesMut};
use core::time::Duration;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::samples::{context, frame_of, object, peer_hello, samples};
use rondo_protocol::limits::{BATCH_ITEMS_MAX, FRAME_BODY_BYTES_MAX, PEER_BODY_BYTES_MAX, VALUE_BYTES_MAX};
use rondo_protocol::node::{NodeId, ShardIndex};
use rondo_protocol::object::EncodedObject;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::ticket::Ticket;
use rondo_protocol::wire::client_message::batch_bytes;
use rondo_protocol::wire::peer::{FetchAnswer, PeerEnvelope, PeerMessage};
use rondo_protocol::wire::reply::{DataReply, Receipt, Refusal};
use rondo_protocol::wire::request::{DataRequest, Level, RequestOptions};
use rondo_protocol::wire::*;

fn any_key() -> impl Strategy<Value = ObjectKey> {
    (vec(any::<u8>(), 1..20), vec(any::<u8>(), 1..200))
        .prop_map(|(keyspace, key)| ObjectKey::new(&keyspace, &key).expect("within bounds"))
}

fn any_bytes(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

fn any_level() -> impl Strategy<Value = Level> {
    prop_oneof![
        Just(Level::Default),
        Just(Level::One),
        Just(Level::Quorum),
        Just(Level::All),
        (0..=250u8).prop_map(Level::Count),
    ]
}

fn any_options() -> impl Strategy<Value = RequestOptions> {
    (any::<u8>(), any_level(), 0..=60_000u64).prop_map(|(replicas, level, millis)| RequestOptions {
        replicas,
        level,
        timeout: Duration::from_millis(millis),
    })
}

fn any_request(kind: BatchKind, options: RequestOptions) -> impl Strategy<Value = DataRequest> {
    (any_key(), any_bytes(300), any_bytes(3000)).prop_map(move |(key, context, value)| match kind {
        BatchKind::Get => DataRequest::Get { key, options },
        BatchKind::Put => DataRequest::Put { key, options, context, value },
        BatchKind::Delete => DataRequest::Delete { key, options, context },
    })
}

fn any_kind() -> impl Strategy<Value = BatchKind> {
    prop_oneof![Just(BatchKind::Get), Just(BatchKind::Put), Just(BatchKind::Delete)]
}

fn any_data() -> impl Strategy<Value = DataRequest> {
    (any_kind(), any_options()).prop_flat_map(|(kind, options)| any_request(kind, options))
}

/// An object of a few versions by distinct actors (times 1 and up), with what a client sees of it.
fn any_object() -> impl Strategy<Value = (EncodedObject, Vec<(u64, u64)>, Vec<Bytes>)> {
    vec(proptest::option::of(vec(any::<u8>(), 0..100)), 1..6).prop_map(|values| {
        let value_of =
            |(index, value): (usize, &'_ Option<Vec<u8>>)| (index as u64 + 1, index as u64 + 100, value.clone());
        let versions: Vec<(u64, u64, Option<Vec<u8>>)> = values.iter().enumerate().map(value_of).collect();
        let borrowed: Vec<_> = versions.iter().map(|(hlc, actor, value)| (*hlc, *actor, value.as_deref())).collect();
        let seen = versions.iter().map(|(hlc, actor, _)| (*actor, *hlc)).collect();
        let live = versions.iter().filter_map(|(_, _, value)| value.clone().map(Bytes::from)).collect();
        (object(&borrowed), seen, live)
    })
}

fn any_receipt() -> impl Strategy<Value = Receipt> {
    (any::<u64>(), any::<u32>(), any::<[u8; 3]>(), any::<bool>()).prop_map(
        |(epoch, coordinator, [replicas, required, answered], strict)| Receipt {
            epoch,
            coordinator: NodeId(coordinator),
            replicas,
            required,
            answered,
            strict,
        },
    )
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    proptest::sample::select(Refusal::ALL.to_vec())
}

/// A reply, and what a client sees of it.
fn any_reply() -> impl Strategy<Value = (DataReply, DataAnswer)> {
    let parts = (any_object(), any_receipt(), any::<u32>(), any_refusal(), 0..100_000u64, 0..5u8);
    parts.prop_map(|((object, seen, values), receipt, token_low, refusal, millis, status)| {
        let context = context(token_low, &seen);
        let retry_after = (millis > 0).then(|| Duration::from_millis(millis));
        match status {
            0 if !values.is_empty() => {
                (DataReply::Found { receipt, token_low, object }, DataAnswer::Found { receipt, context, values })
            }
            0 | 1 => {
                let object = Some(object);
                (DataReply::NotFound { receipt, token_low, object }, DataAnswer::NotFound { receipt, context })
            }
            2 => {
                let versions = values.len() as u8;
                (DataReply::Stored { receipt, token_low, object }, DataAnswer::Stored { receipt, context, versions })
            }
            3 => (DataReply::Refused { refusal, retry_after }, DataAnswer::Refused { refusal, retry_after }),
            _ => (DataReply::Unknown { receipt }, DataAnswer::Unknown { receipt }),
        }
    })
}

fn any_peer_message() -> impl Strategy<Value = PeerMessage> {
    let parts = (any::<u64>(), any_key(), any_object(), any_refusal(), any_data(), any_reply(), 0..10u8);
    parts.prop_map(|(number, key, (object, ..), refusal, request, (reply, _), choice)| {
        let ticket = Ticket::from_u64(number);
        let fetched = |answer| PeerMessage::Fetched { ticket, answer };
        match choice {
            0 => PeerMessage::Replicate { ticket, key, object },
            1 => PeerMessage::Replicated { ticket, outcome: Ok(()) },
            2 => PeerMessage::Replicated { ticket, outcome: Err(refusal) },
            3 => PeerMessage::Fetch { ticket, key, digest_only: number % 2 == 0 },
            4 => fetched(FetchAnswer::Nothing),
            5 => fetched(FetchAnswer::Digest(number)),
            6 => fetched(FetchAnswer::Object(object)),
            7 => fetched(FetchAnswer::Refused(refusal)),
            8 => PeerMessage::Forward { ticket, request, timeout: Duration::from_micros(number % 60_000_000) },
            _ => PeerMessage::Forwarded { ticket, reply },
        }
    })
}

fn client_says(bytes: &[u8]) -> ClientMessage {
    let frame = frame_of(bytes);
    match decode_client(frame.header, frame.body) {
        Ok(Decoded::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn node_answers(bytes: &[u8]) -> ClientReply {
    let frame = frame_of(bytes);
    decode_reply(frame.header, frame.body).expect("an answer")
}

proptest! {
    #[test]
    fn a_request_arrives_as_it_was_sent(request in any_data(), id in any::<u32>()) {
        let mut out = Vec::new();
        encode_data(id, &request, &mut out).expect("fits");
        prop_assert_eq!(frame_of(&out).header.request_id, id);
        prop_assert_eq!(client_says(&out), ClientMessage::Data(request));
    }

    #[test]
    fn a_batch_arrives_in_its_order(
        (kind, options, items) in (any_kind(), any_options())
            .prop_flat_map(|(kind, options)| (Just(kind), Just(options), vec(any_request(kind, options), 1..20)))
    ) {
        let mut out = Vec::new();
        encode_batch(1, kind, &options, &items, &mut out).expect("fits");
        prop_assert_eq!(out.len(), HEADER_BYTES + batch_bytes(&items));
        let items = items.into_iter().map(Ok).collect();
        prop_assert_eq!(client_says(&out), ClientMessage::Batch(BatchRequest { kind, options, items }));
    }

    #[test]
    fn an_answer_shows_the_living_and_the_context(reply in any_reply()) {
        let mut out = Vec::new();
        encode_data_reply(5, &reply.0, &mut out);
        prop_assert_eq!(node_answers(&out), ClientReply::Data(reply.1));
    }

    #[test]
    fn batch_answers_keep_their_order(replies in vec(any_reply(), 0..20)) {
        let (replies, answers): (Vec<DataReply>, Vec<DataAnswer>) = replies.into_iter().unzip();
        let mut out = Vec::new();
        encode_batch_reply(5, replies.iter(), &mut out);
        prop_assert_eq!(node_answers(&out), ClientReply::Batch(answers));
    }

    #[test]
    fn a_peers_message_arrives_as_it_was_sent(
        epoch in any::<u64>(), clock_millis in any::<u64>(), message in any_peer_message()
    ) {
        let mut out = Vec::new();
        encode_envelope(epoch, clock_millis, &message, &mut out);
        let frame = frame_of(&out);
        let envelope = PeerEnvelope { epoch, clock_millis, message };
        prop_assert_eq!(decode_peer(frame.header, frame.body), Ok(PeerFrame::Message(envelope)));
    }

    #[test]
    fn a_hello_of_any_name_arrives(name in "\\PC{0,64}", shard in proptest::option::of(0..u16::MAX)) {
        let mut hello = ClientHello::new(&name, shard.map(ShardIndex));
        let mut out = Vec::new();
        hello.encode(1, &mut out);
        hello.client_name.truncate(hello.client_name.floor_char_boundary(64));
        prop_assert_eq!(client_says(&out), ClientMessage::Hello(hello));
    }

    #[test]
    fn a_peer_hello_of_any_texts_arrives(
        name in "\\PC{0,64}", rack in "\\PC{0,64}", addr in "[a-z0-9.:]{1,40}", number in any::<u64>()
    ) {
        let client_addr = Some(addr).filter(|_| number % 3 != 0);
        let hello = PeerHello { name, rack, client_addr, cluster_id: number, ..peer_hello() };
        let mut out = Vec::new();
        hello.encode(&mut out);
        let frame = frame_of(&out);
        prop_assert_eq!(decode_peer(frame.header, frame.body), Ok(PeerFrame::Hello(hello)));
    }

    #[test]
    fn frames_survive_any_cutting(cuts in vec(1..60usize, 1..200)) {
        let all: Vec<Vec<u8>> = samples().into_iter().map(|sample| sample.frame).collect();
        let stream = all.concat();
        let (mut buffer, mut read, mut frames) = (BytesMut::new(), 0, 0);
        for cut in cuts.iter().cycle() {
            let end = (read + cut).min(stream.len());
            buffer.extend_from_slice(&stream[read..end]);
            read = end;
            while let Some(frame) = next_frame(&mut buffer, FRAME_BODY_BYTES_MAX).expect("good frames") {
                prop_assert_eq!(&frame.body[..], &all[frames][HEADER_BYTES..]);
                frames += 1;
            }
            if read == stream.len() {
                break;
            }
        }
        prop_assert_eq!(frames, all.len());
        prop_assert!(buffer.is_empty());
    }
}

#[test]
fn the_largest_messages_fit_their_frames() {
    let value = Bytes::from(vec![7; VALUE_BYTES_MAX]);
    let key = ObjectKey::new(&[b'k'; 64], &[0; 4096]).expect("the longest");
    let options = RequestOptions::default();
    let put = DataRequest::Put { key: key.clone(), options, context: Bytes::from(vec![0; 16_448]), value };
    let mut out = Vec::new();
    encode_data(1, &put, &mut out).expect("fits");
    assert_eq!(client_says(&out), ClientMessage::Data(put.clone()));
    out.clear();
    let forward = PeerMessage::Forward { ticket: Ticket::from_u64(0), request: put, timeout: Duration::from_secs(60) };
    encode_envelope(1, 1, &forward, &mut out);
    assert!(out.len() <= HEADER_BYTES + PEER_BODY_BYTES_MAX);
}

#[test]
fn what_does_not_fit_is_not_sent_and_leaves_the_buffer_alone() {
    let key = ObjectKey::new(b"k", b"k").expect("good");
    let value = Bytes::from(vec![0; 1024 * 1024]);
    let put = DataRequest::Put { key, options: RequestOptions::default(), context: Bytes::new(), value };
    let mut out = vec![1, 2, 3];
    for items in [Vec::new(), vec![put.clone(); 9], vec![put; BATCH_ITEMS_MAX + 1]] {
        let refused = encode_batch(1, BatchKind::Put, &RequestOptions::default(), &items, &mut out);
        assert!(matches!(refused, Err(EncodeError::TooLong { .. })));
        assert_eq!(out, [1, 2, 3]);
    }
}
