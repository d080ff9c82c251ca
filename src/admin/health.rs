//! Is the node ready for requests, and if not, why.

use std::time::Duration;

use rondo_shards::{NodeStatus, Phase};

use crate::limits::{PEER_GRACE, TICK_AGE_UNREADY};
use crate::supervisor::Stage;

/// Why no requests should be sent here; `None` if they should.
pub(crate) fn unready_reason(stage: &Stage) -> Option<String> {
    match stage {
        Stage::Starting => Some("starting: the shards recover".to_owned()),
        Stage::Stopped => Some("stopped".to_owned()),
        Stage::Serving(node) => reason_of(&node.status(), &node.tick_ages()),
    }
}

fn reason_of(status: &NodeStatus, tick_ages: &[Duration]) -> Option<String> {
    match status.phase {
        Phase::Draining => return Some("draining".to_owned()),
        Phase::Failed => return Some("a shard has ended unexpectedly".to_owned()),
        Phase::Serving => {}
    }
    if let Some((shard, age)) = tick_ages.iter().enumerate().find(|(_, age)| **age >= TICK_AGE_UNREADY) {
        return Some(format!("shard {shard} has been silent for {age:.1?}"));
    }
    if let Some(shard) = status.shards.iter().find(|shard| !shard.takes_writes) {
        return Some(format!("the log of shard {} takes no writes", shard.shard.0));
    }
    // A fresh node is given a moment to find the others, so that its first requests find their quorum. It does not wait
    // for ever: peers that are down are no reason to call this node so.
    let missing = status.peers.iter().find(|peer| peer.shards_linked < status.shards.len());
    missing
        .filter(|_| status.uptime < PEER_GRACE)
        .map(|peer| format!("connecting to {} at {}", peer.name, peer.peer_addr))
}
