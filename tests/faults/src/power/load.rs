//! Clients that write while the power goes.
//!
//! Each thread has keys of its own and one request under way, so that of each key at most one version is uncertain. A write
//! carries the context of the last answer: it replaces what was acknowledged, whatever the clocks of the nodes say. A key
//! whose last write has no answer is left alone until somebody has looked what it holds.

use super::record::Record;
use crate::content::{Sizes, Version, name};
use crate::random::Dice;
use core::time::Duration;
use rondo_client::blocking::Client;
use rondo_client::{Context, Level, Options};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Writers at a time.
pub const WRITERS: u32 = 8;
/// Keys of a writer.
pub const KEYS_PER_WRITER: u32 = 40;
/// How long a write may take.
const WRITE_WITHIN: Duration = Duration::from_secs(3);

/// What is known of the keys between two loads.
#[derive(Debug, Default)]
pub struct Known {
    /// What was sent and acknowledged.
    pub record: Record,
    /// What the next writer of a key has seen; no entry means that it is uncertain.
    pub contexts: BTreeMap<u32, Context>,
    /// The last version's number.
    pub last_version: u64,
}

impl Known {
    /// Of keys that nobody has written.
    pub fn fresh() -> Known {
        let contexts = (0..WRITERS * KEYS_PER_WRITER).map(|key| (key, Context::default())).collect();
        Known { record: Record::default(), contexts, last_version: 0 }
    }
}

/// The writers at work.
#[derive(Debug)]
pub struct Load {
    is_cut: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Known>>,
    known: Known,
}

impl Load {
    /// Begins to write.
    pub fn start(client: &Client, known: Known, seed: u64) -> Load {
        let is_cut = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| {
            let keys = writer * KEYS_PER_WRITER..(writer + 1) * KEYS_PER_WRITER;
            let mut work = Writer {
                client: client.clone(),
                is_cut: Arc::clone(&is_cut),
                dice: Dice::new(seed, known.last_version + u64::from(writer)),
                known: Known {
                    record: Record::default(),
                    contexts: known.contexts.range(keys).map(|(&key, context)| (key, context.clone())).collect(),
                    // Each writer has numbers of its own.
                    last_version: known.last_version + u64::from(writer),
                },
            };
            work.known.record = known.record.part(|key| key / KEYS_PER_WRITER == writer);
            std::thread::spawn(move || work.run())
        });
        let writers = writers.collect();
        Load { is_cut, writers, known }
    }

    /// The power is about to go: what is acknowledged from here on does not count (see [`super::shard_rounds`]).
    pub fn stop_counting(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// Waits for the writers and puts together what they know.
    ///
    /// # Errors
    /// A writer panicked.
    pub fn finish(self) -> Result<Known, String> {
        self.stop_counting();
        let mut all = self.known;
        all.contexts.clear();
        for writer in self.writers {
            let known = writer.join().map_err(|_| "a writer panicked".to_owned())?;
            all.last_version = all.last_version.max(known.last_version);
            all.contexts.extend(known.contexts);
            all.record.extend(known.record);
        }
        Ok(all)
    }
}

struct Writer {
    client: Client,
    is_cut: Arc<AtomicBool>,
    dice: Dice,
    known: Known,
}

impl Writer {
    fn run(mut self) -> Known {
        while !self.is_cut.load(Ordering::SeqCst) && !self.known.contexts.is_empty() {
            let keys: Vec<u32> = self.known.contexts.keys().copied().collect();
            let key = *self.dice.pick(&keys);
            self.write(key);
        }
        self.known
    }

    fn write(&mut self, key: u32) {
        self.known.last_version += u64::from(WRITERS);
        let version = Version { key, number: self.known.last_version };
        let context = self.known.contexts.remove(&key).unwrap_or_default();
        let options = Options::new().level(Level::Quorum).timeout(WRITE_WITHIN).context(context);
        self.known.record.sent(version);
        let outcome = if version.is_deletion() {
            self.client.delete(name(key), &options)
        } else {
            self.client.put(name(key), version.object(Sizes::FULL), &options)
        };
        if let Ok(written) = outcome
            && !self.is_cut.load(Ordering::SeqCst)
        {
            self.known.record.acknowledged(version);
            self.known.contexts.insert(key, written.context);
        }
    }
}
