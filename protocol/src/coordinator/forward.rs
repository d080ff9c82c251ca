//! A write that comes to a node without a copy of the key: handed to the first replica that can be reached.
//!
//! ```text
//! handed on ──its answer──► passed on to the client
//!    │ ╲──it refused, but another may do it──► handed to the next
//!    ╰──deadline, or its link went down──► unknown (it may have written)
//! ```

use super::Asker;
use super::in_flight::{Flight, InFlight, Progress};
use super::marks::Marks;
use super::plan::Plan;
use super::turn::Turn;
use crate::limits::REQUESTS_IN_FLIGHT_MAX;
use crate::node::NodeId;
use crate::ticket::{Origin, Ticket};
use crate::wire::peer::PeerMessage;
use crate::wire::reply::{DataReply, Refusal};
use crate::wire::request::DataRequest;

/// A write handed on.
#[derive(Debug)]
pub(crate) struct Forward {
    origin: Origin,
    request: DataRequest,
    plan: Plan,
    tried: Marks,
    /// Who has it now.
    target: NodeId,
}

/// Hands `request` to a replica, or refuses it.
pub(crate) fn start(origin: Origin, request: DataRequest, plan: Plan, flights: &mut InFlight, turn: &mut Turn<'_>) {
    let asker = Asker::Client(origin);
    if !plan.quorum.can_still_be_reached() {
        return turn.refuse(asker, Refusal::NotEnoughReplicas);
    }
    if REQUESTS_IN_FLIGHT_MAX <= flights.count() {
        return turn.refuse(asker, Refusal::Busy);
    }
    let deadline = plan.deadline;
    let target = turn.shard.view.me;
    let forward = Forward { origin, request, plan, tried: Marks::NONE, target };
    let ticket = flights.insert(Flight::Forward(forward), Some(deadline));
    let Some(Flight::Forward(forward)) = flights.get_mut(ticket) else { return };
    if !forward.hand_on(ticket, turn) {
        turn.refuse(asker, Refusal::NotEnoughReplicas);
        flights.settle(ticket, Progress::Settled);
    }
}

impl Forward {
    /// The replica answered.
    pub(crate) fn forwarded(
        &mut self,
        ticket: Ticket,
        from: NodeId,
        reply: DataReply,
        turn: &mut Turn<'_>,
    ) -> Progress {
        if from != self.target {
            return Progress::Waits; // A replica tried before repeats its refusal.
        }
        if another_may_do_it(&reply) && self.hand_on(ticket, turn) {
            return Progress::Waits;
        }
        turn.answer(Asker::Client(self.origin), reply);
        Progress::Settled
    }

    /// The link to a node went down.
    pub(crate) fn link_down(&mut self, node: NodeId, turn: &mut Turn<'_>) -> Progress {
        if node == self.target { self.woken(turn) } else { Progress::Waits }
    }

    /// Nobody waits any longer.
    pub(crate) fn woken(&mut self, turn: &mut Turn<'_>) -> Progress {
        let receipt = self.plan.receipt();
        turn.answer(Asker::Client(self.origin), DataReply::Unknown { receipt });
        Progress::Settled
    }

    /// Sends it to the next replica that can be reached; false if there is none.
    fn hand_on(&mut self, ticket: Ticket, turn: &mut Turn<'_>) -> bool {
        for (place, node) in self.plan.nodes.iter().enumerate() {
            if self.tried.has(place) {
                continue;
            }
            self.tried.set(place);
            let timeout = self.plan.deadline - turn.now.instant;
            let message = PeerMessage::Forward { ticket, request: self.request.clone(), timeout };
            if turn.send(*node, self.plan.vnode, message) {
                self.target = *node;
                return true;
            }
        }
        false
    }
}

/// Did nothing happen there, for a reason that is that node's alone?
fn another_may_do_it(reply: &DataReply) -> bool {
    match reply {
        DataReply::Refused { refusal, .. } => {
            matches!(
                refusal,
                Refusal::ClockSkew | Refusal::DiskFull | Refusal::DiskFailed | Refusal::Unreadable | Refusal::Stopping
            )
        }
        DataReply::Found { .. } | DataReply::NotFound { .. } | DataReply::Stored { .. } | DataReply::Unknown { .. } => {
            false
        }
    }
}
