//! How operations go out: as a request, on the best connection that takes it.

use bytes::Bytes;
use rondo_client::limits::{ANSWER_GRACE, IN_FLIGHT_MAX};
use rondo_client::session::RequestId;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::wire::request::DataRequest;

use super::{Lane, Worker};
use crate::limits::{BACKOFF_FIRST, OUT_BYTES_MAX};
use crate::operation::{Expiry, Operation, Retry};
use crate::tally::Kind;
use crate::value::write_value;

impl Worker {
    /// Encodes an operation for the best connection that takes it; if none does, it waits a moment.
    pub(super) fn send(&mut self, operation: Operation, preferred: Option<usize>, now: u64) {
        let request = self.request(&operation);
        let token = request.key().token();
        let groups = self.routes.groups(token);
        // An open loop is bounded for each connection, a closed one by how many there are in all.
        let room = if self.pacing.is_some() { self.plan.depth } else { IN_FLIGHT_MAX };
        // A retry goes elsewhere first, and so does each unrouted request.
        let turn = if self.plan.is_routed { operation.attempt as usize - 1 } else { self.sequence as usize };
        for place in 0..groups.len() {
            let group = groups[(place + turn) % groups.len()];
            let first = group * self.lanes_per_target;
            let members = first..first + self.lanes_per_target;
            let start = preferred
                .filter(|lane| members.contains(lane))
                .unwrap_or_else(|| first + (self.sequence as usize) % self.lanes_per_target);
            for step in 0..self.lanes_per_target {
                let lane = first + (start - first + step) % self.lanes_per_target;
                let place = &mut self.lanes[lane];
                if let Some(id) = encode(place, &request, operation, room) {
                    let at = now + (request.options().timeout + ANSWER_GRACE).as_nanos() as u64;
                    self.expiries.push_back(Expiry { at, lane, life: place.life, id });
                    return;
                }
            }
        }
        if now >= operation.retry_until {
            return self.end_failed(operation, "unreachable");
        }
        self.retries.push(Retry { at: now + BACKOFF_FIRST.as_nanos() as u64, operation });
    }

    fn request(&self, operation: &Operation) -> DataRequest {
        let key = format!("{}{:012}", self.plan.prefix, operation.stamp.key_index);
        let key = ObjectKey::new(self.plan.keyspace.as_bytes(), key.as_bytes()).expect("checked before the start");
        match operation.kind {
            Kind::Get => DataRequest::Get { key, options: self.plan.read },
            Kind::Put => {
                let mut value = Vec::with_capacity(self.plan.value_bytes);
                write_value(operation.stamp, self.plan.value_bytes, &mut value);
                DataRequest::Put { key, options: self.plan.write, context: Bytes::new(), value: value.into() }
            }
        }
    }
}

/// `None` if the lane does not take it.
fn encode(lane: &mut Lane, request: &DataRequest, operation: Operation, room: usize) -> Option<RequestId> {
    let session = lane.session.as_mut().filter(|session| session.in_flight() < room)?;
    if lane.out.len() > OUT_BYTES_MAX {
        return None;
    }
    session.request(request, operation, &mut lane.out).ok()
}
