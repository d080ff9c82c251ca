//! Requests in flight: what a core does for the one who asked, until it has an answer.
//!
//! Each kind of request is a file with its states drawn on top; what all share stands in `turn`. A request comes to a
//! `plan` first (which replicas, how many, until when), and whatever can be refused is refused there, before any work.

pub(crate) mod awaken;
pub mod batch;
pub(crate) mod drift;
pub(crate) mod durability;
pub(crate) mod forward;
pub(crate) mod get;
pub(crate) mod in_flight;
pub(crate) mod links;
pub mod marks;
pub(crate) mod plan;
pub(crate) mod put;
pub mod quorum;
pub(crate) mod shard_clock;
pub(crate) mod turn;

pub use batch::BatchAssembly;
pub use quorum::Quorum;

use crate::limits::REQUESTS_IN_FLIGHT_MAX;
use crate::node::PeerShard;
use crate::now::Instant;
use crate::ticket::{Origin, Ticket};
use crate::wire::reply::Refusal;
use crate::wire::request::DataRequest;
use core::time::Duration;
use in_flight::InFlight;
use plan::Plan;
use turn::Turn;

/// Who is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asker {
    /// A client of this node.
    Client(Origin),
    /// A peer that handed on what its client asked.
    Peer { peer: PeerShard, ticket: Ticket },
}

/// Takes in a client's request.
pub(crate) fn request(
    origin: Origin,
    arrived: Instant,
    request: DataRequest,
    flights: &mut InFlight,
    turn: &mut Turn<'_>,
) {
    let stats = &mut turn.shard.stats;
    stats.in_flight += 1;
    match &request {
        DataRequest::Get { .. } => stats.gets += 1,
        DataRequest::Put { .. } => stats.puts += 1,
        DataRequest::Delete { .. } => stats.deletes += 1,
    }
    begin(Asker::Client(origin), arrived, request, flights, turn);
}

/// Takes in a write that a peer hands on, `timeout` before nobody waits for it any more.
pub(crate) fn forwarded_request(
    peer: PeerShard,
    ticket: Ticket,
    request: DataRequest,
    timeout: Duration,
    flights: &mut InFlight,
    turn: &mut Turn<'_>,
) {
    let asker = Asker::Peer { peer, ticket };
    match request {
        // A node without a copy coordinates its reads itself.
        DataRequest::Get { .. } => turn.refuse(asker, Refusal::BadRequest),
        DataRequest::Put { .. } | DataRequest::Delete { .. } if timeout.is_zero() => {
            turn.refuse(asker, Refusal::DeadlinePassed);
        }
        DataRequest::Put { .. } | DataRequest::Delete { .. } => {
            let arrived = turn.now.instant;
            begin(asker, arrived, with_timeout(request, timeout), flights, turn);
        }
    }
}

fn begin(asker: Asker, arrived: Instant, request: DataRequest, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let plan = match admit(arrived, &request, flights, turn) {
        Ok(plan) => plan,
        Err(refusal) => return turn.refuse(asker, refusal),
    };
    match request {
        DataRequest::Get { key, .. } => get::start(asker, key, plan, flights, turn),
        DataRequest::Put { .. } | DataRequest::Delete { .. } => put::start(asker, request, plan, flights, turn),
    }
}

/// Refuses before any work what can be refused.
fn admit(arrived: Instant, request: &DataRequest, flights: &InFlight, turn: &Turn<'_>) -> Result<Plan, Refusal> {
    if turn.shard.is_stopping {
        return Err(Refusal::Stopping);
    }
    let plan = Plan::of(request, arrived, turn.shard)?;
    if plan.deadline <= turn.now.instant {
        return Err(Refusal::DeadlinePassed);
    }
    if REQUESTS_IN_FLIGHT_MAX <= flights.count() {
        return Err(Refusal::Busy);
    }
    Ok(plan)
}

/// What is left of the client's time stands in the message, not in the options as the client gave them.
fn with_timeout(mut request: DataRequest, timeout: Duration) -> DataRequest {
    match &mut request {
        DataRequest::Get { options, .. } | DataRequest::Put { options, .. } | DataRequest::Delete { options, .. } => {
            options.timeout = timeout
        }
    }
    request
}
