//! What a request comes to before any work: which replicas, how many of them, until when; or why not.

use arrayvec::ArrayVec;

use super::quorum::Quorum;
use super::turn::Shard;
use crate::limits::{CONTEXT_BYTES_MAX, REPLICAS_MAX, REQUEST_TIMEOUT_DEFAULT, REQUEST_TIMEOUT_MAX, VALUE_BYTES_MAX};
use crate::node::NodeId;
use crate::now::Instant;
use crate::planted::{Planted, is_planted};
use crate::ring::VNode;
use crate::view::{ClusterView, ConflictPolicy, Keyspace};
use crate::wire::reply::{Receipt, Refusal};
use crate::wire::request::{DataRequest, Level, RequestOptions};
use core::time::Duration;

/// A request, understood.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How concurrent versions of the key are settled.
    pub(crate) policy: ConflictPolicy,
    /// The key's slice of the ring.
    pub(crate) vnode: VNode,
    /// The primaries, in the order of the preference list.
    pub(crate) nodes: ArrayVec<NodeId, REPLICAS_MAX>,
    /// This node's place among them.
    pub(crate) me: Option<u8>,
    /// How many of them must answer, and who has.
    pub(crate) quorum: Quorum,
    /// Nobody waits after it.
    pub(crate) deadline: Instant,
    epoch: u64,
    coordinator: NodeId,
}

impl Plan {
    /// Reads `request`, whose time runs from `arrived`. Replicas that cannot be reached now have failed already.
    pub(crate) fn of(request: &DataRequest, arrived: Instant, shard: &Shard) -> Result<Plan, Refusal> {
        let key = request.key();
        let view = &shard.view;
        let keyspace = view.keyspace(key.keyspace()).ok_or(Refusal::UnknownKeyspace)?;
        check_lengths(request)?;
        if !shard.owns(key) {
            return Err(Refusal::BadRequest);
        }
        let options = request.options();
        let vnode = view.ring.vnode(key.token());
        let list = view.ring.preference_list(vnode);
        let replicas = replicas(options, keyspace, list.len())?;
        let required = required(level(request, keyspace), replicas)?;
        let nodes: ArrayVec<NodeId, REPLICAS_MAX> = list.iter().copied().take(usize::from(replicas)).collect();
        let mut quorum = Quorum::new(required, replicas);
        for (place, node) in nodes.iter().enumerate() {
            if !shard.is_reachable(*node) {
                quorum.record_failure(place);
            }
        }
        // At most sixteen places: the number fits.
        let me = nodes.iter().position(|node| *node == view.me).map(|place| place as u8);
        let deadline = arrived + timeout(options);
        let ClusterView { epoch, me: coordinator, .. } = **view;
        Ok(Plan { policy: keyspace.policy, vnode, nodes, me, quorum, deadline, epoch, coordinator })
    }

    /// The place of `node` among the replicas.
    pub(crate) fn place(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|replica| *replica == node)
    }

    /// How the answer came about.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt {
            epoch: self.epoch,
            coordinator: self.coordinator,
            replicas: self.quorum.replicas(),
            required: self.quorum.required(),
            answered: self.quorum.answered(),
            strict: true,
        }
    }

    /// A write's quorum, which a planted bug makes one short.
    pub(crate) fn expect_write(&mut self) {
        if is_planted(Planted::AckOneShort) {
            self.quorum.require_one_less();
        }
    }
}

fn check_lengths(request: &DataRequest) -> Result<(), Refusal> {
    let (context, value_bytes) = match request {
        DataRequest::Get { .. } => return Ok(()),
        DataRequest::Put { context, value, .. } => (context, value.len()),
        DataRequest::Delete { context, .. } => (context, 0),
    };
    if VALUE_BYTES_MAX < value_bytes {
        return Err(Refusal::ValueTooLarge);
    }
    if CONTEXT_BYTES_MAX < context.len() {
        return Err(Refusal::BadContext);
    }
    Ok(())
}

/// N: the keyspace's gives way to a smaller cluster, the request's does not.
fn replicas(options: &RequestOptions, keyspace: &Keyspace, list_count: usize) -> Result<u8, Refusal> {
    let most = u8::try_from(list_count.min(REPLICAS_MAX)).expect("at most sixteen");
    match options.replicas {
        0 => Ok(keyspace.replicas.clamp(1, most)),
        asked if asked <= most => Ok(asked),
        _ => Err(Refusal::BadQuorum),
    }
}

fn level(request: &DataRequest, keyspace: &Keyspace) -> Level {
    let of_keyspace = match request {
        DataRequest::Get { .. } => keyspace.read,
        DataRequest::Put { .. } | DataRequest::Delete { .. } => keyspace.write,
    };
    match request.options().level {
        Level::Default => of_keyspace,
        asked => asked,
    }
}

/// R or W as a number. A keyspace that says nothing means a quorum.
fn required(level: Level, replicas: u8) -> Result<u8, Refusal> {
    match level {
        Level::One => Ok(1),
        Level::Default | Level::Quorum => Ok(replicas / 2 + 1),
        Level::All => Ok(replicas),
        Level::Count(count) if (1..=replicas).contains(&count) => Ok(count),
        Level::Count(_) => Err(Refusal::BadQuorum),
    }
}

fn timeout(options: &RequestOptions) -> Duration {
    if options.timeout.is_zero() { REQUEST_TIMEOUT_DEFAULT } else { options.timeout.min(REQUEST_TIMEOUT_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_numbers_that_fit_the_replicas() {
        assert_eq!(required(Level::Quorum, 3), Ok(2));
        assert_eq!(required(Level::Quorum, 4), Ok(3));
        assert_eq!(required(Level::Default, 1), Ok(1));
        assert_eq!(required(Level::All, 16), Ok(16));
        assert_eq!(required(Level::Count(0), 3), Err(Refusal::BadQuorum));
        assert_eq!(required(Level::Count(4), 3), Err(Refusal::BadQuorum));
    }
}
