//! The front for programs without an async runtime: the same client, each call waiting for its answer.
//!
//! A thread of its own, started with the client and ended with its last clone, moves the bytes. So calls of several
//! threads are pipelined on the same connections, and a connection notices its end even while nobody calls.
//!
//! ```
//! use rondo_client::blocking::Client;
//! use rondo_client::{Error, Level, Operation, Options};
//! # use rondo_client::fake_server::FakeServer;
//!
//! # fn main() -> Result<(), Error> {
//! # let server = FakeServer::start();
//! # let address = server.address();
//! let client = Client::connect(&[address])?;
//! let options = Options::new().level(Level::Quorum);
//! client.put("greeting", "hello", &options)?;
//! assert_eq!(client.get("greeting", &options)?.value().map(|value| &value[..]), Some(&b"hello"[..]));
//!
//! // Each operation of a batch has its own result, in order.
//! let answers = client.batch(vec![Operation::put("one", "1"), Operation::get("greeting")], &options);
//! assert!(answers.iter().all(Result::is_ok));
//! # Ok(())
//! # }
//! ```

use core::time::Duration;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::client::ClientBuilder;
use crate::connection::unreachable;
use crate::error::Error;
use crate::options::Options;
use crate::outcome::{Get, Operation, Outcome, Written};
use crate::routing::Routing;

/// A client of one cluster that blocks its caller. `Send`, `Sync` and cheap to clone: calls of several threads share the
/// connections and are pipelined.
///
/// Not for use inside an async runtime: its calls panic there, as blocking calls must.
#[derive(Clone, Debug)]
pub struct Client {
    client: crate::Client,
    driver: Arc<Driver>,
}

/// The thread that moves the bytes. It ends when this is dropped.
#[derive(Debug)]
struct Driver {
    handle: Handle,
    _ends_when_dropped: oneshot::Sender<()>,
}

impl Client {
    /// Connects to the first of `addresses` that answers; see [`crate::Client::connect`].
    ///
    /// # Errors
    /// As there, or the thread could not be started.
    pub fn connect<A: AsRef<str>>(addresses: &[A]) -> Result<Client, Error> {
        Client::connect_with(ClientBuilder::default(), addresses)
    }

    /// Connects as `builder` says.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_with<A: AsRef<str>>(builder: ClientBuilder, addresses: &[A]) -> Result<Client, Error> {
        let not_started = |error: io::Error| unreachable(&"this process".into(), &error.to_string());
        let driver = Driver::start().map_err(not_started)?;
        let client = driver.handle.block_on(builder.connect(addresses))?;
        Ok(Client { client, driver: Arc::new(driver) })
    }

    /// Reads a key. That it holds nothing is no error.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn get(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Get, Error> {
        self.driver.handle.block_on(self.client.get(key, options))
    }

    /// Writes a key, having seen the context of `options`.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::changed`] tells whether the write may have happened.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>, options: &Options) -> Result<Written, Error> {
        self.driver.handle.block_on(self.client.put(key, value, options))
    }

    /// Deletes a key, having seen the context of `options`.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::changed`] tells whether the deletion may have happened.
    pub fn delete(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Written, Error> {
        self.driver.handle.block_on(self.client.delete(key, options))
    }

    /// Does many operations at once; see [`crate::Client::batch`].
    pub fn batch(&self, operations: Vec<Operation>, options: &Options) -> Vec<Result<Outcome, Error>> {
        self.driver.handle.block_on(self.client.batch(operations, options))
    }

    /// The time to a node and back: the node is that of `address`, or any.
    ///
    /// # Errors
    /// The node could not be reached or did not answer.
    pub fn ping(&self, address: Option<&str>) -> Result<Duration, Error> {
        self.driver.handle.block_on(self.client.ping(address))
    }

    /// The topology as this client knows it.
    pub fn routing(&self) -> Arc<Routing> {
        self.client.routing()
    }

    /// Asks for the topology anew.
    ///
    /// # Errors
    /// No node could be asked: then the error of the last.
    pub fn refresh(&self) -> Result<Arc<Routing>, Error> {
        self.driver.handle.block_on(self.client.refresh())
    }
}

impl Driver {
    fn start() -> io::Result<Driver> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (sender, dropped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("rondo-client".to_owned()).spawn(move || {
            // Ends with an error when the sender is dropped: that is the signal.
            let _ = runtime.block_on(dropped);
        })?;
        Ok(Driver { handle, _ends_when_dropped: sender })
    }
}
