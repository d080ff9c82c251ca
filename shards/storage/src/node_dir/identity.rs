//! The bytes of the identity file. `docs/spec/disk.md` has the table.

use super::{Identity, NodeDirError};

const MAGIC: [u8; 8] = *b"RONDONOD";
/// The version of the whole data directory.
pub(super) const FORMAT_VERSION: u16 = 2;
/// Bytes before the name.
const HEAD_BYTES: usize = 40;
/// Longest node name, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 255;
const FLAG_CLEAN: u8 = 1;

/// `magic | u16 version | u16 shards | u32 incarnation | u128 cluster | u8 flags | u8 name length | u16 zero | u32 layout | name | u32 crc`.
pub(super) fn encode(identity: &Identity) -> Vec<u8> {
    assert!(identity.node_name.len() <= NAME_BYTES_MAX, "the name was checked when the directory was opened");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + identity.node_name.len() + 4);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&identity.shards.to_le_bytes());
    bytes.extend_from_slice(&identity.incarnation.to_le_bytes());
    bytes.extend_from_slice(&identity.cluster_id.to_le_bytes());
    bytes.push(if identity.is_clean { FLAG_CLEAN } else { 0 });
    bytes.push(identity.node_name.len() as u8);
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&identity.layout.to_le_bytes());
    bytes.extend_from_slice(identity.node_name.as_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads an identity; the error says what is wrong, without the path.
pub(super) fn decode(bytes: &[u8]) -> Result<Identity, NodeDirError> {
    let damaged = |what: String| NodeDirError::Damaged { what };
    if bytes.len() < HEAD_BYTES + 4 || bytes[..8] != MAGIC {
        return Err(damaged(format!("{} bytes that do not begin with RONDONOD", bytes.len())));
    }
    let (body, crc) = bytes.split_at(bytes.len() - 4);
    let (found, expected) = (crc32c::crc32c(body), u32::from_le_bytes(crc.try_into().expect("four bytes")));
    if found != expected {
        return Err(damaged(format!("checksum {found:08x}, expected {expected:08x}")));
    }
    let u16_at = |at: usize| u16::from_le_bytes(body[at..at + 2].try_into().expect("two bytes"));
    let version = u16_at(8);
    if version != FORMAT_VERSION {
        return Err(NodeDirError::NewerFormat { found: version, known: FORMAT_VERSION });
    }
    let name = &body[HEAD_BYTES..];
    if name.len() != body[33] as usize {
        return Err(damaged(format!("a name of {} bytes, expected {}", name.len(), body[33])));
    }
    Ok(Identity {
        cluster_id: u128::from_le_bytes(body[16..32].try_into().expect("sixteen bytes")),
        node_name: String::from_utf8_lossy(name).into_owned(),
        incarnation: u32::from_le_bytes(body[12..16].try_into().expect("four bytes")),
        is_clean: body[32] & FLAG_CLEAN != 0,
        shards: u16_at(10),
        layout: u32::from_le_bytes(body[36..40].try_into().expect("four bytes")),
    })
}
