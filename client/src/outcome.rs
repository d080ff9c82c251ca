//! What comes back when all went well.

use bytes::Bytes;
use rondo_protocol::limits::CONTEXT_BYTES_MAX;
use rondo_protocol::wire::reply::Receipt;

use crate::error::BadInput;

/// What a reply says that its reader has seen: opaque bytes, to be given back with the next put or delete of the same key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Context(Bytes);

impl Context {
    /// Takes bytes that [`Context::as_bytes`] gave; whether they are a context, the cluster says.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Context {
        Context(bytes.into())
    }

    /// The bytes, for keeping them somewhere.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True for "has seen nothing".
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes for a request, if they may be a context at all.
    pub(crate) fn checked(self) -> Result<Bytes, BadInput> {
        if self.0.len() > CONTEXT_BYTES_MAX { Err(BadInput::Context { bytes: self.0.len() }) } else { Ok(self.0) }
    }

    /// The bytes without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// The answer to a get.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Get {
    /// The live values: none if the key holds nothing, one as a rule, several if writers were concurrent in a siblings keyspace.
    pub values: Vec<Bytes>,
    /// What a following put of this key should carry to replace exactly these.
    pub context: Context,
    /// How the answer came about.
    pub receipt: Receipt,
}

impl Get {
    /// True if the key holds a value.
    pub fn is_found(&self) -> bool {
        !self.values.is_empty()
    }

    /// The first value, if any: *the* value wherever there is at most one.
    pub fn value(&self) -> Option<&Bytes> {
        self.values.first()
    }
}

/// The answer to a put or delete: it is durable on `receipt.answered` replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// What the key's next writer has seen if it starts from here. Empty if the reply of a batch had no room for it.
    pub context: Context,
    /// How the answer came about.
    pub receipt: Receipt,
    /// Live versions that the key has now. If there are more than one, `context` covers some that this writer may never
    /// have seen: a put that carries it would replace them, so get and merge them first.
    pub versions: u8,
}

/// One step of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Reads a key.
    Get {
        /// 1 B to 4 KiB.
        key: Bytes,
    },
    /// Writes a key.
    Put {
        /// 1 B to 4 KiB.
        key: Bytes,
        /// Up to 1 MiB.
        value: Bytes,
        /// What the writer has seen; empty for nothing.
        context: Context,
    },
    /// Deletes a key.
    Delete {
        /// 1 B to 4 KiB.
        key: Bytes,
        /// What the writer has seen; empty for nothing.
        context: Context,
    },
}

impl Operation {
    /// Reads `key`.
    pub fn get(key: impl Into<Bytes>) -> Operation {
        Operation::Get { key: key.into() }
    }

    /// Writes `value` under `key`, having seen nothing.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Operation {
        Operation::Put { key: key.into(), value: value.into(), context: Context::default() }
    }

    /// Deletes `key`, having seen nothing.
    pub fn delete(key: impl Into<Bytes>) -> Operation {
        Operation::Delete { key: key.into(), context: Context::default() }
    }

    /// The same with what its writer has seen; a get carries no context and stays as it is.
    #[must_use]
    pub fn seen(self, context: Context) -> Operation {
        match self {
            Operation::Get { key } => Operation::Get { key },
            Operation::Put { key, value, .. } => Operation::Put { key, value, context },
            Operation::Delete { key, .. } => Operation::Delete { key, context },
        }
    }

    /// The key.
    pub fn key(&self) -> &Bytes {
        match self {
            Operation::Get { key } | Operation::Put { key, .. } | Operation::Delete { key, .. } => key,
        }
    }
}

/// The answer to one [`Operation`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Of a get (found or not).
    Get(Get),
    /// Of a put or delete.
    Written(Written),
}
