//! Opening a shard's sorted store again after its disk has failed it.

use crate::companion::{ReopenStore, ReopenedStore};
use crate::limits::REOPEN_FREE_BYTES;
use crate::record::Lsn;
use crate::sorted_store::{FailureKind, SortedStoreError, StoreConfig, forget_cached, open_store};
use std::path::{Path, PathBuf};

/// Opens the store in a shard's directory. What is damaged is not opened: only the next start judges what can be saved, with
/// the manifest and the log at hand; until then the old handle answers what it can.
#[derive(Clone, Debug)]
pub struct ShardReopener {
    path: PathBuf,
    config: StoreConfig,
}

impl ShardReopener {
    /// Of the shard in `path`.
    pub fn new(path: &Path, config: StoreConfig) -> ShardReopener {
        ShardReopener { path: path.to_owned(), config }
    }

    /// Room on the file system, in bytes; plenty if the system does not say.
    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.path).map_or(u64::MAX, |said| said.f_bavail.saturating_mul(said.f_frsize))
    }

    /// Is the file system writable? A store that is opened on one that is not panics or gives up half way.
    fn is_writable(&self) -> bool {
        let said = rustix::fs::statvfs(&self.path);
        said.map_or(true, |said| !said.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }
}

impl ReopenStore for ShardReopener {
    fn is_time(&mut self, kind: FailureKind) -> bool {
        match kind {
            FailureKind::NoSpace | FailureKind::Io => self.is_writable() && self.free_bytes() >= REOPEN_FREE_BYTES,
            FailureKind::Damaged => false,
        }
    }

    fn reopen(&mut self, _: FailureKind, generation: u32, _: Lsn) -> Result<ReopenedStore, SortedStoreError> {
        // The failure may have been a sync: what is opened must be what the disk has.
        forget_cached(&self.path, generation, self.config.engine);
        let store = open_store(&self.path, generation, &self.config)?;
        Ok(ReopenedStore { store, generation, wounds: Vec::new() })
    }
}
