//! One operation on its way, with all that its end must know.

use rondo_client::session::{Answer, RequestId};
use rondo_client::{Error, Outcome};

use crate::tally::Kind;
use crate::value::Stamp;

/// An operation, from its intended start to its end, over all attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    /// The key, and of a put the sequence.
    pub(crate) stamp: Stamp,
    /// When it should have been sent first, in nanoseconds since the start: latency counts from here.
    pub(crate) intended: u64,
    /// When it is not tried again any more.
    pub(crate) retry_until: u64,
    /// Counted from 1.
    pub(crate) attempt: u32,
    /// An earlier attempt may have happened.
    pub(crate) is_suspect: bool,
}

/// An attempt to be given up at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    pub(crate) at: u64,
    pub(crate) lane: usize,
    /// Which life of the lane.
    pub(crate) life: u32,
    pub(crate) id: RequestId,
}

/// An operation that waits for its next attempt. Ordered so that the earliest is the greatest, as a heap wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) at: u64,
    pub(crate) operation: Operation,
}

impl PartialEq for Retry {
    fn eq(&self, other: &Retry) -> bool {
        self.at == other.at
    }
}

impl Eq for Retry {}

impl PartialOrd for Retry {
    fn partial_cmp(&self, other: &Retry) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Retry {
    fn cmp(&self, other: &Retry) -> core::cmp::Ordering {
        other.at.cmp(&self.at)
    }
}

/// What an answer says of a request on a key.
pub(crate) fn outcome_of(answer: Answer) -> Result<Outcome, Error> {
    match answer {
        Answer::Data(result) => result,
        Answer::NotUnderstood(error) => Err(Error::Rejected { address: "".into(), reason: error.message.into() }),
        Answer::Batch(_) | Answer::Pong | Answer::Topology(_) => {
            Err(Error::Protocol { address: "".into(), reason: "an answer of another kind".into() })
        }
    }
}
