//! What is checkpointed: one page, kept twice, that says from where the log still matters, and how far it went at least.
//!
//! Replaced as a whole (by `twin`): who reads it sees the old one or the new one. Segments of the log are removed only
//! when both files have the new one.

use crate::bytes_at::{u16_at, u32_at, u64_at};
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;
use crate::limits::PAGE_BYTES;
use crate::planted::{Planted, is_planted};
use crate::record::Lsn;
use crate::twin::{Choice, CopyFault, Twin};

/// The main one of the manifest's two files, in a shard's directory.
pub const MANIFEST_PATH: &str = "manifest";
const TWIN: Twin = Twin { main: MANIFEST_PATH, copy: "manifest.copy" };
const MAGIC: [u8; 8] = *b"RONDOMAN";
const VERSION: u16 = 3;
const ENGINE_BYTES_MAX: usize = 32;
/// Bytes that mean something; the rest of the page is zero.
const MANIFEST_BYTES: usize = 112;
const FLAG_SEALED: u32 = 1;
const FLAG_WOUNDED: u32 = 2;
const REMEDY: &str = "Start the node: it rebuilds what can be rebuilt and says what is lost; or restore a backup";

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
    /// Drawn when the shard's directory was made, and again when records were lost: record numbers of one lineage can be
    /// compared, others cannot.
    pub lineage: u64,
    /// Rises with each [`Manifest::write`].
    pub sequence: u64,
    /// The log was durable up to this record at least; if it ends before, it has lost its end.
    pub end: Lsn,
    /// The shard was left cleanly: `end` is its last record, until a segment behind it says otherwise.
    pub is_sealed: bool,
    /// There must be a file of wounds.
    pub is_wounded: bool,
}

impl Manifest {
    /// The manifest of a shard with nothing in its log, and all records up to `upto` in the first generation of its store.
    pub fn new(shard: u16, engine: &str, lineage: u64, upto: Lsn) -> Manifest {
        Manifest {
            shard,
            engine: engine.to_owned(),
            upto,
            hlc_bound: 0,
            first_segment: Lsn(0),
            store: 1,
            lineage,
            sequence: 0,
            end: upto,
            is_sealed: false,
            is_wounded: false,
        }
    }

    /// Is it the manifest of this shard, and for this engine? [`StorageError::Foreign`] says what it is instead.
    pub fn check_owner(&self, shard: u16, engine: &str) -> Result<(), StorageError> {
        let foreign = |what: String| Err(StorageError::Foreign { path: TWIN.main.to_owned(), what });
        if self.shard != shard {
            let found = self.shard;
            return foreign(format!("belongs to shard {found}, not to shard {shard}; was a directory moved?"));
        }
        if self.engine != engine {
            return foreign(format!("engine is {}, not {engine}; set engine = \"{0}\"", self.engine));
        }
        Ok(())
    }

    /// Reads the manifest; `None` if there is none.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if neither of its files is good, [`StorageError::Foreign`] if they are of another version.
    pub async fn read<D: Disk>(disk: &D) -> Result<Option<Manifest>, StorageError> {
        let choice = Manifest::read_copies(disk).await?;
        match choice.bad.first() {
            Some((path, what)) if choice.value.is_none() => {
                Err(StorageError::Damaged { path: (*path).to_owned(), offset: 0, what: what.clone(), remedy: REMEDY })
            }
            Some(_) | None => Ok(choice.value),
        }
    }

    /// Reads both files, and says what is wrong with them.
    pub(crate) async fn read_copies<D: Disk>(disk: &D) -> Result<Choice<Manifest>, StorageError> {
        let copies = TWIN.read(disk, decode).await?;
        TWIN.choose(copies, VERSION)
    }

    /// Replaces the manifest durably, both files. After an error the old one or the new one is in force.
    pub async fn write<D: Disk>(&mut self, disk: &D) -> Result<(), StorageError> {
        self.sequence += 1;
        if is_planted(Planted::TornManifestAccepted) {
            return self.write_in_place(disk).await;
        }
        TWIN.write(disk, &self.encode()).await
    }

    /// The planted bug: nothing is synced, and the old one is gone when the new one is half there.
    async fn write_in_place<D: Disk>(&self, disk: &D) -> Result<(), StorageError> {
        for path in [TWIN.main, TWIN.copy] {
            let file = match disk.open(path).await {
                Ok(file) => file,
                Err(_) => disk.create(path).await.map_err(StorageError::io("create", path))?,
            };
            let mut page = disk.buffer(PAGE_BYTES);
            page.fill(0);
            page[..MANIFEST_BYTES].copy_from_slice(&self.encode());
            file.write_at(page, 0).await.map_err(StorageError::io("write", path))?;
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> [u8; MANIFEST_BYTES] {
        assert!(self.engine.len() <= ENGINE_BYTES_MAX, "an engine called {}", self.engine);
        let mut bytes = [0; MANIFEST_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.shard.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.engine.len() as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.upto.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.hlc_bound.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_segment.0.to_le_bytes());
        bytes[40..40 + self.engine.len()].copy_from_slice(self.engine.as_bytes());
        bytes[72..76].copy_from_slice(&self.store.to_le_bytes());
        let flags = u32::from(self.is_sealed) * FLAG_SEALED + u32::from(self.is_wounded) * FLAG_WOUNDED;
        bytes[76..80].copy_from_slice(&flags.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.lineage.to_le_bytes());
        bytes[88..96].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[96..104].copy_from_slice(&self.end.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..MANIFEST_BYTES - 4]);
        bytes[MANIFEST_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

pub(crate) fn decode(page: &[u8]) -> Result<(u64, Manifest), CopyFault> {
    let Some(bytes) = page.get(..MANIFEST_BYTES) else {
        return Err(CopyFault::Bad(format!("{} bytes, expected at least {MANIFEST_BYTES}", page.len())));
    };
    let u64_at = |at: usize| u64_at(bytes, at);
    let u32_at = |at: usize| u32_at(bytes, at);
    let u16_at = |at: usize| u16_at(bytes, at);
    let is_checked = !is_planted(Planted::TornManifestAccepted);
    if bytes[0..8] != MAGIC && is_checked {
        return Err(CopyFault::Bad("it does not begin with RONDOMAN".to_owned()));
    }
    let version = u16_at(8);
    if version != VERSION && is_checked {
        return Err(CopyFault::Version(version));
    }
    let (found, expected) = (crc32c::crc32c(&bytes[..MANIFEST_BYTES - 4]), u32_at(MANIFEST_BYTES - 4));
    if found != expected && is_checked {
        return Err(CopyFault::Bad(format!("checksum {found:08x}, expected {expected:08x}")));
    }
    let engine = bytes[40..40 + ENGINE_BYTES_MAX].get(..u32_at(12) as usize);
    let engine = match engine.and_then(|name| core::str::from_utf8(name).ok()) {
        None if is_checked => return Err(CopyFault::Bad(format!("an engine's name of {} bytes", u32_at(12)))),
        name => name.unwrap_or_default(),
    };
    let manifest = Manifest {
        shard: u16_at(10),
        engine: engine.to_owned(),
        upto: Lsn(u64_at(16)),
        hlc_bound: u64_at(24),
        first_segment: Lsn(u64_at(32)),
        store: u32_at(72),
        lineage: u64_at(80),
        sequence: u64_at(88),
        end: Lsn(u64_at(96)),
        is_sealed: u32_at(76) & FLAG_SEALED != 0,
        is_wounded: u32_at(76) & FLAG_WOUNDED != 0,
    };
    Ok((manifest.sequence, manifest))
}
