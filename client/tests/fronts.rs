//! Both fronts against servers that behave well, badly, or not at all.
//!
//! The servers live in this process; what is waited for are answers, never the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rondo_client::fake_server::{Behaviour, FakeServer};
use rondo_client::retry::RetryPolicy;
use rondo_client::{BadInput, Changed, Client, Context, Error, Operation, Options, Outcome, Refusal, blocking};
use rondo_protocol::node::ShardIndex;

fn options() -> Options {
    Options::new()
}

async fn connect(servers: &[FakeServer]) -> Client {
    let addresses: Vec<String> = servers.iter().map(FakeServer::address).collect();
    Client::connect(&addresses).await.expect("a server answers")
}

async fn never_retrying(server: &FakeServer) -> Client {
    let builder = Client::builder().retry_policy(RetryPolicy::never());
    builder.connect(&[server.address()]).await.expect("a server answers")
}

#[tokio::test]
async fn what_is_put_is_got_until_it_is_deleted() {
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    assert!(!client.get("k", &options()).await.expect("an answer").is_found());
    client.put("k", "v", &options()).await.expect("stored");
    let got = client.get("k", &options()).await.expect("an answer");
    assert_eq!(got.values, ["v"]);
    client.delete("k", &options().context(got.context)).await.expect("deleted");
    assert!(!client.get("k", &options()).await.expect("an answer").is_found());
}

#[tokio::test]
async fn siblings_are_handed_out_and_merged_by_a_context() {
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    let options = options().keyspace("siblings");
    client.put("k", "left", &options).await.expect("stored");
    client.put("k", "right", &options).await.expect("stored");
    let got = client.get("k", &options).await.expect("an answer");
    assert_eq!(got.values, ["left", "right"]);
    client.put("k", "both", &options.clone().context(got.context)).await.expect("stored");
    assert_eq!(client.get("k", &options).await.expect("an answer").values, ["both"]);
}

#[tokio::test]
async fn a_context_that_is_none_is_refused_and_nothing_happens() {
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    let garbage = options().context(Context::from_bytes(&b"garbage"[..]));
    let error = client.put("k", "v", &garbage).await.expect_err("refused");
    assert!(matches!(error, Error::Refused { refusal: Refusal::BadContext, .. }));
    assert_eq!((error.changed(), error.is_retryable()), (Changed::Nothing, false));
    assert_eq!(servers[0].requests(), 1);
}

#[tokio::test]
async fn bad_input_is_refused_here_and_never_sent() {
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    let long = vec![b'k'; 4097];
    for key in [&b""[..], &long] {
        let error = client.get(key, &options()).await.expect_err("no key");
        assert!(matches!(error, Error::BadInput(BadInput::Key { bytes }) if bytes == key.len()));
    }
    let error = client.put("k", vec![0; (1 << 20) + 1], &options()).await.expect_err("too long");
    assert!(matches!(error, Error::BadInput(BadInput::Value { .. })));
    let error = client.get("k", &options().timeout(Duration::ZERO)).await.expect_err("no time");
    assert!(matches!(error, Error::BadInput(BadInput::Timeout { .. })));
    assert_eq!(servers[0].requests(), 0);
    assert!(matches!(Client::connect::<&str>(&[]).await, Err(Error::BadInput(BadInput::NoAddress))));
}

#[tokio::test]
async fn many_requests_share_a_connection_and_their_answers_may_come_in_any_order() {
    let servers = [FakeServer::start()];
    servers[0].behave(Behaviour::Reversed);
    let client = connect(&servers).await;
    let mut puts = tokio::task::JoinSet::new();
    for number in 0..500 {
        let client = client.clone();
        puts.spawn(async move { client.put(format!("k{number}"), format!("v{number}"), &options()).await });
    }
    assert!(puts.join_all().await.iter().all(Result::is_ok));
    let mut gets = tokio::task::JoinSet::new();
    for number in 0..500 {
        let client = client.clone();
        gets.spawn(async move { (number, client.get(format!("k{number}"), &options()).await) });
    }
    for (number, got) in gets.join_all().await {
        assert_eq!(got.expect("an answer").values, [format!("v{number}")]);
    }
    // One to begin with, one for the shard that owns the keys.
    assert_eq!(servers[0].wanted_shards(), [None, Some(ShardIndex(0))]);
}

#[tokio::test]
async fn each_key_goes_to_the_shard_that_owns_it() {
    let servers = FakeServer::start_cluster(3, 4);
    let client = connect(&servers).await;
    for number in 0..200 {
        client.put(format!("k{number}"), "v", &options()).await.expect("stored");
    }
    let routing = client.routing();
    for server in &servers {
        let mut wanted: Vec<_> = server.wanted_shards().into_iter().flatten().map(|shard| shard.0).collect();
        wanted.sort_unstable();
        assert_eq!(wanted, [0, 1, 2, 3]);
        assert!(server.requests() > 0);
    }
    assert_eq!(routing.nodes().len(), 3);
}

#[tokio::test]
async fn a_dead_owner_is_passed_over() {
    let servers = FakeServer::start_cluster(3, 1);
    let client = connect(&servers).await;
    servers[0].stop();
    for number in 0..50 {
        client.put(format!("k{number}"), "v", &options()).await.expect("stored by another node");
    }
    assert_eq!(servers[0].requests(), 0);
}

#[tokio::test]
async fn a_lost_connection_is_opened_again() {
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    client.put("k", "v", &options()).await.expect("stored");
    servers[0].disconnect_all();
    assert_eq!(client.get("k", &options()).await.expect("an answer").values, ["v"]);
}

