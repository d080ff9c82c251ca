//! Which nodes can be reached now, and how many shards each has.

use core::num::NonZeroU16;

use crate::node::NodeId;

/// The links that are up, sorted by node.
#[derive(Debug, Default)]
pub(crate) struct Links {
    up: Vec<(NodeId, NonZeroU16)>,
}

impl Links {
    /// The link to `node` came up (it has so many shards) or went down.
    pub(crate) fn change(&mut self, node: NodeId, shards: Option<NonZeroU16>) {
        match (self.up.binary_search_by_key(&node, |(up, _)| *up), shards) {
            (Ok(place), Some(shards)) => self.up[place].1 = shards,
            (Ok(place), None) => drop(self.up.remove(place)),
            (Err(place), Some(shards)) => self.up.insert(place, (node, shards)),
            (Err(_), None) => {}
        }
    }

    /// How many shards `node` has; `None` while its link is down.
    pub(crate) fn shards(&self, node: NodeId) -> Option<NonZeroU16> {
        let place = self.up.binary_search_by_key(&node, |(up, _)| *up).ok()?;
        Some(self.up[place].1)
    }
}
