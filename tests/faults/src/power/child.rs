//! The process whose power is cut: one shard under load, that says what it does, line by line.
//!
//! ```text
//! phase opening|load|checkpoint|stopping    what it is doing from here on
//! sent KEY VERSION                          before the commit
//! acked KEY VERSION                         after the commit
//! found KEY VERSION | absent KEY | unreadable KEY | wrong KEY BYTES     what a look at all keys found
//! ```
//! It has no record of its own: whoever reads the lines has it.

use crate::content::Version;
use crate::random::Dice;
use crate::shard::{DrivenShard, Found, Settings};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Versions that one commit takes at most.
const BATCH_VERSIONS_MAX: u64 = 12;

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
