//! The process whose power is cut: one shard under load, that says what it does, line by line.
//!
//! ```text
//! phase opening|load|checkpoint|stopping    what it is doing from here on
//! sent KEY VERSION                          before the commit
//! acked KEY VERSION                         after the commit
//! found KEY VERSION | absent KEY | unreadable KEY | wrong KEY BYTES     what a look at all keys found
//! ```
//! It has no record of its own: whoever reads the lines has it.

use crate::content::{Version, routed, token};
use crate::random::Dice;
use crate::shard::{DrivenShard, Found, Settings};
use rondo_storage::{Lsn, SortedEntry, StoreConfig, open_store};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Versions that one commit takes at most.
const BATCH_VERSIONS_MAX: u64 = 12;
/// The cache of a store that stands alone.
pub(super) const STORE_CACHE_BYTES: u64 = 8 << 20;

/// What a load writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Draws the keys.
    pub seed: u64,
    /// Keys, numbered from 0.
    pub keys: u32,
    /// Number of the first version.
    pub first_version: u64,
}

fn say(line: core::fmt::Arguments<'_>) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    // A reader who has gone away wants nothing more.
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

/// Opens the shard and writes until its input closes; then stops cleanly.
///
/// # Errors
/// The shard's own.
pub fn run(path: &Path, settings: Settings, load: Load) -> Result<(), String> {
    say(format_args!("phase opening"))?;
    let mut shard = DrivenShard::open(path, settings)?;
    say(format_args!("phase load"))?;
    let must_stop = stop_when_input_ends();
    let mut dice = Dice::new(load.seed, load.first_version);
    let (mut number, mut was_checkpointing) = (load.first_version, false);
    while !must_stop.load(Ordering::Relaxed) {
        let batch: Vec<Version> = (0..dice.between(1, BATCH_VERSIONS_MAX))
            .map(|index| Version { key: dice.below(load.keys.into()) as u32, number: number + index })
            .collect();
        number += batch.len() as u64;
        write(&mut shard, &batch)?;
        shard.turn()?;
        if shard.is_checkpointing() != was_checkpointing {
            was_checkpointing = !was_checkpointing;
            say(format_args!("phase {}", if was_checkpointing { "checkpoint" } else { "load" }))?;
        }
    }
    say(format_args!("phase stopping"))?;
    shard.close()
}

fn write(shard: &mut DrivenShard, batch: &[Version]) -> Result<(), String> {
    for &version in batch {
        say(format_args!("sent {} {}", version.key, version.number))?;
        shard.append(version);
    }
    shard.commit()?;
    batch.iter().try_for_each(|version| say(format_args!("acked {} {}", version.key, version.number)))
}

/// Fills a sorted store, without any log beside it, makes it durable, says `flushed`, and waits for its end.
///
/// # Errors
/// The store's own.
pub fn fill(path: &Path, settings: Settings, keys: u32) -> Result<(), String> {
    let config = StoreConfig { engine: settings.engine, cache_bytes: STORE_CACHE_BYTES };
    let mut store = open_store(path, 1, &config).map_err(|error| error.to_string())?;
    for key in 0..keys {
        let version = Version { key, number: 1 + u64::from(key) };
        let (routed, object) = (routed(key), version.object(settings.sizes));
        let entry = SortedEntry { token: token(key), routed: &routed, object: &object, lsn: Lsn(version.number) };
        store.apply(&[entry]).map_err(|error| error.to_string())?;
    }
    store.flush_durable(Lsn(keys.into())).map_err(|error| error.to_string())?;
    say(format_args!("flushed"))?;
    let mut line = String::new();
    // Whoever had it started ends it, or goes away.
    let _ = std::io::stdin().lock().read_line(&mut line);
    std::process::exit(0)
}

fn stop_when_input_ends() -> Arc<AtomicBool> {
    let must_stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&must_stop);
    std::thread::spawn(move || {
        let mut line = String::new();
        while std::io::stdin().lock().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {}
        told.store(true, Ordering::Relaxed);
    });
    must_stop
}

/// Opens the shard, tells what it finds under each of `keys` keys, and ends without a clean stop.
///
/// # Errors
/// The shard's own.
pub fn look(path: &Path, settings: Settings, keys: u32) -> Result<(), String> {
    let mut shard = DrivenShard::open(path, settings)?;
    if shard.report().has_lost() {
        eprintln!("{:?}", shard.report());
    }
    for key in 0..keys {
        match shard.get(key)? {
            Found::Version(version) => say(format_args!("found {key} {}", version.number))?,
            Found::Absent => say(format_args!("absent {key}"))?,
            Found::Unreadable => say(format_args!("unreadable {key}"))?,
            Found::Wrong(bytes) => say(format_args!("wrong {key} {}", bytes.len()))?,
        }
    }
    say(format_args!("done"))?;
    shard.abandon()
}
