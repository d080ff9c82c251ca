//! Requests of clients that are not answered yet, and where their answers go.

use rondo_protocol::limits::BATCH_ITEMS_MAX;
use rondo_protocol::node::ShardIndex;
use rondo_protocol::now::Instant;
use rondo_protocol::ticket::Origin;
use rondo_protocol::wire::reply::DataReply;

use crate::metrics::RequestKind;

const _: () = assert!(BATCH_ITEMS_MAX <= u16::MAX as usize + 1);

/// One frame that asks for something.
#[derive(Debug)]
pub(crate) struct Call {
    /// The connection it came from, by number.
    pub(crate) connection: u64,
    /// The client's name for it.
    pub(crate) request_id: u32,
    /// When its frame was read.
    pub(crate) arrived: Instant,
    /// What it is counted as.
    pub(crate) kind: RequestKind,
    /// What has been answered of a batch.
    pub(crate) batch: Option<BatchAssembly>,
}

/// The answers of a batch, in the order of its items, while some are missing.
#[derive(Debug, Default)]
pub(crate) struct BatchAssembly {
    replies: Vec<Option<DataReply>>,
    missing: usize,
}

impl BatchAssembly {
    /// Nothing answered yet.
    pub(crate) fn new(items: usize) -> BatchAssembly {
        BatchAssembly { replies: (0..items).map(|_| None).collect(), missing: items }
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.replies.len()
    }

    /// Takes the answer of one item. True when it was the last that was missing. A second answer for an item is dropped.
    pub(crate) fn record(&mut self, item: usize, reply: DataReply) -> bool {
        if let Some(place) = self.replies.get_mut(item)
            && place.is_none()
        {
            *place = Some(reply);
            self.missing -= 1;
        }
        self.missing == 0
    }

    /// All answers, in order. To be called when none is missing.
    pub(crate) fn replies(&self) -> impl ExactSizeIterator<Item = &DataReply> {
        self.replies.iter().map(|reply| reply.as_ref().expect("the caller was told that none is missing"))
    }
}

/// Where an answer goes: the shard that has the connection, the call there, the item of its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Destination {
    /// The shard that has the connection.
    pub(crate) home: ShardIndex,
    /// The call there, by number.
    pub(crate) call: u64,
    /// Which item of its batch; 0 for a single request.
    pub(crate) item: u16,
}

impl Destination {
    /// As the core carries it.
    pub(crate) fn to_origin(self) -> Origin {
        Origin(self.call, (u64::from(self.item) << 16) | u64::from(self.home.0))
    }

    /// The inverse of [`Destination::to_origin`].
    pub(crate) fn from_origin(origin: Origin) -> Destination {
        Destination { home: ShardIndex(origin.1 as u16), call: origin.0, item: (origin.1 >> 16) as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rondo_protocol::wire::reply::Refusal;

    fn refused(refusal: Refusal) -> DataReply {
        DataReply::Refused { refusal, retry_after: None }
    }

    #[test]
    fn a_batch_is_answered_in_the_order_of_its_items_whatever_the_order_of_the_answers() {
        let mut batch = BatchAssembly::new(3);
        assert!(!batch.record(2, refused(Refusal::Busy)));
        assert!(!batch.record(0, refused(Refusal::BadKey)));
        assert!(!batch.record(0, refused(Refusal::Stopping)), "a second answer does not count");
        assert!(batch.record(1, refused(Refusal::BadQuorum)));
        let expected = [Refusal::BadKey, Refusal::BadQuorum, Refusal::Busy].map(refused);
        assert!(batch.replies().eq(expected.iter()));
    }

    #[test]
    fn a_destination_survives_its_way_through_the_core() {
        let there = Destination { home: ShardIndex(513), call: u64::MAX - 1, item: 1023 };
        assert_eq!(Destination::from_origin(there.to_origin()), there);
    }
}
