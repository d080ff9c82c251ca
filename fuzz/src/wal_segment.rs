//! A segment of the log, as a disk gives it back: raw, or a sealed batch with anything in it.

use rondo_storage::wal::{ReplayFault, check_segment, segment_around};

/// A segment of the log, as a disk gives it back: raw, or a sealed batch with anything in it.
pub fn wal_segment(input: &[u8]) {
    let Some((&records, bytes)) = input.split_first() else { return };
    check_segment(bytes);
    let segment = segment_around(bytes, records);
    let (read, fault) = check_segment(&segment);
    // All of the batch or none of it: a batch that is sealed but makes no sense is left out as a whole.
    match fault {
        None => assert_eq!(read, u64::from(records)),
        Some(fault) => assert!(read == 0 && matches!(fault, ReplayFault::Torn(8192) | ReplayFault::Damaged(8192))),
    }
}
