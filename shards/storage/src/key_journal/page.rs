//! One page of a key journal: the layout of `docs/spec/disk.md`, and nothing else knows it.

use crate::limits::PAGE_BYTES;
use crate::record::Lsn;

const MAGIC: [u8; 8] = *b"RONDOKEY";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 48;
const TOKEN_BYTES: usize = 16;
/// Tokens of one page.
pub(crate) const PAGE_TOKENS: usize = (PAGE_BYTES - HEADER_BYTES) / TOKEN_BYTES;

const _: () = assert!(HEADER_BYTES + PAGE_TOKENS * TOKEN_BYTES == PAGE_BYTES);

/// The keys of a page, and which page of which journal it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct KeyPage {
    /// Of the journal: drawn when it was made.
    pub(crate) id: u64,
    /// Counted from 0.
    pub(crate) number: u64,
    /// The largest of the records that brought these keys.
    pub(crate) lsn_max: Lsn,
    /// At most [`PAGE_TOKENS`].
    pub(crate) tokens: Vec<u128>,
}

impl KeyPage {
    pub(crate) fn encode(&self) -> [u8; PAGE_BYTES] {
        assert!(self.tokens.len() <= PAGE_TOKENS, "{} tokens on a page", self.tokens.len());
        let mut page = [0; PAGE_BYTES];
        page[0..8].copy_from_slice(&MAGIC);
        page[8..10].copy_from_slice(&VERSION.to_le_bytes());
        page[10..12].copy_from_slice(&(self.tokens.len() as u16).to_le_bytes());
        page[16..24].copy_from_slice(&self.id.to_le_bytes());
        page[24..32].copy_from_slice(&self.number.to_le_bytes());
        page[32..40].copy_from_slice(&self.lsn_max.0.to_le_bytes());
        for (place, token) in page[HEADER_BYTES..].chunks_exact_mut(TOKEN_BYTES).zip(&self.tokens) {
            place.copy_from_slice(&token.to_be_bytes());
        }
        let crc = crc(&page);
        page[12..16].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// Opens and checks a page; what is wrong with it otherwise.
    pub(crate) fn decode(page: &[u8; PAGE_BYTES]) -> Result<KeyPage, String> {
        let u64_at = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().expect("eight bytes"));
        let u16_at = |at: usize| u16::from_le_bytes(page[at..at + 2].try_into().expect("two bytes"));
        let expected = u32::from_le_bytes(page[12..16].try_into().expect("four bytes"));
        let found = crc(page);
        if page[0..8] != MAGIC || found != expected {
            return Err(format!("checksum {found:08x}, expected {expected:08x}"));
        }
        if u16_at(8) != VERSION {
            return Err(format!("format version {}, this program knows {VERSION}", u16_at(8)));
        }
        let count = usize::from(u16_at(10));
        if PAGE_TOKENS < count {
            return Err(format!("{count} keys on a page, at most {PAGE_TOKENS} have room"));
        }
        let tokens = page[HEADER_BYTES..].chunks_exact(TOKEN_BYTES).take(count);
        let tokens = tokens.map(|token| u128::from_be_bytes(token.try_into().expect("sixteen bytes"))).collect();
        Ok(KeyPage { id: u64_at(16), number: u64_at(24), lsn_max: Lsn(u64_at(32)), tokens })
    }
}

/// Of everything but itself.
fn crc(page: &[u8; PAGE_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&page[..12]), &page[16..])
}
