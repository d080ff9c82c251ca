//! A client's batch while its items are under way.
//!
//! The items of a batch belong to many cores and settle in any order; the reply is one, in the order of the request.
//! This is the tray that collects the answers. Splitting the batch and carrying the items is the glue's work.

use crate::limits::BATCH_ITEMS_MAX;
use crate::wire::reply::DataReply;

/// The answers of one batch, as far as they are in.
#[derive(Debug)]
pub struct BatchAssembly {
    replies: Vec<Option<DataReply>>,
    missing: usize,
}

/// A batch with no items or more than [`BATCH_ITEMS_MAX`]; nothing happened, and trying again does not help.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a batch has 1 to {BATCH_ITEMS_MAX} items, not {items}")]
pub struct BadBatch {
    /// How many it had.
    pub items: usize,
}

impl BatchAssembly {
    /// A batch of so many items, none of which has settled.
    pub fn new(items: usize) -> Result<BatchAssembly, BadBatch> {
        if !(1..=BATCH_ITEMS_MAX).contains(&items) {
            return Err(BadBatch { items });
        }
        Ok(BatchAssembly { replies: vec![None; items], missing: items })
    }

    /// The item at `index` (from 0) has its answer. Says whether the batch is complete now: true exactly once.
    ///
    /// # Panics
    /// If there is no such item, or it settled before: an item is answered once.
    pub fn settle(&mut self, index: usize, reply: DataReply) -> bool {
        let place = &mut self.replies[index];
        assert!(place.is_none(), "item {index} of a batch settled twice");
        *place = Some(reply);
        self.missing -= 1;
        self.is_complete()
    }

    /// Have all items settled?
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// How many items have not settled.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// The answers in the order of the request.
    ///
    /// # Panics
    /// If an item is missing: ask [`BatchAssembly::is_complete`] first.
    pub fn into_replies(self) -> Vec<DataReply> {
        assert!(self.missing == 0, "{} items of a batch are missing", self.missing);
        self.replies.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reply::Refusal;

    fn refused(refusal: Refusal) -> DataReply {
        DataReply::Refused { refusal, retry_after: None }
    }

    #[test]
    fn a_batch_is_answered_in_its_own_order_whatever_settles_first() {
        let mut batch = BatchAssembly::new(3).expect("three items");
        assert!(!batch.settle(2, refused(Refusal::Busy)));
        assert!(!batch.settle(0, refused(Refusal::BadKey)));
        assert_eq!(batch.missing(), 1);
        assert!(batch.settle(1, refused(Refusal::Stopping)));
        let order = [Refusal::BadKey, Refusal::Stopping, Refusal::Busy];
        assert_eq!(batch.into_replies(), order.map(refused));
    }

    #[test]
    fn a_batch_of_nothing_or_of_too_much_is_none() {
        assert!(matches!(BatchAssembly::new(0), Err(BadBatch { items: 0 })));
        assert!(BatchAssembly::new(BATCH_ITEMS_MAX).is_ok());
        assert!(BatchAssembly::new(BATCH_ITEMS_MAX + 1).is_err());
    }
}
