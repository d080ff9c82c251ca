//! A node's directory with one shard, driven by hand: no network, no executor, one step after the other.
//!
//! The parts are the node's own: directory, log, memory, companion. Only what holds them together is this file instead
//! of `rondo-shards`.

use crate::content::{Sizes, Version, routed, token};
use bytes::Bytes;
use core::time::Duration;
use rondo_storage::node_dir::NodeDirOptions;
use rondo_storage::{
    ColdRead, Companion, CompanionAnswer, CompanionRequest, Delivery, Engine, LogRecord, Lookup, LossesNoted, Manifest,
    NodeDir, OpenOptions, RecoveryReport, ShardReopener, ShardStore, StdDisk, StoreConfig, StoreLimits, WalLimits,
    WalWriter, finish_checkpoint, open_shard, run_ready, seal_log,
};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Longest wait for the companion; a healthy one answers in milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The ring has 2^8 virtual nodes.
const VNODE_BITS: u8 = 8;

/// How to open it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Which sorted store.
    pub engine: Engine,
    /// At this size a checkpoint begins.
    pub memtable_bytes: usize,
    /// Size of a log segment.
    pub segment_bytes: u64,
    /// How large the objects are.
    pub sizes: Sizes,
}

/// What a read found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// This version of the key.
    Version(Version),
    /// Bytes that nobody ever wrote under this key.
    Wrong(Bytes),
    /// Nothing is stored.
    Absent,
    /// The shard says that it cannot tell.
    Unreadable,
}

/// The shard.
#[derive(Debug)]
pub struct DrivenShard {
    settings: Settings,
    directory: NodeDir,
    store: ShardStore,
    writer: WalWriter<StdDisk>,
    manifest: Manifest,
    companion: Companion,
    is_checkpointing: bool,
    /// The sorted store has failed and is being opened again.
    is_down: bool,
    report: RecoveryReport,
}

fn text(error: impl core::fmt::Display) -> String {
    error.to_string()
}

