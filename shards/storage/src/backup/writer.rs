//! Writes one shard's data file, on a thread of its own: the backup's disk may be slow, or hang, and neither the executor
//! nor the companion may wait for it.
//!
//! The copying job sends pieces through a small channel; when it is full, the job waits with what it has. What comes out
//! is durable.

use super::error::BackupError;
use super::format::{BLOCK_HEADER_BYTES, BlockPlace, FileHeader, HEADER_BYTES, seal_block};
use super::job::{Copied, Piece};
use super::manifest::{DataFile, Gap, LostBefore, Run, data_file_name};
use super::repository::create_file;
use crate::sorted_store::KeyGap;
use crate::wounds::Wound;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// What the file must know beside its pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileFacts {
    /// The shard.
    pub shard: u16,
    /// b of the ring.
    pub vnode_bits: u8,
    /// Any number that no other file has.
    pub seal: u64,
    /// The lineage of the shard's record numbers.
    pub lineage: u64,
    /// All records up to this one are in the store that is copied.
    pub upto: u64,
    /// Only records past this one are copied.
    pub after: u64,
    /// The largest clock bound up to there.
    pub hlc_bound: u64,
}

struct DataWriter {
    file: BufWriter<File>,
    seal: u64,
    blocks: u64,
    bytes: u64,
    crc: u32,
    runs: Vec<Run>,
    /// The vnode and number of the run that is being written.
    current: Option<(u16, u16)>,
}

/// Writes what comes through `pieces` into `directory` until the job is done, and syncs it.
pub fn write_data_file(
    directory: &Path,
    facts: &FileFacts,
    pieces: &flume::Receiver<Piece>,
) -> Result<DataFile, BackupError> {
    let name = data_file_name(facts.shard);
    let path = directory.join(&name);
    let file = create_file(&path)?;
    let mut writer = DataWriter {
        file: BufWriter::new(file),
        seal: facts.seal,
        blocks: 0,
        bytes: 0,
        crc: 0,
        runs: Vec::new(),
        current: None,
    };
    let header = FileHeader { shard: facts.shard, vnode_bits: facts.vnode_bits, seal: facts.seal };
    writer.write(&header.encode()).map_err(BackupError::io("write", &path))?;
    let copied = loop {
        match pieces.recv() {
            Ok(Piece::Block { vnode, run, records, payload }) => {
                let written = writer.block(vnode, run, records, &payload);
                written.map_err(BackupError::io("write", &path))?;
            }
            Ok(Piece::Whole(copied)) => break copied,
            Ok(Piece::Failed(what)) => return Err(BackupError::Store { shard: facts.shard, what }),
            Err(flume::RecvError::Disconnected) => return Err(BackupError::Cut),
        }
    };
    writer.file.flush().map_err(BackupError::io("write", &path))?;
    writer.file.get_ref().sync_all().map_err(BackupError::io("sync", &path))?;
    Ok(writer.describe(name, facts, copied))
}

impl DataWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn block(&mut self, vnode: u16, run: u16, records: u32, payload: &[u8]) -> std::io::Result<()> {
        if self.current.replace((vnode, run)) != Some((vnode, run)) {
            self.runs.push(Run { vnode, offset: self.bytes, blocks: 0, records: 0 });
        }
        let current = self.runs.last_mut().expect("one was begun a line ago");
        current.blocks += 1;
        current.records += u64::from(records);
        let place = BlockPlace { index: self.blocks, vnode, run };
        self.blocks += 1;
        self.write(&seal_block(self.seal, place, records, payload))?;
        self.write(payload)
    }

    fn describe(self, name: String, facts: &FileFacts, copied: Copied) -> DataFile {
        let least = HEADER_BYTES as u64 + self.blocks * BLOCK_HEADER_BYTES as u64;
        assert!(least <= self.bytes, "{} bytes hold less than {} blocks", self.bytes, self.blocks);
        let gap = |gap: &KeyGap| Gap { from: hex(&gap.from), to: gap.to.as_deref().map(hex), what: gap.what.clone() };
        DataFile {
            name,
            shard: facts.shard,
            bytes: self.bytes,
            crc32c: format!("{:08x}", self.crc),
            seal: format!("{:016x}", facts.seal),
            lineage: format!("{:016x}", facts.lineage),
            upto: facts.upto,
            after: facts.after,
            hlc_bound: facts.hlc_bound,
            records: self.runs.iter().map(|run| run.records).sum(),
            runs: self.runs,
            unreadable: copied.unreadable.iter().map(|key| hex(key)).collect(),
            unreadable_keys: copied.unreadable_keys,
            gaps: copied.gaps.iter().map(gap).collect(),
            wounds: copied.wounds.iter().map(lost_before).collect(),
        }
    }
}

fn lost_before(wound: &Wound) -> LostBefore {
    LostBefore {
        from: format!("{:032x}", wound.from),
        to: format!("{:032x}", wound.to),
        upto: wound.upto.0,
        cause: wound.cause.name().to_owned(),
        what: wound.what.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
