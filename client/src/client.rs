//! The front for programs on tokio.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::options::Options;
use crate::outcome::{Get, Operation, Outcome, Written};
use crate::routing::Routing;

/// A client of one cluster. Cheap to clone; clones share connections, topology and retry budget.
#[derive(Clone, Debug)]
pub struct Client {}

/// How a [`Client`] is set up.
#[derive(Clone, Debug, Default)]
pub struct ClientBuilder {}

impl Client {
    /// Connects to the first of `addresses` (`HOST:PORT`, any nodes of the cluster) that answers, and learns the topology from it.
    pub async fn connect<A: AsRef<str>>(addresses: &[A]) -> Result<Client, Error> {
        Client::builder().connect(addresses).await
    }

    /// To set more than the addresses.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Reads a key.
    pub async fn get(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Get, Error> {
        todo!("{:?}{options:?}", key.as_ref())
    }

    /// Writes a key.
    pub async fn put(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
        options: &Options,
    ) -> Result<Written, Error> {
        todo!("{:?}{:?}{options:?}", key.as_ref(), value.into())
    }

    /// Deletes a key.
    pub async fn delete(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Written, Error> {
        todo!("{:?}{options:?}", key.as_ref())
    }

    /// Does many operations, split by owning core, at once; the answers stand in the order of `operations`, each with its own result.
    pub async fn batch(&self, operations: Vec<Operation>, options: &Options) -> Vec<Result<Outcome, Error>> {
        todo!("{operations:?}{options:?}")
    }

    /// The time to a node and back: the node is that of `address`, or any.
    pub async fn ping(&self, address: Option<&str>) -> Result<Duration, Error> {
        todo!("{address:?}")
    }

    /// The topology as this client knows it.
    pub fn routing(&self) -> Arc<Routing> {
        todo!()
    }

    /// Asks for the topology anew.
    pub async fn refresh(&self) -> Result<Arc<Routing>, Error> {
        todo!()
    }
}

impl ClientBuilder {
    /// Connects, as [`Client::connect`].
    pub async fn connect<A: AsRef<str>>(self, addresses: &[A]) -> Result<Client, Error> {
        todo!("{:?}", addresses.first().map(AsRef::as_ref))
    }
}
