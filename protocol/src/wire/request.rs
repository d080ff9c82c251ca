//! What a client asks.

use bytes::Bytes;
use core::time::Duration;

use crate::ring::ObjectKey;

/// How many replicas must answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Level {
    /// What the keyspace says.
    #[default]
    Default,
    /// One replica.
    One,
    /// More than half of N.
    Quorum,
    /// All N.
    All,
    /// This many.
    Count(u8),
}

/// What every request on a key says beside its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestOptions {
    /// N for this request; 0 means the keyspace's.
    pub replicas: u8,
    /// R of a get, W of a put or delete.
    pub level: Level,
    /// Time from arrival after which nobody waits any more; zero means the default.
    pub timeout: Duration,
}

/// A request for one key. Keyspace and key travel inside [`ObjectKey`]; the token is computed where the frame is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataRequest {
    Get { key: ObjectKey, options: RequestOptions },
    Put { key: ObjectKey, options: RequestOptions, context: Bytes, value: Bytes },
    Delete { key: ObjectKey, options: RequestOptions, context: Bytes },
}

impl DataRequest {
    /// The key asked about.
    pub fn key(&self) -> &ObjectKey {
        match self {
            DataRequest::Get { key, .. } | DataRequest::Put { key, .. } | DataRequest::Delete { key, .. } => key,
        }
    }

    /// Its options.
    pub fn options(&self) -> &RequestOptions {
        match self {
            DataRequest::Get { options, .. }
            | DataRequest::Put { options, .. }
            | DataRequest::Delete { options, .. } => options,
        }
    }
}
