//! Clients that send rubbish, nothing, or read nothing.

use std::io::Write;
use std::net::Shutdown;

use rondo_protocol::wire::client_message::encode_ping;
use rondo_protocol::wire::error_reply::ErrorCode;
use rondo_protocol::wire::{ClientReply, DataAnswer};
use tempfile::tempdir;

use crate::talk::{Talk, get, put, value_of};
use crate::world::{LONG, eventually, start_alone};

fn ping() -> Vec<u8> {
    let mut out = Vec::new();
    encode_ping(9, b"echo", &mut out);
    out
}

fn changed(at: usize, byte: u8) -> Vec<u8> {
    let mut out = ping();
    out[at] = byte;
    out
}

/// What the node says to `bytes`, and that it closes the connection then.
fn last_word(talk: &mut Talk, bytes: &[u8]) -> ErrorCode {
    talk.send(bytes);
    let Some((_, ClientReply::Error(error))) = talk.receive() else { panic!("no error for {bytes:?}") };
    assert!(error.ends_connection && !error.message.is_empty());
    // The node discards what follows and closes when the other side does, or soon.
    let _ = talk.stream.shutdown(Shutdown::Write);
    assert_eq!(talk.receive(), None);
    error.code
}

#[test]
fn bytes_that_are_no_frames_end_their_connection_with_a_reason_and_no_other() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let address = node.status().listen;
    let mut bystander = Talk::open(address);
    let cases = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), ErrorCode::Malformed),
        (changed(2, 9), ErrorCode::Version),
        (changed(7, 0xff), ErrorCode::TooLong),
        (changed(16, 0xaa), ErrorCode::Damaged),
        (changed(20, b'!'), ErrorCode::Damaged),
    ];
    for (bytes, code) in cases {
        assert_eq!(last_word(&mut Talk::open(address), &bytes), code, "after HELLO: {bytes:?}");
        assert_eq!(last_word(&mut Talk::silent(address), &bytes), code, "instead of HELLO: {bytes:?}");
    }
    assert_eq!(last_word(&mut Talk::silent(address), &ping()), ErrorCode::HelloExpected);
    assert!(bystander.is_alive());
    node.stop(LONG);
}

#[test]
fn an_unknown_opcode_is_answered_and_the_connection_goes_on() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let mut talk = Talk::open(node.status().listen);
    let mut frame = ping();
    frame[3] = 0x3f;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..16]), &frame[20..]);
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
    talk.send(&frame);
    let Some((9, ClientReply::Error(error))) = talk.receive() else { panic!("no error") };
    assert_eq!((error.code, error.ends_connection), (ErrorCode::UnknownOpcode, false));
    assert!(talk.is_alive());
    node.stop(LONG);
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_understood() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let mut talk = Talk::open(node.status().listen);
    for byte in ping() {
        talk.send(&[byte]);
    }
    assert!(matches!(talk.receive(), Some((9, ClientReply::Pong { .. }))));
    node.stop(LONG);
}

#[test]
fn a_client_that_stops_reading_stops_being_read_and_loses_nothing() {
    const GETS: usize = 40;
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let mut slow = Talk::open(node.status().listen);
    let value = vec![7; 1 << 20];
    assert!(matches!(slow.ask(&put("large", &value)), DataAnswer::Stored { .. }));
    // Forty replies of a mebibyte: far more than the kernel and the node keep for one connection.
    (0..GETS).for_each(|_| {
        slow.send_request(&get("large"));
    });
    slow.stream.flush().expect("nothing is buffered here");
    let mut other = Talk::open(node.status().listen);
    assert!(other.is_alive(), "another connection is served meanwhile");
    for _ in 0..GETS {
        let Some((_, ClientReply::Data(answer))) = slow.receive() else { panic!("a reply is missing") };
        assert_eq!(value_of(&answer).map(<[u8]>::len), Some(1 << 20));
    }
    node.stop(LONG);
}

#[test]
fn connections_beyond_the_bound_are_told_so_and_those_that_go_make_room() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let address = node.status().listen;
    let mut open: Vec<_> = (0..100).map(|_| Talk::open(address)).collect();
    let mut one_more = Talk::silent(address);
    let mut hello = Vec::new();
    rondo_protocol::wire::ClientHello::new("test", None).encode(3, &mut hello);
    one_more.send(&hello);
    let Some((3, ClientReply::Error(error))) = one_more.receive() else { panic!("no error") };
    assert_eq!(error.code, ErrorCode::TooManyConnections);
    open.truncate(50);
    eventually("the others are gone", || (node.status().shards[0].connections == 50).then_some(()));
    assert!(Talk::open(address).is_alive());
    node.stop(LONG);
}

#[test]
fn a_client_that_says_its_last_word_still_gets_its_answers() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let mut talk = Talk::open(node.status().listen);
    let ids: Vec<_> = (0..20).map(|number| talk.send_request(&put(&format!("key-{number}"), b"x"))).collect();
    talk.stream.shutdown(Shutdown::Write).expect("the socket is open");
    let answered = core::iter::from_fn(|| talk.receive()).count();
    assert_eq!(answered, ids.len());
    node.stop(LONG);
}
