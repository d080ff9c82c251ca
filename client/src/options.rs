//! What a request may say beside its key: the keyspace, how many replicas must answer, how long to wait.

use core::time::Duration;

use bytes::Bytes;
use rondo_protocol::limits::{
    CONTEXT_BYTES_MAX, KEYSPACE_NAME_BYTES_MAX, REQUEST_TIMEOUT_DEFAULT, REQUEST_TIMEOUT_MAX,
};
use rondo_protocol::wire::request::{Level, RequestOptions};

use crate::error::BadInput;
use crate::outcome::Context;

/// The options of a request, in builder style. What is not said is the keyspace's own choice.
///
/// ```
/// use rondo_client::{Level, Options};
/// use std::time::Duration;
///
/// let strong = Options::new().keyspace("carts").level(Level::Quorum).timeout(Duration::from_millis(500));
/// assert!(strong.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(crate) keyspace: Bytes,
    pub(crate) level: Level,
    pub(crate) replicas: u8,
    pub(crate) timeout: Duration,
    pub(crate) context: Context,
    pub(crate) is_repeatable: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            keyspace: Bytes::from_static(b"default"),
            level: Level::Default,
            replicas: 0,
            timeout: REQUEST_TIMEOUT_DEFAULT,
            context: Context::default(),
            is_repeatable: false,
        }
    }
}

impl Options {
    /// Keyspace `default`, its own N, R and W, five seconds, no context.
    pub fn new() -> Options {
        Options::default()
    }

    /// The keyspace, 1 to 64 bytes.
    #[must_use]
    pub fn keyspace(mut self, keyspace: impl AsRef<[u8]>) -> Options {
        self.keyspace = Bytes::copy_from_slice(keyspace.as_ref());
        self
    }

    /// R of a get, W of a put or delete.
    #[must_use]
    pub fn level(mut self, level: Level) -> Options {
        self.level = level;
        self
    }

    /// N for this request; 0 means the keyspace's.
    #[must_use]
    pub fn replicas(mut self, replicas: u8) -> Options {
        self.replicas = replicas;
        self
    }

    /// How long the caller waits, all retries counted. The deadline travels with the request: the cluster drops it unworked afterwards.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Options {
        self.timeout = timeout;
        self
    }

    /// What the writer has seen: the context of an earlier get or put of the same key. A put or delete replaces exactly that.
    #[must_use]
    pub fn context(mut self, context: Context) -> Options {
        self.context = context;
        self
    }

    /// Says that it does no harm if this write happens twice, so that it may be sent again after an unknown outcome.
    ///
    /// True of a write in a last-write-wins keyspace where nobody else writes the key at the same time: the second is a
    /// later write of the same value. Between two writers it can bring an overwritten value back, and in a
    /// siblings keyspace it can leave the value as two siblings; so it is off unless asked for.
    #[must_use]
    pub fn repeatable(mut self, is_repeatable: bool) -> Options {
        self.is_repeatable = is_repeatable;
        self
    }

    /// Whether the options can be right; what only the cluster knows is not looked at.
    pub fn check(&self) -> Result<(), BadInput> {
        let keyspace = self.keyspace.len();
        if !(1..=KEYSPACE_NAME_BYTES_MAX).contains(&keyspace) {
            return Err(BadInput::Keyspace { bytes: keyspace });
        }
        let context = self.context.as_bytes().len();
        if context > CONTEXT_BYTES_MAX {
            return Err(BadInput::Context { bytes: context });
        }
        if self.timeout.is_zero() || self.timeout > REQUEST_TIMEOUT_MAX {
            return Err(BadInput::Timeout { timeout: self.timeout });
        }
        Ok(())
    }

    /// What travels in the frame, with `timeout` as what is left of the caller's time.
    pub(crate) fn on_the_wire(&self, timeout: Duration) -> RequestOptions {
        RequestOptions { replicas: self.replicas, level: self.level, timeout }
    }
}
