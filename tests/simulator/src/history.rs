//! What the clients asked and what they were told: the only thing that a promise can be held against.
//!
//! Every value names the operation that wrote it, so a value read back tells whose it is without trusting anything that
//! the cluster says about versions.

use bytes::Bytes;
use core::fmt;

use rondo_protocol::causality::VersionVector;
use rondo_protocol::now::Instant;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::view::ConflictPolicy;
use rondo_protocol::wire::reply::{Receipt, Refusal};
use rondo_protocol::wire::request::RequestOptions;

/// An operation's place in the history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OpId(pub usize);

/// A key of the workload: which keyspace, and which of its few keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// True for the last-write-wins keyspace.
    pub lww: bool,
    /// Counted from 0.
    pub number: usize,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Read.
    Get,
    /// Write a value of this many bytes.
    Put {
        /// How many, at least 8: the value names its writer.
        value_bytes: usize,
    },
    /// Delete.
    Delete,
}

/// One operation of one client.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// Who asked.
    pub client: usize,
    /// About what.
    pub key: Key,
    /// What.
    pub kind: Kind,
    /// As asked.
    pub options: RequestOptions,
    /// R or W as a number.
    pub required: u8,
    /// N as a number.
    pub replicas: u8,
    /// What the context it carried covers; empty if it carried none.
    pub context: VersionVector,
    /// When it was asked.
    pub started: Instant,
    /// When its outcome was known to the client.
    pub ended: Option<Instant>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a client was told.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Nothing yet.
    Pending,
    /// A get was answered: who wrote the values, and what its context covers.
    Read {
        /// Whose values were found.
        writers: Vec<OpId>,
        /// What the context covers.
        seen: VersionVector,
        /// How the answer came about.
        receipt: Receipt,
    },
    /// A put or delete is durable.
    Written {
        /// What the context covers.
        seen: VersionVector,
        /// How the answer came about.
        receipt: Receipt,
    },
    /// Nothing happened.
    Refused(Option<Refusal>),
    /// It may or may not have happened.
    Unknown,
}

/// All operations, in the order in which they were asked.
#[derive(Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
}

impl Key {
    /// The keyspace's name.
    pub fn keyspace(self) -> &'static str {
        if self.lww { "lww" } else { "siblings" }
    }

    /// The keyspace's policy.
    pub fn policy(self) -> ConflictPolicy {
        if self.lww { ConflictPolicy::Lww } else { ConflictPolicy::Siblings }
    }

    /// The key as the cluster knows it.
    pub fn object_key(self) -> ObjectKey {
        ObjectKey::new(self.keyspace().as_bytes(), format!("k{}", self.number).as_bytes())
            .expect("the names of the workload are short")
    }

    /// The key behind one of the cluster's, if it is of the workload.
    pub fn of(key: &ObjectKey) -> Option<Key> {
        let lww = match key.keyspace() {
            b"lww" => true,
            b"siblings" => false,
            _ => return None,
        };
        let digits = core::str::from_utf8(key.key().strip_prefix(b"k")?).ok()?;
        Some(Key { lww, number: digits.parse().ok()? })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/k{}", self.keyspace(), self.number)
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}", self.0)
    }
}

impl Operation {
    /// Is it a put or delete?
    pub fn is_write(&self) -> bool {
        self.kind != Kind::Get
    }

    /// Was it answered as done (for a get: found or not)?
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Read { .. } | Outcome::Written { .. })
    }

    /// Could it take effect yet, or have taken effect without anybody knowing?
    pub fn is_unsettled(&self) -> bool {
        matches!(self.outcome, Outcome::Pending | Outcome::Unknown)
    }

    /// Had it ended before `other` was asked?
    pub fn is_before(&self, other: &Operation) -> bool {
        self.ended.is_some_and(|ended| ended < other.started)
    }

    /// Must a read like `read` (or this write, seen by it) meet at least one replica in common?
    pub fn meets(&self, read: &Operation) -> bool {
        self.replicas == read.replicas && self.required + read.required > self.replicas
    }
}

impl History {
    /// Takes in a new operation.
    pub fn begin(&mut self, operation: Operation) -> OpId {
        self.operations.push(operation);
        OpId(self.operations.len() - 1)
    }

    /// The outcome of `id` is known.
    pub fn end(&mut self, id: OpId, now: Instant, outcome: Outcome) {
        let operation = &mut self.operations[id.0];
        assert!(operation.outcome == Outcome::Pending, "{id} ended twice");
        operation.ended = Some(now);
        operation.outcome = outcome;
    }

    /// The operation of that place.
    pub fn operation(&self, id: OpId) -> &Operation {
        &self.operations[id.0]
    }

    /// All of them with their places.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (OpId, &Operation)> {
        self.operations.iter().enumerate().map(|(place, operation)| (OpId(place), operation))
    }

    /// The operations on `key` with their places.
    pub fn of_key(&self, key: Key) -> impl Iterator<Item = (OpId, &Operation)> {
        self.iter().filter(move |(_, operation)| operation.key == key)
    }

    /// Is there a delete of `key` that may yet take effect?
    pub fn has_open_delete(&self, key: Key) -> bool {
        self.of_key(key).any(|(_, operation)| operation.kind == Kind::Delete && operation.is_unsettled())
    }

    /// The keys of which anything was asked, in order.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.operations.iter().map(|operation| operation.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The bytes that the put `id` writes: its own number, then bytes made from it, so that a garbled value is nobody's.
    pub fn value_of(id: OpId, value_bytes: usize) -> Bytes {
        let number = (id.0 as u64).to_le_bytes();
        let filler = (8..value_bytes.max(8)).map(|place| (id.0.wrapping_mul(31) + place * 7) as u8);
        number.into_iter().chain(filler).collect()
    }

    /// Who wrote `value`: `None` if no put ever did.
    pub fn writer_of(&self, key: Key, value: &[u8]) -> Option<OpId> {
        let number = u64::from_le_bytes(value.get(..8)?.try_into().ok()?);
        let id = OpId(usize::try_from(number).ok()?);
        let operation = self.operations.get(id.0).filter(|operation| operation.key == key)?;
        match operation.kind {
            Kind::Put { value_bytes } => (History::value_of(id, value_bytes) == value).then_some(id),
            Kind::Get | Kind::Delete => None,
        }
    }
}
