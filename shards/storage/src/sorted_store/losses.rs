//! What a store has lost of its own, until somebody else has noted it.
//!
//! Written before the files that lack it take their place, in the format of a shard's wounds; removed when the shard has
//! made them its own.

use super::lsm_store::{replace, unix_seconds};
use crate::record::Lsn;
use crate::wounds::{Wound, WoundCause, Wounds};
use std::fs::{self, File};
use std::io;
use std::path::Path;

const FILE: &str = "losses";

/// What is noted. A list that is itself damaged says that anything may be lost.
pub(super) fn read(path: &Path) -> io::Result<Wounds> {
    let file = match fs::read(path.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Wounds::default()),
        read => read?,
    };
    Ok(Wounds::decode(&file).unwrap_or_else(|what| {
        let mut anything = Wounds::default();
        anything.add(Wound {
            from: 0,
            to: u128::MAX,
            upto: Lsn(u64::MAX),
            keys: None,
            cause: WoundCause::StoreRot,
            what: format!("the list of what the store has lost is damaged: {what}"),
            found_at_unix: unix_seconds(),
        });
        anything
    }))
}

/// Notes these beside what is noted already, durably.
pub(super) fn note(path: &Path, lost: Vec<Wound>) -> io::Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let mut all = read(path)?;
    for wound in lost {
        let (from, to) = (format!("{:032x}", wound.from), format!("{:032x}", wound.to));
        tracing::error!(store = %path.display(), from, to, upto = wound.upto.0, what = wound.what, "objects are lost");
        all.add(wound);
    }
    replace(path, FILE, &all.encode(1))
}

/// They are noted elsewhere.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| File::open(path)?.sync_all()),
    }
}
