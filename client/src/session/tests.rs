//! The session against a server made of the protocol's own encoders.

use super::*;
use crate::error::Error;
use crate::outcome::Outcome;
use rondo_protocol::node::NodeId;
use rondo_protocol::ring::{ObjectKey, Ring, RingNode, VNodeBits};
use rondo_protocol::view::ClusterView;
use rondo_protocol::wire::reply::{DataReply, Receipt, Refusal};
use rondo_protocol::wire::{Acquaintance, ErrorCode, Limits, TopologyReply, encode_data_reply, encode_pong};

fn server_hello(in_flight_max: u32) -> ServerHello {
    let bits = VNodeBits::new(2).expect("2 is a number of bits");
    let ring = Ring::lay_out(bits, vec![RingNode::new("a", "r")]).expect("a ring");
    let view = ClusterView { epoch: 1, cluster_id: 9, me: NodeId::of_name("a"), ring, keyspaces: Vec::new() };
    let known = |_| Acquaintance { client_addr: Some("127.0.0.1:7600".to_owned()), shards: 1, up: true };
    ServerHello {
        version: 1,
        node: view.me,
        node_name: "a".to_owned(),
        cluster_id: 9,
        shard: ShardIndex(0),
        shards: 1,
        limits: Limits { in_flight_max, ..Limits::OURS },
        topology: TopologyReply::of_view(&view, known),
    }
}

fn open() -> Session<char> {
    let mut session = Session::open(4, None, "test", &mut Vec::new());
    let mut bytes = Vec::new();
    server_hello(1024).encode(0, &mut bytes);
    session.receive(&bytes);
    assert!(session.next_completed().expect("a welcome").is_none());
    session
}

fn get() -> DataRequest {
    let key = ObjectKey::new(b"default", b"k").expect("valid");
    DataRequest::Get { key, options: RequestOptions::default() }
}

fn ask(session: &mut Session<char>, tag: char) -> RequestId {
    session.request(&get(), tag, &mut Vec::new()).expect("room for it")
}

fn not_found(id: RequestId) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reply = DataReply::NotFound { receipt: Receipt::default(), token_low: 0, object: None };
    encode_data_reply(id.0, &reply, &mut bytes);
    bytes
}

fn tags(session: &mut Session<char>) -> String {
    core::iter::from_fn(|| session.next_completed().expect("sense")).map(|completed| completed.tag).collect()
}

#[test]
fn answers_in_any_order_find_their_requesters() {
    let mut session = open();
    let ids = ['a', 'b', 'c'].map(|tag| ask(&mut session, tag));
    for id in [ids[2], ids[0], ids[1]] {
        session.receive(&not_found(id));
    }
    assert_eq!(tags(&mut session), "cab");
    assert_eq!(session.in_flight(), 0);
}

#[test]
fn answers_arrive_byte_by_byte_as_well() {
    let mut session = open();
    let id = ask(&mut session, 'a');
    let bytes = not_found(id);
    for byte in &bytes[..bytes.len() - 1] {
        session.receive(&[*byte]);
        assert_eq!(tags(&mut session), "");
    }
    session.receive(&bytes[bytes.len() - 1..]);
    assert_eq!(tags(&mut session), "a");
}

#[test]
fn a_full_session_takes_no_more_and_appends_nothing() {
    let mut session = open();
    "abcd".chars().for_each(|tag| _ = ask(&mut session, tag));
    let mut out = Vec::new();
    assert_eq!(session.request(&get(), 'e', &mut out), Err(NotEncoded::Full('e')));
    assert!(out.is_empty());
}

#[test]
fn the_server_may_allow_fewer_requests_than_asked_for() {
    let mut session: Session<char> = Session::open(4, None, "test", &mut Vec::new());
    assert_eq!(session.request(&get(), 'a', &mut Vec::new()), Err(NotEncoded::NotOpen('a')));
    let mut bytes = Vec::new();
    server_hello(1).encode(0, &mut bytes);
    session.receive(&bytes);
    assert_eq!(tags(&mut session), "");
    ask(&mut session, 'a');
    assert!(!session.has_room());
}

#[test]
fn a_late_answer_is_counted_and_frees_its_place() {
    let mut session = open();
    let id = ask(&mut session, 'a');
    assert_eq!(session.give_up(id), Some('a'));
    assert_eq!(session.in_flight(), 1);
    session.receive(&not_found(id));
    assert_eq!(tags(&mut session), "");
    assert_eq!((session.in_flight(), session.late_answers()), (0, 1));
}

