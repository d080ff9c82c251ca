//! What a backup holds, in a file that people can read and that a checksum guards.
//!
//! ```text
//! RONDOBAK 1
//! { … JSON … }
//! crc32c 89abcdef
//! ```
//! The version stands outside the JSON, so that a newer one is refused by name before anything else is believed.

use super::error::BackupError;
use super::repository::create_file;
use crate::limits::BACKUP_MANIFEST_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// The manifest's name in the directory of a backup.
pub(super) const MANIFEST: &str = "manifest";
const MAGIC: &str = "RONDOBAK";
const VERSION: u32 = 1;

/// What a backup is and what it holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupManifest {
    /// Its name: the time in UTC, then the node. Names sort by time.
    pub id: String,
    /// The backup that it is an increment of.
    pub parent: Option<String>,
    /// When it was begun, in seconds since 1970.
    pub created_unix: u64,
    /// The cluster, in hexadecimal digits.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// The node's incarnation.
    pub incarnation: u32,
    /// b: the ring has 2^b virtual nodes.
    pub vnode_bits: u8,
    /// The only keyspace in it; all of them if none is named.
    pub keyspace: Option<String>,
    /// The keyspaces of the cluster when it was made.
    pub keyspaces: Vec<KeyspaceRule>,
    /// One data file for each shard.
    pub files: Vec<DataFile>,
}

/// A keyspace and how its concurrent versions meet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyspaceRule {
    /// Its name.
    pub name: String,
    /// `lww` or `siblings`.
    pub policy: String,
}

/// One shard's part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Its name.
    pub name: String,
    /// The shard.
    pub shard: u16,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of all of it, in hexadecimal digits.
    pub crc32c: String,
    /// The number that its blocks are sealed with, in hexadecimal digits.
    pub seal: String,
    /// The lineage of its record numbers, in hexadecimal digits.
    pub lineage: String,
    /// All records up to this one are in the backup, its parents counted.
    pub upto: u64,
    /// It holds records past this one: 0 for all, the parent's `upto` for an increment.
    pub after: u64,
    /// The largest clock bound up to there.
    pub hlc_bound: u64,
    /// Records in it.
    pub records: u64,
    /// Its runs, in the order of the file.
    pub runs: Vec<Run>,
    /// Stored keys that could not be read, in hexadecimal digits; at most [`crate::limits::BACKUP_LOSSES_MAX`] are named.
    pub unreadable: Vec<String>,
    /// How many there are.
    pub unreadable_keys: u64,
    /// Ranges of stored keys that could not be read.
    pub gaps: Vec<Gap>,
    /// What the shard had lost before the backup was made.
    pub wounds: Vec<LostBefore>,
}

/// A wound of the shard: of the keys in a range of tokens, what was written up to a record is not in the backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostBefore {
    /// The first token, in hexadecimal digits.
    pub from: String,
    /// The last token, in hexadecimal digits.
    pub to: String,
    /// The record.
    pub upto: u64,
    /// What was damaged.
    pub cause: String,
    /// Expected and found.
    pub what: String,
}

/// Records of one vnode in stored order: vnode, offset of the first block, blocks, records. Where a vnode has several, the record
/// with the highest number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "(u16, u64, u64, u64)", into = "(u16, u64, u64, u64)")]
pub struct Run {
    /// The vnode.
    pub vnode: u16,
    /// Where its first block begins.
    pub offset: u64,
    /// Blocks.
    pub blocks: u64,
    /// Records.
    pub records: u64,
}

impl From<(u16, u64, u64, u64)> for Run {
    fn from((vnode, offset, blocks, records): (u16, u64, u64, u64)) -> Run {
        Run { vnode, offset, blocks, records }
    }
}

impl From<Run> for (u16, u64, u64, u64) {
    fn from(run: Run) -> (u16, u64, u64, u64) {
        (run.vnode, run.offset, run.blocks, run.records)
    }
}

/// Stored keys that cannot be read, from `from` on (inclusive) to `to` (exclusive; to the end if none).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// In hexadecimal digits.
    pub from: String,
    /// In hexadecimal digits.
    pub to: Option<String>,
    /// Why.
    pub what: String,
}

impl BackupManifest {
    /// The cluster's number.
    pub fn cluster_id(&self) -> Option<u128> {
        u128::from_str_radix(&self.cluster, 16).ok()
    }

    /// Records in all files.
    pub fn records(&self) -> u64 {
        self.files.iter().map(|file| file.records).sum()
    }

