//! Records on their way to the log.
//!
//! A batch holds the objects themselves, shared with the memtable; their bytes are copied once, into the disk's own
//! buffer, when the batch is written.

use super::format::{self, BATCH_HEADER_BYTES, RECORD_HEAD_BYTES};
use crate::limits::PAGE_BYTES;
use crate::record::Lsn;
use bytes::Bytes;
use std::sync::Arc;

/// One record that waits for the log.
#[derive(Clone, Debug)]
pub(crate) enum PendingRecord {
    Object { token: u128, routed: Arc<[u8]>, object: Bytes },
    HlcBound(u64),
}

impl PendingRecord {
    /// Its key and what follows it.
    pub(crate) fn body_bytes(&self) -> usize {
        match self {
            PendingRecord::Object { routed, object, .. } => routed.len() + object.len(),
            PendingRecord::HlcBound(_) => size_of::<u64>(),
        }
    }

    /// What the record takes in a batch.
    pub(crate) fn encoded_bytes(&self) -> usize {
        RECORD_HEAD_BYTES + self.body_bytes()
    }
}

/// Records that become durable together.
#[derive(Debug)]
pub struct Batch {
    first_lsn: Lsn,
    records: Vec<PendingRecord>,
    payload_bytes: usize,
}

impl Batch {
    pub(crate) fn new(first_lsn: Lsn) -> Batch {
        Batch { first_lsn, records: Vec::new(), payload_bytes: 0 }
    }

    pub(crate) fn push(&mut self, record: PendingRecord) {
        self.payload_bytes += record.encoded_bytes();
        self.records.push(record);
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Its first record.
    pub fn first_lsn(&self) -> Lsn {
        self.first_lsn
    }

    /// Its last record.
    pub fn last_lsn(&self) -> Lsn {
        Lsn(self.first_lsn.0 + self.records.len() as u64 - 1)
    }

    /// Records in it, at least one.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Bytes it takes in the log, padding included.
    pub fn encoded_bytes(&self) -> usize {
        (BATCH_HEADER_BYTES + self.payload_bytes).next_multiple_of(PAGE_BYTES)
    }

    /// Writes header, directory, bodies and padding into `out`, which is [`Batch::encoded_bytes`] long.
    pub(crate) fn encode(&self, salt: u64, out: &mut [u8]) {
        assert_eq!(out.len(), self.encoded_bytes(), "the buffer fits the batch");
        let (used, padding) = out.split_at_mut(BATCH_HEADER_BYTES + self.payload_bytes);
        let (head, bodies) = used.split_at_mut(BATCH_HEADER_BYTES + RECORD_HEAD_BYTES * self.records.len());
        let body_bytes = bodies.len();
        let (mut lsn, mut rest) = (self.first_lsn, bodies);
        for (record, place) in self.records.iter().zip(head[BATCH_HEADER_BYTES..].chunks_exact_mut(RECORD_HEAD_BYTES)) {
            let (body, after) = rest.split_at_mut(record.body_bytes());
            format::encode_record(record, salt, lsn, place, body);
            (lsn, rest) = (lsn.next(), after);
        }
        padding.fill(0);
        format::seal_batch(salt, self.first_lsn, self.records.len(), body_bytes, head);
    }
}
