//! Is the node ready for requests, and if not, why.

use std::time::Duration;

use rondo_shards::{DiskCondition, NodeStatus, Phase, ShardStatus, StartStep};

use crate::limits::{PEER_GRACE, TICK_AGE_UNREADY};
use crate::supervisor::Stage;

/// Why no requests should be sent here; `None` if they should.
pub(crate) fn unready_reason(stage: &Stage) -> Option<String> {
    match stage {
        Stage::Starting(StartStep::Recovering) => Some("starting: the shards recover".to_owned()),
        Stage::Starting(StartStep::Moving { shards, permille }) => {
            Some(format!("moving vnodes to {shards} shards: {} %", permille / 10))
        }
        Stage::Stopped => Some("stopped".to_owned()),
        Stage::Serving(node) => reason_of(&node.status(), &node.tick_ages()),
    }
}

fn disk_trouble(shard: &ShardStatus) -> Option<String> {
    let index = shard.shard.0;
    let reason = shard.disk_reason.as_deref().unwrap_or("no reason is known");
    match shard.disk {
        DiskCondition::Writable => {
            let trouble = shard.store_trouble.as_deref()?;
            Some(format!("the sorted store of shard {index} is down: {trouble}"))
        }
        DiskCondition::Full => Some(format!("the disk of shard {index} is full: {reason}")),
        DiskCondition::Failing => Some(format!("the disk of shard {index} fails: {reason}")),
        DiskCondition::Stalled => {
            let time = shard.disk_stalled_for.unwrap_or_default();
            Some(format!("the disk of shard {index} has not answered for {time:.1?}"))
        }
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
    if let Some(reason) = status.shards.iter().find_map(disk_trouble) {
        return Some(reason);
    }
    // A fresh node is given a moment to find the others, so that its first requests find their quorum. It does not wait
    // for ever: peers that are down are no reason to call this node so.
    let missing = status.peers.iter().find(|peer| peer.shards_linked < status.shards.len());
    missing
        .filter(|_| status.uptime < PEER_GRACE)
        .map(|peer| format!("connecting to {} at {}", peer.name, peer.peer_addr))
}
