//! The files that sled can do without: its settings, which the program knows, and the snapshots of its page table, which it
//! makes anew from its file `db`.
//!
//! A bit flipped in one of them keeps sled from opening, and with it every object. They are moved out of its directory,
//! because it looks at every name there that begins like a snapshot.

use super::sled_store::sync_dir;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Sets the settings and the snapshots of the store at `path` aside, beside it, and says how many files that were. Call it
/// when sled is not open there. Whether the store then has what it had, its note tells.
pub(super) fn set_aside(path: &Path) -> io::Result<usize> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (Some(parent), Some(store)) = (path.parent(), path.file_name()) else { return Ok(0) };
    let mut moved = 0;
    for file in fs::read_dir(path)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name != "conf" && !name.starts_with("snap.") {
            continue;
        }
        let aside = format!("{}-{name}.damaged-{seconds}-unusable", store.to_string_lossy());
        tracing::error!(store = %path.display(), %name, aside, "sled does not open; once more without this file");
        fs::rename(file.path(), parent.join(aside))?;
        moved += 1;
    }
    if moved > 0 {
        sync_dir(path)?;
        sync_dir(parent)?;
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::super::{PageLimits, SledConfig, SledStore, SortedEntry, SortedStore};
    use crate::record::Lsn;
    use bytes::Bytes;
    use std::fs;

    #[test]
    fn a_flipped_bit_in_the_settings_or_a_snapshot_costs_nothing() {
        for spoiled in ["conf", "snap."] {
            let dir = tempfile::tempdir().expect("a directory");
            let config = SledConfig { path: dir.path().join("sled-0001"), cache_bytes: 1 << 20 };
            let object = Bytes::from_static(b"kept");
            for _ in 0..2 {
                let mut store = SledStore::open(&config).expect("opens");
                store.apply(&[SortedEntry { token: 7, routed: b"k", object: &object, lsn: Lsn(3) }]).expect("applied");
                store.flush_durable(Lsn(3)).expect("flushed");
            }
            let files = fs::read_dir(&config.path).expect("listed").map(|file| file.expect("listed").path());
            let file = files
                .into_iter()
                .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(spoiled)));
            let file = file.expect("sled has written one");
            let mut bytes = fs::read(&file).expect("read");
            bytes[3] ^= 4;
            fs::write(&file, bytes).expect("written");
            let store = SledStore::open(&config).expect("opens without it");
            assert_eq!(store.durable_upto().expect("noted"), Lsn(3));
            let limits = PageLimits { entries_max: 10, bytes_max: 1 << 20 };
            let page = store.scan(&[], u128::MAX, limits).expect("scanned");
            assert_eq!(page.entries.iter().map(|entry| entry.object.clone()).collect::<Vec<_>>(), [object]);
            let beside = fs::read_dir(dir.path()).expect("listed").map(|file| file.expect("listed").file_name());
            let aside = beside.filter(|name| name.to_string_lossy().contains(".damaged-")).count();
            assert!(aside > 0, "nothing was set aside for {spoiled}");
        }
    }
}
