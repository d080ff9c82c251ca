//! Bytes that a disk gives back, as somebody else might have written them: for fuzzing, and for the laws of every reader.
//!
//! No fuzzer guesses a checksum, so each [`Format`] can put the right ones over whatever is there. What then comes to the
//! reader is what only a broken or a hostile writer makes: it may be refused, it may be taken, but it must not panic, and
//! what is taken must still be the same after it was written again.
//!
//! The batches of the log have their own entrance: [`crate::wal::check_segment`].

use crate::backup::format::{
    BLOCK_HEADER_BYTES, BlockBuilder, BlockHeader, BlockPlace, FileHeader, seal_block, take_record,
};
use crate::backup::{BackupManifest, DataFile, Gap, KeyspaceRule, LostBefore, Run};
use crate::key_journal::page::KeyPage;
use crate::limits::PAGE_BYTES;
use crate::manifest::{self, Manifest};
use crate::node_dir::Identity;
use crate::node_dir::identity::{self, Birthmark, Written};
use crate::record::Lsn;
use crate::sorted_store::Engine;
use crate::wal::{DATA_AT, SegmentHeader};
use crate::wounds::{self, Wound, WoundCause, Wounds};
use bytes::Bytes;
use std::path::Path;

/// The seal of the only block here.
const SEAL: u64 = 7;

/// A kind of bytes with a reader of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A shard's `manifest`.
    Manifest,
    /// A node's `identity`.
    Identity,
    /// A shard's `wounds`.
    Wounds,
    /// A page of a key journal.
    KeyPage,
    /// Both header pages of a log segment: one that is new, was a spare, or was the reserve.
    SegmentHeader,
    /// The manifest of a backup.
    BackupManifest,
    /// The header of a backup's data file.
    BackupHeader,
    /// A block of such a file.
    BackupBlock,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 8] = [
        Format::Manifest,
        Format::Identity,
        Format::Wounds,
        Format::KeyPage,
        Format::SegmentHeader,
        Format::BackupManifest,
        Format::BackupHeader,
        Format::BackupBlock,
    ];

    /// Good bytes, with something in every field.
    pub fn sample(self) -> Vec<u8> {
        match self {
            Format::Manifest => sample_manifest().encode().to_vec(),
            Format::Identity => identity::encode(&sample_identity()),
            Format::Wounds => sample_wounds().encode(5),
            Format::KeyPage => {
                let tokens = vec![1, 2 << 64, u128::MAX];
                KeyPage { id: 9, number: 3, lsn_max: Lsn(77), tokens }.encode().to_vec()
            }
            Format::SegmentHeader => segment_pages(&SegmentHeader {
                shard: 2,
                first_lsn: Lsn(1),
                salt: 7,
                bytes: 1 << 20,
                replaces: true,
                is_reused: true,
            }),
            Format::BackupManifest => sample_backup().encode(),
            Format::BackupHeader => FileHeader { shard: 3, vnode_bits: 10, seal: SEAL }.encode().to_vec(),
            Format::BackupBlock => {
                let mut block = BlockBuilder::default();
                block.push(5, b"\x01\x00kkey", Lsn(8), b"an object");
                block.push(6, b"\x01\x00kother", Lsn(9), b"");
                sealed(BlockPlace { index: 4, vnode: 1, run: 0 }, block)
            }
        }
    }

    /// Puts the checksums over `bytes` that their writer would have put there, as far as they are long enough to have any.
    pub fn seal(self, bytes: &mut Vec<u8>) {
        match self {
            Format::Manifest => put_crc(bytes, 108, |bytes| crc32c::crc32c(&bytes[..108])),
            Format::Identity => {
                let at = bytes.len().saturating_sub(4);
                put_crc(bytes, at, |bytes| crc32c::crc32c(&bytes[..at]));
            }
            Format::Wounds => {
                let length = bytes
                    .get(12..16)
                    .map_or(0, |field| u32::from_le_bytes(field.try_into().expect("four bytes")) as usize);
                if (32..=bytes.len()).contains(&length) {
                    bytes[28..32].fill(0);
                    put_crc(bytes, 28, |bytes| crc32c::crc32c(&bytes[..length]));
                }
            }
            Format::KeyPage => {
                bytes.resize(PAGE_BYTES, 0);
                put_crc(bytes, 12, |bytes| crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]));
            }
            Format::SegmentHeader => {
                bytes.chunks_mut(PAGE_BYTES).for_each(|page| put_crc(page, 44, |page| crc32c::crc32c(&page[..44])));
            }
            Format::BackupManifest => {
                let end = bytes.trim_ascii_end().len();
                let line = bytes[..end].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                bytes.truncate(line);
                let crc = format!("crc32c {:08x}\n", crc32c::crc32c(bytes));
                bytes.extend_from_slice(crc.as_bytes());
            }
            Format::BackupHeader => put_crc(bytes, 28, |bytes| crc32c::crc32c(&bytes[..28])),
            Format::BackupBlock => put_crc(bytes, 4, |bytes| {
                crc32c::crc32c_append(crc32c::crc32c(&SEAL.to_le_bytes()), bytes.get(8..).unwrap_or_default())
            }),
        }
    }

    /// Reads `bytes`, and gives what was understood as its writer would write it; `None` if they were refused.
    pub fn read(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Format::Manifest => Some(manifest::decode(bytes).ok()?.1.encode().to_vec()),
            Format::Identity => Some(identity::encode(&identity::decode(bytes).ok()?)),
            Format::Wounds => {
                let (sequence, (wounds, _)) = wounds::decode(bytes).ok()?;
                Some(wounds.encode(sequence))
            }
            Format::KeyPage => Some(KeyPage::decode(bytes.first_chunk()?).ok()?.encode().to_vec()),
            Format::SegmentHeader => Some(segment_pages(&SegmentHeader::decode(bytes).ok()?.0)),
            Format::BackupManifest => Some(BackupManifest::decode(bytes, Path::new("manifest")).ok()?.encode()),
            Format::BackupHeader => Some(FileHeader::decode(bytes.first_chunk()?).ok()?.encode().to_vec()),
            Format::BackupBlock => read_block(bytes),
        }
    }
}