#[test]
fn refused_and_unknown_are_errors_that_say_whether_anything_changed() {
    let mut session = open();
    let (a, b) = (ask(&mut session, 'a'), ask(&mut session, 'b'));
    let mut bytes = Vec::new();
    encode_data_reply(a.0, &DataReply::Refused { refusal: Refusal::Busy, retry_after: None }, &mut bytes);
    encode_data_reply(b.0, &DataReply::Unknown { receipt: Receipt::default() }, &mut bytes);
    session.receive(&bytes);
    let mut next = || match session.next_completed() {
        Ok(Some(Completed { answer: Answer::Data(Err(error)), .. })) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(next(), Error::Refused { refusal: Refusal::Busy, .. }));
    assert!(matches!(next(), Error::Unknown { .. }));
}

#[test]
fn a_batch_has_as_many_answers_as_items_even_if_it_is_refused_as_a_whole() {
    let mut session = open();
    let items = [get(), get(), get()];
    let options = RequestOptions::default();
    let mut ask = || session.batch(BatchKind::Get, &options, &items, 'a', &mut Vec::new()).expect("room");
    let (whole, short) = (ask(), ask());
    let mut bytes = Vec::new();
    let refused = DataReply::Refused { refusal: Refusal::BadRequest, retry_after: None };
    encode_data_reply(whole.0, &refused, &mut bytes);
    session.receive(&bytes);
    match session.next_completed() {
        Ok(Some(Completed { answer: Answer::Batch(results), .. })) => assert_eq!(results.len(), 3),
        other => panic!("{other:?}"),
    }
    bytes.clear();
    rondo_protocol::wire::encode_batch_reply(short.0, [refused].iter(), &mut bytes);
    session.receive(&bytes);
    assert_eq!(session.next_completed().map(|_| ()), Err(SessionError::OtherKind { id: short.0 }));
}

#[test]
fn a_get_is_answered_with_a_get() {
    let mut session = open();
    let id = ask(&mut session, 'a');
    session.receive(&not_found(id));
    match session.next_completed() {
        Ok(Some(Completed { answer: Answer::Data(Ok(Outcome::Get(get))), .. })) => assert!(!get.is_found()),
        other => panic!("{other:?}"),
    }
}

fn check_fatal(bytes: &[u8], wanted: impl FnOnce(&SessionError) -> bool) {
    let mut session = open();
    ask(&mut session, 'a');
    session.receive(bytes);
    let error = session.next_completed().expect_err("fatal");
    assert!(wanted(&error), "{error:?}");
    assert!(!session.has_room());
    assert_eq!(session.close(), ['a']);
}

#[test]
fn nonsense_ends_the_session_and_gives_back_who_waited() {
    check_fatal(b"HTTP/1.1 400 Bad Request", |error| matches!(error, SessionError::Decode(_)));
    let mut pong = Vec::new();
    encode_pong(0x7777, b"", &mut pong);
    check_fatal(&pong, |error| matches!(error, SessionError::Unasked { id: 0x7777 }));
    let mut hello = Vec::new();
    server_hello(1).encode(0, &mut hello);
    check_fatal(&hello, |error| matches!(error, SessionError::Handshake));
    let mut boast = pong.clone();
    boast[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    check_fatal(&boast, |error| matches!(error, SessionError::Decode(_)));
}

#[test]
fn a_pong_is_no_answer_to_a_get() {
    let mut session = open();
    let id = ask(&mut session, 'a');
    let mut pong = Vec::new();
    encode_pong(id.0, b"", &mut pong);
    session.receive(&pong);
    assert!(matches!(session.next_completed(), Err(SessionError::OtherKind { .. })));
}

#[test]
fn the_servers_last_words_are_kept() {
    let mut bytes = Vec::new();
    let last = ErrorReply { code: ErrorCode::Stopping, ends_connection: true, message: "bye".to_owned() };
    last.encode(0, &mut bytes);
    check_fatal(&bytes, |error| {
        *error == SessionError::Rejected { code: ErrorCode::Stopping, reason: "bye".to_owned() }
    });
}

#[test]
fn a_request_that_was_not_understood_leaves_the_connection_open() {
    let mut session = open();
    let id = ask(&mut session, 'a');
    let mut bytes = Vec::new();
    let error = ErrorReply { code: ErrorCode::UnknownOpcode, ends_connection: false, message: "?".to_owned() };
    error.encode(id.0, &mut bytes);
    session.receive(&bytes);
    assert!(matches!(session.next_completed(), Ok(Some(Completed { answer: Answer::NotUnderstood(_), .. }))));
    assert!(session.has_room());
}
