//! The front for programs on tokio.
//!
//! A request is sent to the core that owns its key. If that node cannot be reached, the next on the key's
//! preference list is asked, then any node at all: every node answers every request, only with a hop more. Connections
//! are opened when first needed, one for each core, and shared by all clones of a client.
//!
//! ```
//! use rondo_client::{Client, Error, Options};
//! # use rondo_client::fake_server::FakeServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let server = FakeServer::start();
//! # let address = server.address();
//! let client = Client::connect(&[address]).await?;
//! client.put("greeting", "hello", &Options::new()).await?;
//!
//! let got = client.get("greeting", &Options::new()).await?;
//! assert_eq!(got.value().map(|value| &value[..]), Some(&b"hello"[..]));
//!
//! // The context says what the writer has seen; a put replaces exactly that.
//! client.put("greeting", "hello again", &Options::new().context(got.context)).await?;
//! client.delete("greeting", &Options::new()).await?;
//! assert!(!client.get("greeting", &Options::new()).await?.is_found());
//! # Ok(())
//! # }
//! ```

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use rondo_protocol::limits::VALUE_BYTES_MAX;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::wire::request::DataRequest;
use tokio::time::Instant;

use crate::batch;
use crate::connection::Ask;
use crate::error::{BadInput, Error};
use crate::options::Options;
use crate::outcome::{Get, Operation, Outcome, Written};
use crate::pool::Pool;
use crate::retry::{Repeats, RetryPolicy, Verdict};
use crate::routing::{Routing, Target};
use crate::session::Answer;

/// A client of one cluster. Cheap to clone; clones share connections, topology and retry budget.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) pool: Arc<Pool>,
}

/// How a [`Client`] is set up.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    name: String,
    policy: RetryPolicy,
}

impl Default for ClientBuilder {
    fn default() -> ClientBuilder {
        ClientBuilder {
            name: concat!("rondo-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            policy: RetryPolicy::default(),
        }
    }
}

impl Client {
    /// Connects to the first of `addresses` (`HOST:PORT`, any nodes of the cluster) that answers, and learns the topology from it.
    ///
    /// # Errors
    /// No address was given, or none answers: then the error of the last.
    pub async fn connect<A: AsRef<str>>(addresses: &[A]) -> Result<Client, Error> {
        Client::builder().connect(addresses).await
    }

    /// To set more than the addresses.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Reads a key. That it holds nothing is no error.
    ///
    /// # Errors
    /// See [`Error`]; a get never changes anything and is sent again where that may help.
    pub async fn get(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Get, Error> {
        let operation = Operation::get(Bytes::copy_from_slice(key.as_ref()));
        match self.perform(operation, options).await? {
            Outcome::Get(get) => Ok(get),
            Outcome::Written(_) => Err(self.wrong_kind()),
        }
    }

    /// Writes a key, having seen the context of `options`.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::changed`] tells whether the write may have happened.
    pub async fn put(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
        options: &Options,
    ) -> Result<Written, Error> {
        let key = Bytes::copy_from_slice(key.as_ref());
        let operation = Operation::Put { key, value: value.into(), context: options.context.clone() };
        self.write(operation, options).await
    }

    /// Deletes a key, having seen the context of `options`.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::changed`] tells whether the deletion may have happened.
    pub async fn delete(&self, key: impl AsRef<[u8]>, options: &Options) -> Result<Written, Error> {
        let key = Bytes::copy_from_slice(key.as_ref());
        self.write(Operation::Delete { key, context: options.context.clone() }, options).await
    }

    /// Does many operations at once, split by owning core; the answers stand in the order of `operations`, each with its
    /// own result. Operations of one batch are concurrent: two on the same key may happen in either order. Contexts are
    /// those of the operations.
    pub async fn batch(&self, operations: Vec<Operation>, options: &Options) -> Vec<Result<Outcome, Error>> {
        batch::perform(self, operations, options).await
    }

    /// The time to a node and back: the node is that of `address`, or any.
    ///
    /// # Errors
    /// The node could not be reached or did not answer.
    pub async fn ping(&self, address: Option<&str>) -> Result<Duration, Error> {
        let target = match address {
            Some(address) => Target { address: address.into(), shard: None },
            None => self.pool.fallbacks(&[]).into_iter().next().ok_or(Error::BadInput(BadInput::NoAddress))?,
        };
        let connection = self.pool.connection(&target).await?;
        let asked_at = Instant::now();
        connection.ask(Ask::Ping, asked_at + crate::limits::CONNECT_TIMEOUT).await?;
        Ok(asked_at.elapsed())
    }

    /// The topology as this client knows it.
    pub fn routing(&self) -> Arc<Routing> {
        self.pool.routing()
    }

    /// Asks for the topology anew. The client does so by itself when an answer names a newer epoch, and when a connection is lost.
    ///
    /// # Errors
    /// No node could be asked: then the error of the last.
    pub async fn refresh(&self) -> Result<Arc<Routing>, Error> {
        self.pool.refresh().await
    }

    /// How many retries the budget would allow now, and how often it has said no.
    pub fn retry_budget(&self) -> (u64, u64) {
        self.pool.retry_budget()
    }

    async fn write(&self, operation: Operation, options: &Options) -> Result<Written, Error> {
        match self.perform(operation, options).await? {
            Outcome::Written(written) => Ok(written),
            Outcome::Get(_) => Err(self.wrong_kind()),
        }
    }

    fn wrong_kind(&self) -> Error {
        let address = self.pool.fallbacks(&[]).first().map_or("".into(), |target| target.address.clone());
        Error::Protocol { address, reason: "the answer is of another kind than the request".into() }
    }

    /// Sends one operation until it is done, is refused for good, or its time is over.
    async fn perform(&self, operation: Operation, options: &Options) -> Result<Outcome, Error> {
        let mut request = request_of(operation, options).map_err(Error::BadInput)?;
        let deadline = Instant::now() + options.timeout;
        let repeats = repeats_of(&request, options);
        let mut targets: Vec<Target> = self.pool.routing().targets(request.key().token()).collect();
        targets.extend(self.pool.fallbacks(&targets));
        self.pool.deposit();
        let mut attempt = 1;
        loop {
            set_timeout(&mut request, deadline.saturating_duration_since(Instant::now()));
            let place = (attempt as usize - 1) % targets.len().max(1);
            targets.rotate_left(usize::from(place != 0));
            let error = match self.pool.ask_first(&targets, Ask::Data(request.clone()), deadline).await {
                Ok(Answer::Data(Ok(outcome))) => {
                    self.pool.notice_epoch(receipt_epoch(&outcome));
                    return Ok(outcome);
                }
                Ok(Answer::Data(Err(error))) | Err(error) => error,
                Ok(_) => return Err(self.wrong_kind()),
            };
            match self.pool.verdict(&error, repeats, attempt, deadline) {
                Verdict::Again { after } => tokio::time::sleep(after).await,
                Verdict::GiveUp => return Err(error),
            }
            attempt += 1;
        }
    }
}

impl ClientBuilder {
    /// How the client calls itself in the servers' logs; at most 64 bytes are sent.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> ClientBuilder {
        self.name = name.into();
        self
    }

