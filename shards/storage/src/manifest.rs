//! What is checkpointed: one page that says from where the log still matters.
//!
//! Replaced as a whole: the new one is written and synced beside it, takes its name, and the directory is synced. Who reads
//! it sees the old one or the new one.

use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::limits::PAGE_BYTES;
use crate::record::Lsn;

const PATH: &str = "manifest";
const PATH_NEW: &str = "manifest.new";
const MAGIC: [u8; 8] = *b"RONDOMAN";
const VERSION: u16 = 2;
const ENGINE_BYTES_MAX: usize = 32;
/// Bytes that mean something; the rest of the page is zero.
const MANIFEST_BYTES: usize = 96;
const REMEDY: &str = "Restore the shard's directory from a backup, or remove it and let the replicas fill it again";

/// What a shard's directory says about itself: replaced atomically at each checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The shard.
    pub shard: u16,
    /// Name of the sorted store's engine, at most 32 bytes.
    pub engine: String,
    /// The sorted store durably holds all records up to this one.
    pub upto: Lsn,
    /// The largest clock bound up to there.
    pub hlc_bound: u64,
    /// First record of the oldest segment that must be there; `Lsn(0)` if none must.
    pub first_segment: Lsn,
    /// Which generation of the sorted store counts: see [`crate::store_dir`].
    pub store: u32,
    /// Drawn when the shard's directory was made: record numbers of one lineage can be compared, others cannot.
    pub lineage: u64,
}

impl Manifest {
    /// Reads the manifest; `None` if there is none.
    pub async fn read<D: Disk>(disk: &D) -> Result<Option<Manifest>, StorageError> {
        if !disk.exists(PATH).await.map_err(StorageError::io("look for", PATH))? {
            return Ok(None);
        }
        let file = disk.open(PATH).await.map_err(StorageError::io("open", PATH))?;
        let page = file.read_at(0, PAGE_BYTES).await.map_err(StorageError::io("read", PATH))?;
        file.close().await.map_err(StorageError::io("close", PATH))?;
        Manifest::decode(&page).map(Some)
    }

    /// Replaces the manifest durably. After an error the old one or the new one is in force.
    pub async fn write<D: Disk>(&self, disk: &D) -> Result<(), StorageError> {
        // One may have been left behind half written.
        if disk.exists(PATH_NEW).await.map_err(StorageError::io("look for", PATH_NEW))? {
            disk.remove(PATH_NEW).await.map_err(StorageError::io("remove", PATH_NEW))?;
        }
        let mut page = disk.buffer(PAGE_BYTES);
        self.encode(&mut page);
        let file = disk.create(PATH_NEW).await.map_err(StorageError::io("create", PATH_NEW))?;
        file.write_at(page, 0).await.map_err(StorageError::io("write", PATH_NEW))?;
        file.sync_data().await.map_err(StorageError::io("sync", PATH_NEW))?;
        file.close().await.map_err(StorageError::io("close", PATH_NEW))?;
        disk.rename(PATH_NEW, PATH).await.map_err(StorageError::io("replace", PATH))?;
        disk.sync_dir("").await.map_err(StorageError::io("sync the directory of", PATH))
    }

    fn encode(&self, page: &mut [u8]) {
        assert!(self.engine.len() <= ENGINE_BYTES_MAX, "an engine called {}", self.engine);
        page.fill(0);
        page[0..8].copy_from_slice(&MAGIC);
        page[8..10].copy_from_slice(&VERSION.to_le_bytes());
        page[10..12].copy_from_slice(&self.shard.to_le_bytes());
        page[12..16].copy_from_slice(&(self.engine.len() as u32).to_le_bytes());
        page[16..24].copy_from_slice(&self.upto.0.to_le_bytes());
        page[24..32].copy_from_slice(&self.hlc_bound.to_le_bytes());
        page[32..40].copy_from_slice(&self.first_segment.0.to_le_bytes());
        page[40..40 + self.engine.len()].copy_from_slice(self.engine.as_bytes());
        page[72..76].copy_from_slice(&self.store.to_le_bytes());
        page[80..88].copy_from_slice(&self.lineage.to_le_bytes());
        let crc = crc32c::crc32c(&page[..MANIFEST_BYTES - 4]);
        page[MANIFEST_BYTES - 4..MANIFEST_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    fn decode(page: &[u8]) -> Result<Manifest, StorageError> {
        let damaged = |what: String| StorageError::Damaged { path: PATH.to_owned(), offset: 0, what, remedy: REMEDY };
        let Some(bytes) = page.get(..MANIFEST_BYTES) else {
            return Err(damaged(format!("{} bytes, expected at least {MANIFEST_BYTES}", page.len())));
        };
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"));
        let (found, expected) = (crc32c::crc32c(&bytes[..MANIFEST_BYTES - 4]), u32_at(MANIFEST_BYTES - 4));
        if bytes[0..8] != MAGIC || found != expected {
            return Err(damaged(format!("checksum {found:08x}, expected {expected:08x}")));
        }
        let version = u16_at(8);
        if version != VERSION {
            let what =
                format!("format version {version}, this program knows {VERSION}; start the version that wrote it");
            return Err(StorageError::Foreign { path: PATH.to_owned(), what });
        }
        let engine = bytes[40..40 + ENGINE_BYTES_MAX].get(..u32_at(12) as usize).unwrap_or_default();
        Ok(Manifest {
            shard: u16_at(10),
            engine: String::from_utf8_lossy(engine).into_owned(),
            upto: Lsn(u64_at(16)),
            hlc_bound: u64_at(24),
            first_segment: Lsn(u64_at(32)),
            store: u32_at(72),
            lineage: u64_at(80),
        })
    }
}