    /// Bytes of all data files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Is something missing that the node held? Says what.
    pub fn losses(&self) -> Vec<String> {
        let of_file = |file: &DataFile| {
            let keys = (file.unreadable_keys > 0)
                .then(|| format!("shard {}: {} unreadable objects", file.shard, file.unreadable_keys));
            let gaps = file.gaps.iter().map(|gap| {
                let to = gap.to.as_deref().unwrap_or("the end");
                format!("shard {}: stored keys from {} to {to}: {}", file.shard, gap.from, gap.what)
            });
            let wounds = file.wounds.iter().map(|lost| {
                format!(
                    "shard {}: tokens from {} to {}: {} ({})",
                    file.shard, lost.from, lost.to, lost.what, lost.cause
                )
            });
            keys.into_iter().chain(gaps).chain(wounds).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(of_file).collect()
    }

    /// Writes it as a new file and syncs it.
    pub(super) fn write(&self, path: &Path) -> Result<(), BackupError> {
        let mut file = create_file(path)?;
        file.write_all(&self.encode()).map_err(BackupError::io("write", path))?;
        file.sync_all().map_err(BackupError::io("sync", path))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_string_pretty(self).expect("plain data always serializes");
        let body = format!("{MAGIC} {VERSION}\n{json}\n");
        let crc = crc32c::crc32c(body.as_bytes());
        format!("{body}crc32c {crc:08x}\n").into_bytes()
    }

    /// Reads and checks it.
    pub fn read(path: &Path) -> Result<BackupManifest, BackupError> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(BackupError::io("open", path))?;
        file.take(BACKUP_MANIFEST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(BackupError::io("read", path))?;
        BackupManifest::decode(&bytes, path)
    }

    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<BackupManifest, BackupError> {
        let damaged = |what: String| BackupError::damaged(path, None, what);
        if bytes.len() as u64 > BACKUP_MANIFEST_BYTES_MAX {
            return Err(damaged(format!("longer than {BACKUP_MANIFEST_BYTES_MAX} bytes")));
        }
        let text = core::str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let Some(version) = first.strip_prefix(MAGIC).map(str::trim) else {
            return Err(damaged(format!("it does not begin with {MAGIC}")));
        };
        let crc_at = text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
        let said = text[crc_at..].trim_end().strip_prefix("crc32c ").unwrap_or("nothing");
        let found = format!("{:08x}", crc32c::crc32c(&text.as_bytes()[..crc_at]));
        if found != said {
            return Err(damaged(format!("checksum {found}, it says {said}")));
        }
        if version != VERSION.to_string() {
            let found = version.to_owned();
            return Err(BackupError::NewerFormat { path: path.to_owned(), found, known: VERSION });
        }
        let json = &rest[..crc_at - (first.len() + 1)];
        let manifest: BackupManifest = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
        manifest.check().map_err(damaged)?;
        Ok(manifest)
    }

    /// What a checksum cannot know: that names stay inside the directory, and numbers are numbers.
    fn check(&self) -> Result<(), String> {
        if self.cluster_id().is_none() || !(1..=16).contains(&self.vnode_bits) {
            return Err("its cluster or vnode bits make no sense".to_owned());
        }
        if !self.files.is_sorted_by(|before, after| before.shard < after.shard) {
            return Err("its files are not those of one shard after the other".to_owned());
        }
        let sum = |of: fn(&DataFile) -> u64| self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(of(file)));
        if sum(|file| file.records).is_none() || sum(|file| file.bytes).is_none() {
            return Err("its records or bytes are more than there can be".to_owned());
        }
        for file in &self.files {
            if file.name != data_file_name(file.shard) {
                return Err(format!("shard {} has a file called {:?}", file.shard, file.name));
            }
            if file.seal().is_none() || file.lineage().is_none() || file.crc().is_none() {
                return Err(format!("the numbers of {} make no sense", file.name));
            }
            if !file.runs.is_sorted_by_key(|run| (run.vnode, run.offset)) {
                return Err(format!("the runs of {} are out of order", file.name));
            }
        }
        Ok(())
    }
}

impl DataFile {
    pub(super) fn seal(&self) -> Option<u64> {
        u64::from_str_radix(&self.seal, 16).ok()
    }

    pub(super) fn crc(&self) -> Option<u32> {
        u32::from_str_radix(&self.crc32c, 16).ok()
    }

    /// The lineage of its record numbers.
    pub fn lineage(&self) -> Option<u64> {
        u64::from_str_radix(&self.lineage, 16).ok()
    }
}

/// The name of a shard's data file.
pub(super) fn data_file_name(shard: u16) -> String {
    format!("shard-{shard:03}.data")
}