#[tokio::test]
async fn a_put_whose_connection_is_lost_is_not_sent_again_but_a_get_is() {
    let options = || Options::new().timeout(Duration::from_millis(300));
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    servers[0].behave(Behaviour::HangingUp);
    let error = client.put("k", "v", &options()).await.expect_err("lost");
    assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
    assert_eq!((error.changed(), servers[0].requests()), (Changed::Perhaps, 1));
    let error = client.put("k", "v", &options().repeatable(true)).await.expect_err("lost again and again");
    assert!(error.is_retryable());
    assert!(servers[0].requests() > 2);
    let before = servers[0].requests();
    client.get("k", &options()).await.expect_err("lost again and again");
    assert!(servers[0].requests() > before + 1);
}

#[tokio::test]
async fn an_unknown_outcome_is_called_unknown() {
    let server = FakeServer::start();
    let client = never_retrying(&server).await;
    server.behave(Behaviour::Unsure);
    let error = client.put("k", "v", &options()).await.expect_err("unknown");
    assert!(matches!(error, Error::Unknown { .. }));
    assert_eq!(error.changed(), Changed::Perhaps);
}

#[tokio::test]
async fn refusals_are_retried_until_the_budget_is_empty() {
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    servers[0].behave(Behaviour::Refusing(Refusal::NotEnoughReplicas));
    let (left, _) = client.retry_budget();
    let short = options().timeout(Duration::from_millis(200));
    let error = client.put("k", "v", &short).await.expect_err("refused every time");
    assert!(matches!(error, Error::Refused { refusal: Refusal::NotEnoughReplicas, .. }));
    assert!(servers[0].requests() > 1);
    assert!(client.retry_budget().0 < left);
}

#[tokio::test]
async fn a_silent_server_costs_no_more_than_the_timeout() {
    let server = FakeServer::start();
    let client = never_retrying(&server).await;
    server.behave(Behaviour::Silent);
    let error = client.get("k", &options().timeout(Duration::from_millis(20))).await.expect_err("no answer");
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn hostile_servers_get_an_error_and_no_further_word() {
    for behaviour in [Behaviour::Garbling, Behaviour::Boasting, Behaviour::Inventing] {
        let server = FakeServer::start();
        let client = never_retrying(&server).await;
        server.behave(behaviour);
        let error = client.get("k", &options()).await.expect_err("nonsense");
        assert!(matches!(error, Error::Protocol { .. }), "{behaviour:?}: {error}");
        server.behave(Behaviour::Proper);
        client.get("k", &options()).await.expect("a new connection makes sense again");
    }
}

#[tokio::test]
async fn a_newer_epoch_in_a_receipt_makes_the_client_ask_for_the_topology() {
    let servers = [FakeServer::start()];
    let client = connect(&servers).await;
    servers[0].set_epoch(7);
    client.get("k", &options()).await.expect("an answer");
    while client.routing().epoch() != 7 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_batch_is_split_by_owner_and_answered_in_order_each_item_for_itself() {
    let servers = FakeServer::start_cluster(3, 2);
    let client = connect(&servers).await;
    let puts = (0..3000).map(|number| Operation::put(format!("k{number}"), format!("v{number}"))).collect();
    assert!(client.batch(puts, &options()).await.iter().all(Result::is_ok));
    let mut mixed: Vec<Operation> = (0..100).map(|number| Operation::get(format!("k{number}"))).collect();
    mixed[50] = Operation::get("");
    mixed[51] = Operation::delete("nothing");
    for (number, answer) in client.batch(mixed, &options()).await.into_iter().enumerate() {
        match (number, answer) {
            (50, Err(Error::BadInput(BadInput::Key { bytes: 0 }))) | (51, Ok(Outcome::Written(_))) => {}
            (_, Ok(Outcome::Get(get))) => assert_eq!(get.values, [format!("v{number}")]),
            other => panic!("{other:?}"),
        }
    }
    assert!(servers.iter().all(|server| server.requests() > 500));
}

#[tokio::test]
async fn a_batch_goes_on_when_a_node_dies() {
    let servers = FakeServer::start_cluster(3, 1);
    let client = connect(&servers).await;
    servers[1].stop();
    let puts = (0..300).map(|number| Operation::put(format!("k{number}"), "v")).collect();
    assert!(client.batch(puts, &options()).await.iter().all(Result::is_ok));
}

#[test]
fn threads_share_a_blocking_client() {
    let servers = FakeServer::start_cluster(2, 2);
    let client = blocking::Client::connect(&[servers[0].address()]).expect("a server answers");
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (client, done) = (client.clone(), &done);
            scope.spawn(move || {
                for number in 0..50 {
                    let key = format!("{thread}-{number}");
                    client.put(&key, key.clone(), &options()).expect("stored");
                    assert_eq!(client.get(&key, &options()).expect("an answer").values, [key]);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), 200);
    client.ping(Some(&servers[1].address())).expect("a pong");
    assert_eq!(client.refresh().expect("a topology").nodes().len(), 2);
}

#[test]
fn an_address_where_nobody_listens_is_said_to_be_unreachable() {
    let server = FakeServer::start();
    let address = server.address();
    drop(server);
    let error = blocking::Client::connect(std::slice::from_ref(&address)).expect_err("nobody there");
    assert!(error.to_string().contains(&address), "{error}");
    assert_eq!(error.changed(), Changed::Nothing);
}
