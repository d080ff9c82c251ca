//! The doors: one for clients, one for peers, both opened by shard 0.
//!
//! Accepting stays in one task for its whole life, because a dropped accept may lose a connection. When descriptors run
//! out it waits a little and goes on: those who leave make room.

use std::io;

use super::read_loop;
use crate::limits::ACCEPT_RETRY_AFTER;
use crate::runtime::{Listener, sleep, spawn_detached};
use crate::shard::{ShardPhase, SharedShard};

/// Who comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    /// Clients.
    Clients,
    /// Other nodes.
    Peers,
}

/// Takes in connections until the shard no longer serves; whoever drains it shuts the listening socket down.
pub(crate) async fn accept_loop(shard: SharedShard, door: Door, listener: Listener) {
    loop {
        let accepted = listener.accept().await;
        if shard.with(|shard| shard.phase != ShardPhase::Serving) {
            return;
        }
        match accepted {
            Ok(stream) => {
                let port = shard.turn(|shard| shard.arrive(door, stream));
                port.into_iter().for_each(|port| spawn_detached(read_loop(shard.clone(), port)));
            }
            // The door was shut: the node drains, and this shard has not heard of it yet.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) => {
                note_failure(&shard, &error);
                sleep(ACCEPT_RETRY_AFTER).await;
            }
        }
    }
}

fn note_failure(shard: &SharedShard, error: &io::Error) {
    let failures = shard.with(|shard| {
        shard.counters.accept_failures += 1;
        shard.counters.accept_failures
    });
    // Each doubling: a node without descriptors must not fill its disk with the news.
    if failures.is_power_of_two() {
        tracing::warn!(%error, failures, "a connection could not be accepted; trying again");
    }
}
