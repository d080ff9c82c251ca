//! One node: what is put is got, on any core, also after a restart.

use core::time::Duration;

use rondo_protocol::wire::reply::Refusal;
use rondo_protocol::wire::{BatchKind, ClientReply, DataAnswer};
use rondo_shards::{Node, Phase, StartError, render_metrics};
use tempfile::tempdir;

use crate::talk::{Talk, delete, get, put, value_of};
use crate::world::{LONG, config, eventually, members, start_alone};

#[test]
fn a_key_put_on_one_core_is_got_and_deleted_on_any() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 2);
    let address = node.status().listen;
    let mut cores = [0, 1].map(|shard| Talk::hello(address, Some(shard)).0);
    for (writer, reader) in [(0, 1), (1, 0)] {
        for number in 0..20 {
            let name = format!("key-{number}");
            let value = format!("value-{writer}-{number}");
            let stored = cores[writer].ask(&put(&name, value.as_bytes()));
            assert!(matches!(stored, DataAnswer::Stored { receipt, .. } if receipt.answered == 1), "{stored:?}");
            assert_eq!(value_of(&cores[reader].ask(&get(&name))), Some(value.as_bytes()));
        }
    }
    assert!(matches!(cores[0].ask(&delete("key-7")), DataAnswer::Stored { .. }));
    let gone = cores[1].ask(&get("key-7"));
    assert!(matches!(&gone, DataAnswer::NotFound { context, .. } if !context.is_empty()), "{gone:?}");
    assert!(matches!(cores[1].ask(&get("never")), DataAnswer::NotFound { .. }));
    assert!(node.stop(LONG).is_clean);
}

#[test]
fn a_connection_is_answered_by_the_core_it_asks_for() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 2);
    for number in 0..40 {
        let (mut talk, hello) = Talk::hello(node.status().listen, Some(number % 2));
        assert_eq!((hello.shard.0, hello.shards), (number % 2, 2));
        assert!(talk.is_alive());
    }
    let dealt = [0; 4].map(|_| Talk::hello(node.status().listen, None).1.shard.0);
    assert_eq!(dealt.iter().filter(|shard| **shard == 0).count(), 2, "who does not care is dealt in turn: {dealt:?}");
    node.stop(LONG);
}

#[test]
fn a_batch_is_answered_in_order_each_item_with_its_own_result() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 2);
    let mut talk = Talk::open(node.status().listen);
    let puts: Vec<_> = (0..100).map(|number| put(&format!("key-{number}"), &[number; 100])).collect();
    let stored = talk.ask_batch(BatchKind::Put, &puts);
    assert!(stored.len() == 100 && stored.iter().all(|answer| matches!(answer, DataAnswer::Stored { .. })));
    let gets: Vec<_> = (0..110).rev().map(|number| get(&format!("key-{number}"))).collect();
    let found = talk.ask_batch(BatchKind::Get, &gets);
    for (number, answer) in (0..110_u8).rev().zip(&found) {
        let expected = [number; 100];
        assert_eq!(value_of(answer), (number < 100).then_some(&expected[..]), "item {number}");
    }
    node.stop(LONG);
}

#[test]
fn a_large_value_comes_back_whole() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let mut talk = Talk::open(node.status().listen);
    let value: Vec<u8> = (0..1 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    assert!(matches!(talk.ask(&put("large", &value)), DataAnswer::Stored { .. }));
    assert_eq!(value_of(&talk.ask(&get("large"))), Some(&value[..]));
    assert!(matches!(talk.ask(&put("empty", b"")), DataAnswer::Stored { .. }));
    assert_eq!(value_of(&talk.ask(&get("empty"))), Some(&b""[..]));
    node.stop(LONG);
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart_and_the_life_goes_on() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 2);
    let first_life = node.status().incarnation;
    let mut talk = Talk::open(node.status().listen);
    for number in 0..200 {
        let stored = talk.ask(&put(&format!("key-{number}"), &[number; 1000]));
        assert!(matches!(stored, DataAnswer::Stored { .. }), "{stored:?}");
    }
    assert!(node.stop(LONG).is_clean);
    let node = start_alone(data.path(), 2);
    assert_eq!(node.status().incarnation, first_life, "a clean stop needs no new life");
    let mut talk = Talk::open(node.status().listen);
    for number in 0..200 {
        assert_eq!(value_of(&talk.ask(&get(&format!("key-{number}")))), Some(&[number; 1000][..]));
    }
    node.stop(LONG);
}

#[test]
fn more_than_the_memtable_holds_goes_through_checkpoints_and_is_still_found() {
    let data = tempdir().expect("a temporary directory");
    let mut small = config("a", &members(&["a"]), data.path(), 1);
    (small.memtable_bytes, small.cache_bytes) = (1 << 20, 1 << 20);
    let node = Node::start(small).expect("it starts");
    let mut talk = Talk::open(node.status().listen);
    for round in 0..8_u8 {
        let puts: Vec<_> = (0..100).map(|number| put(&format!("key-{round}-{number}"), &[round; 4000])).collect();
        // The store may say Busy while its checkpoint cannot keep up: that is an answer, and the client comes again.
        eventually("a batch is taken", || {
            let stored = talk.ask_batch(BatchKind::Put, &puts);
            stored.iter().all(|answer| matches!(answer, DataAnswer::Stored { .. })).then_some(())
        });
    }
    eventually("a checkpoint", || (node.status().shards[0].store.checkpoints > 0).then_some(()));
    for round in 0..8_u8 {
        for number in (0..100).step_by(9) {
            let answer = talk.ask(&get(&format!("key-{round}-{number}")));
            assert_eq!(value_of(&answer), Some(&[round; 4000][..]), "{answer:?}");
        }
    }
    assert!(node.stop(LONG).is_clean);
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let second = Node::start(config("a", &members(&["a"]), data.path(), 1));
    assert!(matches!(second, Err(StartError::Directory(_))), "{second:?}");
    node.stop(LONG);
}

#[test]
fn a_draining_node_refuses_new_requests_and_takes_no_connections() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 1);
    let mut talk = Talk::open(node.status().listen);
    assert!(matches!(talk.ask(&put("key", b"value")), DataAnswer::Stored { .. }));
    assert_eq!(node.drain(LONG), 0);
    assert_eq!(node.status().phase, Phase::Draining);
    let refused = talk.ask(&put("key", b"other"));
    assert!(matches!(refused, DataAnswer::Refused { refusal: Refusal::Stopping, .. }), "{refused:?}");
    assert!(node.stop(Duration::ZERO).is_clean);
}

#[test]
fn answers_to_pipelined_requests_carry_their_numbers() {
    let data = tempdir().expect("a temporary directory");
    let node = start_alone(data.path(), 2);
    let mut talk = Talk::open(node.status().listen);
    let mut open: Vec<_> = (0..200).map(|number| talk.send_request(&put(&format!("key-{number}"), b"x"))).collect();
    while !open.is_empty() {
        let Some((id, ClientReply::Data(DataAnswer::Stored { .. }))) = talk.receive() else { panic!("no answer") };
        open.retain(|other| *other != id);
    }
    let text = eventually("the counters are published", || {
        let text = render_metrics(&node);
        text.contains("rondo_mesh_forwards_total").then_some(text)
    });
    assert!(text.contains("rondo_request_latency_seconds_bucket{core=\"0\",kind=\"put\""), "{text}");
    node.stop(LONG);
}