/// Writes a checksum of four bytes at `at`, if there is room for it.
fn put_crc(bytes: &mut [u8], at: usize, crc: impl Fn(&[u8]) -> u32) {
    if at + 4 <= bytes.len() {
        let crc = crc(bytes);
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn segment_pages(header: &SegmentHeader) -> Vec<u8> {
    let mut pages = vec![0; DATA_AT];
    header.encode(&mut pages);
    pages
}

fn sealed(place: BlockPlace, block: BlockBuilder) -> Vec<u8> {
    let (records, payload) = block.into_parts();
    [&seal_block(SEAL, place, records, &payload)[..], &payload].concat()
}

/// As a data file's reader does: header, bounds, checksum, then record by record, and nothing behind the last one.
fn read_block(bytes: &[u8]) -> Option<Vec<u8>> {
    let head: &[u8; BLOCK_HEADER_BYTES] = bytes.first_chunk()?;
    let header = BlockHeader::decode(head).ok()?;
    let payload = bytes[BLOCK_HEADER_BYTES..].get(..header.payload_bytes)?;
    header.check(SEAL, head, payload).ok()?;
    let (mut rest, mut block) = (Bytes::copy_from_slice(payload), BlockBuilder::default());
    for _ in 0..header.records {
        let record = take_record(&mut rest).ok()?;
        block.push(record.token, &record.routed, record.lsn, &record.object);
    }
    rest.is_empty().then(|| sealed(header.place, block))
}

fn sample_manifest() -> Manifest {
    Manifest {
        hlc_bound: 6,
        first_segment: Lsn(3),
        store: 2,
        sequence: 9,
        end: Lsn(12),
        is_sealed: true,
        is_wounded: true,
        ..Manifest::new(1, "sled", 11, Lsn(10))
    }
}

fn sample_identity() -> Written {
    let identity = Identity {
        cluster_id: 0xABCD << 70,
        node_name: "n1".to_owned(),
        incarnation: 3,
        is_clean: true,
        shards: 4,
        engine: Engine::Lsm,
        vnode_bits: 10,
        layout: 2,
    };
    Written { identity, sequence: 5, birthmark: Birthmark::default() }
}

fn sample_wounds() -> Wounds {
    let mut wounds = Wounds::default();
    for (at, cause) in WoundCause::ALL.into_iter().enumerate() {
        let from = (at as u128) << 100;
        let (keys, what) = ((at != 0).then_some(at as u64), format!("{cause} at byte {at}"));
        wounds.add(Wound { from, to: from + 9, upto: Lsn(50), keys, cause, what, found_at_unix: 1_795_636_277 });
    }
    wounds
}

fn sample_backup() -> BackupManifest {
    let file = DataFile {
        name: "shard-000.data".to_owned(),
        shard: 0,
        bytes: 4096,
        crc32c: "89abcdef".to_owned(),
        seal: "07".to_owned(),
        lineage: "0b".to_owned(),
        upto: 10,
        after: 4,
        hlc_bound: 6,
        records: 2,
        runs: vec![Run { vnode: 1, offset: 32, blocks: 1, records: 2 }],
        unreadable: vec!["00ff".to_owned()],
        unreadable_keys: 1,
        gaps: vec![Gap { from: "00".to_owned(), to: None, what: "rot".to_owned() }],
        wounds: vec![LostBefore {
            from: "0".to_owned(),
            to: "ff".to_owned(),
            upto: 9,
            cause: "log-rot".to_owned(),
            what: "a batch".to_owned(),
        }],
    };
    BackupManifest {
        id: "20261125T195117.123Z-n1".to_owned(),
        parent: Some("20261125T185117.123Z-n1".to_owned()),
        created_unix: 1_795_636_277,
        cluster: "abcd".to_owned(),
        node: "n1".to_owned(),
        incarnation: 3,
        vnode_bits: 10,
        keyspace: None,
        keyspaces: vec![KeyspaceRule { name: "default".to_owned(), policy: "lww".to_owned() }],
        files: vec![file],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    #[test]
    fn what_was_written_is_read_as_it_was() {
        for format in Format::ALL {
            let mut sample = format.sample();
            assert_eq!(format.read(&sample).as_ref(), Some(&sample), "{format:?}");
            format.seal(&mut sample);
            assert_eq!(sample, format.sample(), "{format:?} has its checksums where they belong");
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_makes_another_value() {
        for format in Format::ALL {
            let sample = format.sample();
            let check = |bytes: &[u8], what: &str| {
                let read = format.read(bytes);
                assert!(read.is_none() || read.as_ref() == Some(&sample), "{format:?}, {what}");
            };
            for bit in 0..sample.len() * 8 {
                let mut bytes = sample.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                check(&bytes, &format!("bit {bit}"));
            }
            for length in 0..sample.len() {
                check(&sample[..length], &format!("the first {length} bytes"));
            }
        }
    }

    /// A change of the sample: bytes written over it at some place, and where it ends.
    fn change() -> impl Strategy<Value = (Index, Vec<u8>, Option<Index>)> {
        let bytes = prop_oneof![
            prop::collection::vec(any::<u8>(), 1..24),
            select(vec![vec![0; 8], vec![0xFF; 8], vec![0xFF; 2], vec![0xFF, 0xFF, 0xFF, 0x7F], vec![1, 0, 0, 0]]),
        ];
        (any::<Index>(), bytes, prop::option::weighted(0.2, any::<Index>()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Bytes with the right checksums that no writer of ours ever wrote.
        #[test]
        fn what_a_strange_writer_sealed_is_refused_or_stays_what_it_is(
            format in select(Format::ALL.to_vec()),
            changes in prop::collection::vec(change(), 1..4),
        ) {
            let mut bytes = format.sample();
            for (at, over, end) in changes {
                if let Some(end) = end {
                    bytes.truncate(end.index(bytes.len() + 1));
                }
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..(at + over.len()).min(bytes.len()), over);
            }
            format.seal(&mut bytes);
            if let Some(taken) = format.read(&bytes) {
                prop_assert_eq!(format.read(&taken), Some(taken.clone()));
                // Nothing grows past what came in but by a page of zeros.
                prop_assert!(taken.len() <= bytes.len() + DATA_AT);
            }
        }
    }
}
