//! Room kept for a full disk: a file as long as it may be needed, which becomes a segment by taking its name.

use super::{RESERVE_PATH, WAL_DIR};
use crate::disk::{Disk, DiskFile};
use crate::error::StorageError;

/// Sets `bytes` aside, in place of whatever is there. After an error there is no reserve (or a shorter one, which the next start removes).
pub(crate) async fn make_reserve<D: Disk>(disk: &D, bytes: u64) -> Result<(), StorageError> {
    let outcome = make(disk, bytes).await;
    if outcome.is_err() {
        // As good as it goes: what is left of it only takes room.
        let _ = disk.remove(RESERVE_PATH).await;
    }
    outcome
}

async fn make<D: Disk>(disk: &D, bytes: u64) -> Result<(), StorageError> {
    let file = create_anew(disk, RESERVE_PATH).await?;
    let outcome = async {
        file.preallocate(bytes).await.map_err(StorageError::io("set room aside for", RESERVE_PATH))?;
        file.sync_data().await.map_err(StorageError::io("sync", RESERVE_PATH))
    };
    let outcome = outcome.await;
    // Nothing was written that closing could lose.
    let _ = file.close().await;
    outcome?;
    disk.sync_dir(WAL_DIR).await.map_err(StorageError::io("sync the directory of", RESERVE_PATH))
}

/// Creates a file in place of one that an earlier try has left behind.
pub(crate) async fn create_anew<D: Disk>(disk: &D, path: &str) -> Result<D::File, StorageError> {
    match disk.create(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            disk.remove(path).await.map_err(StorageError::io("remove", path))?;
            disk.create(path).await.map_err(StorageError::io("create", path))
        }
        outcome => outcome.map_err(StorageError::io("create", path)),
    }
}