    /// When to send again what may be sent again.
    #[must_use]
    pub fn retry_policy(mut self, policy: RetryPolicy) -> ClientBuilder {
        self.policy = policy;
        self
    }

    /// Connects, as [`Client::connect`].
    ///
    /// # Errors
    /// As there.
    pub async fn connect<A: AsRef<str>>(self, addresses: &[A]) -> Result<Client, Error> {
        let seeds = addresses.iter().map(|address| Arc::from(address.as_ref())).collect();
        let pool = Pool::connect(seeds, self.name, self.policy).await?;
        Ok(Client { pool: Arc::new(pool) })
    }
}

/// What is sent for an operation.
pub(crate) fn request_of(operation: Operation, options: &Options) -> Result<DataRequest, BadInput> {
    options.check()?;
    let key_bytes = operation.key().len();
    let key = ObjectKey::new(&options.keyspace, operation.key()).ok_or(BadInput::Key { bytes: key_bytes })?;
    let on_the_wire = options.on_the_wire(options.timeout);
    Ok(match operation {
        Operation::Get { .. } => DataRequest::Get { key, options: on_the_wire },
        Operation::Put { value, context, .. } => {
            if value.len() > VALUE_BYTES_MAX {
                return Err(BadInput::Value { bytes: value.len() });
            }
            let context = context.checked()?;
            DataRequest::Put { key, options: on_the_wire, context, value }
        }
        Operation::Delete { context, .. } => {
            let context = context.checked()?;
            DataRequest::Delete { key, options: on_the_wire, context }
        }
    })
}

/// Whether it does harm to send it twice.
pub(crate) fn repeats_of(request: &DataRequest, options: &Options) -> Repeats {
    match request {
        DataRequest::Get { .. } => Repeats::Harmless,
        DataRequest::Put { .. } | DataRequest::Delete { .. } if options.is_repeatable => Repeats::Harmless,
        DataRequest::Put { .. } | DataRequest::Delete { .. } => Repeats::Harmful,
    }
}

/// What is left of the caller's time travels with each attempt; a millisecond at least, for none would mean the default.
fn set_timeout(request: &mut DataRequest, left: Duration) {
    let (DataRequest::Get { options, .. } | DataRequest::Put { options, .. } | DataRequest::Delete { options, .. }) =
        request;
    options.timeout = left.max(Duration::from_millis(1));
}

pub(crate) fn receipt_epoch(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Get(get) => get.receipt.epoch,
        Outcome::Written(written) => written.receipt.epoch,
    }
}
