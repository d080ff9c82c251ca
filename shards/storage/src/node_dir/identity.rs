//! The bytes of the identity file. `docs/spec/disk.md` has the table.

use super::Identity;
use crate::bytes_at::{u16_at, u32_at, u64_at, u128_at};
use crate::sorted_store::Engine;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

const MAGIC: [u8; 8] = *b"RONDONOD";
/// The version of the whole data directory.
pub(crate) const FORMAT_VERSION: u16 = 3;
/// Bytes before the name.
const HEAD_BYTES: usize = 72;
/// Longest node name, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// The ring has at most 2^16 virtual nodes.
const VNODE_BITS_MAX: u8 = 16;
const FLAG_CLEAN: u8 = 1;

/// What tells a file from a copy of it. A file keeps it when it is renamed, and no copy has the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Birthmark {
    device: u64,
    inode: u64,
    /// Nanoseconds since 1970, as far as they fit; 0 where the file system does not say.
    born: u64,
}

impl Birthmark {
    pub(crate) fn of(metadata: &Metadata) -> Birthmark {
        let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let born = born.map_or(0, |since| since.as_nanos() as u64);
        Birthmark { device: metadata.dev(), inode: metadata.ino(), born }
    }
}

/// One copy of the identity, as it stands in its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) identity: Identity,
    /// Grows with each writing: of two good copies the one with the larger number counts.
    pub(crate) sequence: u64,
    /// Of the file that it was written into.
    pub(crate) birthmark: Birthmark,
}

/// Why some bytes are no identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Not as it was written. `claims`: the version that it would have.
    Damaged { what: String, claims: Option<u16> },
    /// Whole, but of another version.
    Version(u16),
}

pub(crate) fn encode(written: &Written) -> Vec<u8> {
    let Written { identity, sequence, birthmark } = written;
    assert!(identity.node_name.len() <= NAME_BYTES_MAX, "the name was checked when the directory was opened");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + identity.node_name.len() + 4);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&identity.shards.to_le_bytes());
    bytes.extend_from_slice(&identity.incarnation.to_le_bytes());
    bytes.extend_from_slice(&identity.cluster_id.to_le_bytes());
    bytes.push(if identity.is_clean { FLAG_CLEAN } else { 0 });
    bytes.push(identity.node_name.len() as u8);
    bytes.push(engine_number(identity.engine));
    bytes.push(identity.vnode_bits);
    bytes.extend_from_slice(&identity.layout.to_le_bytes());
    for number in [*sequence, birthmark.device, birthmark.inode, birthmark.born] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(identity.node_name.as_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Written, Fault> {
    if bytes.len() < 16 || bytes[..8] != MAGIC {
        let what = format!("{} bytes that do not begin with RONDONOD", bytes.len());
        return Err(Fault::Damaged { what, claims: None });
    }
    let (body, crc) = bytes.split_at(bytes.len() - 4);
    let u16_at = |at: usize| u16_at(body, at);
    let version = u16_at(8);
    let damaged = |what: String| Fault::Damaged { what, claims: Some(version) };
    let (found, expected) = (crc32c::crc32c(body), u32::from_le_bytes(crc.try_into().expect("four bytes")));
    if found != expected {
        return Err(damaged(format!("checksum {found:08x}, expected {expected:08x}")));
    }
    if version != FORMAT_VERSION {
        return Err(Fault::Version(version));
    }
    if body.len() < HEAD_BYTES {
        return Err(damaged(format!("{} bytes, expected at least {HEAD_BYTES}", body.len())));
    }
    let (name, name_bytes) = (&body[HEAD_BYTES..], usize::from(body[33]));
    if name.len() != name_bytes {
        return Err(damaged(format!("a name of {} bytes, expected {name_bytes}", name.len())));
    }
    let node_name = String::from_utf8(name.to_vec()).map_err(|_| damaged("a name that is no UTF-8".to_owned()))?;
    if u16_at(10) == 0 || !(1..=VNODE_BITS_MAX).contains(&body[35]) {
        return Err(damaged(format!("{} shards and {} bits of virtual nodes", u16_at(10), body[35])));
    }
    let engine = Engine::ALL.into_iter().find(|&engine| engine_number(engine) == body[34]);
    let engine = engine.ok_or_else(|| damaged(format!("an engine with the number {}", body[34])))?;
    let u32_at = |at: usize| u32_at(body, at);
    let u64_at = |at: usize| u64_at(body, at);
    Ok(Written {
        identity: Identity {
            cluster_id: u128_at(body, 16),
            node_name,
            incarnation: u32_at(12),
            is_clean: body[32] & FLAG_CLEAN != 0,
            shards: u16_at(10),
            engine,
            vnode_bits: body[35],
            layout: u32_at(36),
        },
        sequence: u64_at(40),
        birthmark: Birthmark { device: u64_at(48), inode: u64_at(56), born: u64_at(64) },
    })
}

/// The number of an engine on disk.
fn engine_number(engine: Engine) -> u8 {
    match engine {
        Engine::Sled => 1,
        Engine::Lsm => 2,
    }
}
