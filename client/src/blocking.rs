//! The front for programs without an async runtime: the same client, each call waiting for its answer.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::options::Options;
use crate::outcome::{Get, Operation, Outcome, Written};
use crate::routing::Routing;

/// A client of one cluster that blocks its caller. `Send`, `Sync` and cheap to clone: calls of several threads share the
/// connections and are pipelined. Not for use inside an async runtime.
#[derive(Clone, Debug)]
pub struct Client {}

impl Client {
    /// Connects to the first of `addresses` that answers; see [`crate::Client::connect`].
    pub fn connect<A: AsRef<str>>(addresses: &[A]) -> Result<Client, Error> {
        todo!("{:?}", addresses.first().map(AsRef::as_ref))
    }

    /// Reads a key.
    pub fn get(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Get, Error> {
        todo!("{:?}{options:?}", key.as_ref())
    }

    /// Writes a key.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>, options: &Options) -> Result<Written, Error> {
        todo!("{:?}{:?}{options:?}", key.as_ref(), value.into())
    }

    /// Deletes a key.
    pub fn delete(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Written, Error> {
        todo!("{:?}{options:?}", key.as_ref())
    }

    /// Does many operations at once; see [`crate::Client::batch`].
    pub fn batch(&self, operations: Vec<Operation>, options: &Options) -> Vec<Result<Outcome, Error>> {
        todo!("{operations:?}{options:?}")
    }

    /// The time to a node and back: the node is that of `address`, or any.
    pub fn ping(&self, address: Option<&str>) -> Result<Duration, Error> {
        todo!("{address:?}")
    }

    /// The topology as this client knows it.
    pub fn routing(&self) -> Arc<Routing> {
        todo!()
    }

    /// Asks for the topology anew.
    pub fn refresh(&self) -> Result<Arc<Routing>, Error> {
        todo!()
    }
}