impl DrivenShard {
    /// Opens the directory as a starting node does.
    ///
    /// # Errors
    /// What the node would say.
    pub fn open(path: &Path, settings: Settings) -> Result<DrivenShard, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let options = NodeDirOptions {
            cluster_id: 0xFA017,
            node_name: "faults".to_owned(),
            engine: settings.engine,
            vnode_bits: VNODE_BITS,
            shards: 1,
            unix_seconds: since.as_secs(),
        };
        let mut directory = NodeDir::open(path, &options).map_err(text)?;
        let wal = WalLimits { segment_bytes: settings.segment_bytes, reserve_bytes: settings.segment_bytes };
        let options = OpenOptions {
            shard: 0,
            salt: since.as_nanos() as u64,
            vnode_bits: VNODE_BITS,
            unix_seconds: since.as_secs(),
            limits: StoreLimits {
                memtable_bytes_max: settings.memtable_bytes,
                // What a read finds must come from the disk, so almost nothing is cached.
                cache_bytes_max: 16 << 10,
                ..StoreLimits::default()
            },
            wal,
            store: StoreConfig { engine: settings.engine, cache_bytes: 1 << 20 },
        };
        let shard_path = directory.shard_path(0);
        let opened = open_shard(&shard_path, &options).map_err(text)?;
        let recovered = opened.recovered;
        if recovered.report.has_lost() {
            directory.renew_incarnation(since.as_secs()).map_err(text)?;
        }
        let disk = StdDisk::open(&*shard_path).map_err(text)?;
        let writer = WalWriter::resume(disk, recovered.position, wal);
        let reopener = Box::new(ShardReopener::new(&shard_path, options.store, VNODE_BITS));
        let companion = Companion::spawn("companion".to_owned(), opened.sorted, opened.generation, None, reopener);
        Ok(DrivenShard {
            settings,
            directory,
            store: recovered.store,
            writer,
            manifest: recovered.manifest,
            companion: companion.map_err(text)?,
            is_checkpointing: false,
            is_down: false,
            report: recovered.report,
        })
    }

    /// What recovery found.
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Puts a version into the memtable and queues it for the log.
    pub fn append(&mut self, version: Version) {
        let (lsn, routed) = (self.store.last_lsn().next(), routed(version.key));
        let object = version.object(self.settings.sizes);
        self.store.append(lsn, LogRecord::Object { token: token(version.key), routed: &routed, object });
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// The log refused.
    pub fn commit(&mut self) -> Result<(), String> {
        while let Some(batch) = self.store.take_batch() {
            let upto = run_ready(self.writer.write(batch)).map_err(text)?;
            self.store.committed(upto);
        }
        Ok(())
    }

    /// Is a checkpoint under way?
    pub fn is_checkpointing(&self) -> bool {
        self.is_checkpointing
    }

    /// Log segments on disk.
    pub fn segments(&self) -> usize {
        self.writer.segments()
    }

    /// Begins a checkpoint if one is due, ends one that is done, and waits while writes would be refused.
    ///
    /// # Errors
    /// The sorted store failed, or the manifest could not be replaced.
    pub fn turn(&mut self) -> Result<(), String> {
        if self.store.checkpoint_due() {
            self.begin_checkpoint()?;
        }
        if let Ok(answer) = self.companion.answers().try_recv() {
            self.take(answer)?;
        }
        while self.store.is_overloaded() {
            self.wait()?;
        }
        Ok(())
    }

    /// A whole checkpoint of all that was committed.
    ///
    /// # Errors
    /// As [`DrivenShard::turn`].
    pub fn checkpoint(&mut self) -> Result<(), String> {
        while self.is_checkpointing {
            self.wait()?;
        }
        self.begin_checkpoint()?;
        while self.is_checkpointing {
            self.wait()?;
        }
        Ok(())
    }

    fn begin_checkpoint(&mut self) -> Result<(), String> {
        let Some(frozen) = self.store.freeze() else { return Ok(()) };
        let asked = self.companion.ask(CompanionRequest::Checkpoint(frozen));
        asked.map_err(|_| "the companion does not listen".to_owned())?;
        self.is_checkpointing = true;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        let answer = self.companion.answers().recv_timeout(ANSWER_WITHIN);
        self.take(answer.map_err(|_| format!("the companion said nothing for {ANSWER_WITHIN:?}"))?)
    }

    fn take(&mut self, answer: CompanionAnswer) -> Result<(), String> {
        match answer {
            CompanionAnswer::Applied { table, generation } => {
                run_ready(finish_checkpoint(&mut self.writer, &mut self.manifest, &table, generation)).map_err(text)?;
                let upto = self.manifest.upto;
                drop(table);
                self.store.checkpointed(upto);
                self.is_checkpointing = false;
                Ok(())
            }
            CompanionAnswer::Down { .. } => {
                self.is_down = true;
                Ok(())
            }
            CompanionAnswer::Reopened { wounds, .. } => {
                self.is_down = false;
                self.store.add_wounds(wounds);
                run_ready(self.store.wounds().note(self.writer.disk(), &mut self.manifest)).map_err(text)?;
                let noted = self.companion.ask(CompanionRequest::Run(Box::new(LossesNoted)));
                noted.map_err(|_| "the companion does not listen".to_owned())
            }
            CompanionAnswer::Failed(what) => Err(what),
            CompanionAnswer::Got(_) | CompanionAnswer::Stopped => Err("an answer that nobody waits for".to_owned()),
        }
    }

    /// Reads a key. Where the sorted store fails over it, waits until the store is open again and asks once more.
    ///
    /// # Errors
    /// The companion has ended.
    pub fn get(&mut self, key: u32) -> Result<Found, String> {
        let found = self.try_get(key)?;
        while let Ok(answer) = self.companion.answers().try_recv() {
            self.take(answer)?;
        }
        if found != Found::Unreadable || !self.is_down {
            return Ok(found);
        }
        while self.is_down {
            self.wait()?;
        }
        self.try_get(key)
    }

    fn try_get(&mut self, key: u32) -> Result<Found, String> {
        let (token, routed) = (token(key), Bytes::from(routed(key)));
        let object = match self.store.lookup(token, &routed) {
            Lookup::Hit { object, .. } => object,
            Lookup::Absent => return Ok(Found::Absent),
            Lookup::Unreadable => return Ok(Found::Unreadable),
            Lookup::Cold => match self.read_cold(ColdRead { tag: 0, token, routed })? {
                Delivery::Object { object, .. } => object,
                Delivery::Absent => return Ok(Found::Absent),
                Delivery::Unreadable => return Ok(Found::Unreadable),
            },
        };
        Ok(Version::read(key, &object, self.settings.sizes).map_or(Found::Wrong(object), Found::Version))
    }

    fn read_cold(&mut self, read: ColdRead) -> Result<Delivery, String> {
        let asked = self.companion.ask(CompanionRequest::Get(vec![read]));
        asked.map_err(|_| "the companion does not listen".to_owned())?;
        loop {
            let answer = self.companion.answers().recv_timeout(ANSWER_WITHIN);
            match answer.map_err(|_| format!("the companion said nothing for {ANSWER_WITHIN:?}"))? {
                CompanionAnswer::Got(mut answers) => {
                    let answer = answers.pop().ok_or("an answer without an answer")?;
                    return Ok(self.store.loaded(answer.read.token, &answer.read.routed, answer.found));
                }
                other => self.take(other)?,
            };
        }
    }

    /// Ends as a stopping node does: everything durable, companion ended, directory marked as cleanly left.
    ///
    /// # Errors
    /// What could not be made durable.
    pub fn close(mut self) -> Result<(), String> {
        self.commit()?;
        self.end_companion()?;
        run_ready(seal_log(&self.writer, &mut self.manifest)).map_err(text)?;
        self.directory.close_clean().map_err(text)
    }

    /// Ends without the mark, as a process does that was killed while it was idle.
    ///
    /// # Errors
    /// The companion did not end.
    pub fn abandon(mut self) -> Result<(), String> {
        self.end_companion()
    }

    fn end_companion(&mut self) -> Result<(), String> {
        self.companion.ask(CompanionRequest::Stop).map_err(|_| "the companion does not listen".to_owned())?;
        loop {
            match self.companion.answers().recv_timeout(ANSWER_WITHIN) {
                Ok(CompanionAnswer::Stopped) => break,
                Ok(answer) => self.take(answer)?,
                Err(_) => return Err(format!("the companion said nothing for {ANSWER_WITHIN:?}")),
            };
        }
        // The store is closed after the last word, and must not be opened again before.
        let until = Instant::now() + ANSWER_WITHIN;
        while !self.companion.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
