//! A life of a shard with a bit of everything in it, and the books that it keeps: what must, and what may be read after a
//! power cut at any moment of it.

use super::traced::{AtPowerCut, Change, Files, TracedDisk};
use super::{Dice, Seen, Shard, small_options};
use rondo_storage::{CheckpointJob, MemorySortedStore, StorageError, finish_checkpoint, run_ready};
use std::collections::BTreeMap;
use std::io;

/// Keys that a life writes.
pub const KEYS: u64 = 12;

/// The n-th version of a key. Its pattern is 31 bytes long, so that no sector is like its neighbour.
pub fn object(key: u64, version: u64, bytes: usize) -> Vec<u8> {
    let pattern: [u8; 31] = core::array::from_fn(|at| (key * 7 + version * 31 + at as u64) as u8);
    let mut object = version.to_le_bytes().to_vec();
    object.extend_from_slice(&pattern.repeat(bytes / pattern.len() + 1)[..bytes]);
    object
}

/// The version of an object, which is checked byte for byte.
pub fn version(key: u64, found: &[u8]) -> u64 {
    let version = u64::from_le_bytes(found[..8].try_into().expect("eight bytes"));
    assert_eq!(found, object(key, version, found.len() - 8), "key {key} is not as any version of it was");
    version
}

/// What was known at a place in the trace.
#[derive(Clone, Debug)]
pub struct Mark {
    pub at: usize,
    /// The newest version of each key that was acknowledged.
    pub acknowledged: BTreeMap<u64, u64>,
    /// The newest version of all that was written.
    pub issued: u64,
    pub sorted: MemorySortedStore,
}

/// A shard at work on a traced disk.
pub struct Life {
    pub disk: TracedDisk,
    pub sorted: MemorySortedStore,
    pub marks: Vec<Mark>,
    pub shard: Shard<TracedDisk>,
    acknowledged: BTreeMap<u64, u64>,
    issued: u64,
    appended: Vec<(u64, u64)>,
}

impl Life {
    pub fn begin() -> Life {
        let (disk, mut sorted) = (TracedDisk::default(), MemorySortedStore::new());
        let shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
        let mut life = Life {
            disk,
            sorted,
            marks: Vec::new(),
            shard,
            acknowledged: BTreeMap::new(),
            issued: 0,
            appended: Vec::new(),
        };
        life.marks.push(Mark { at: 0, acknowledged: BTreeMap::new(), issued: 0, sorted: MemorySortedStore::new() });
        life.mark();
        life
    }

    pub fn mark(&mut self) {
        let (acknowledged, sorted) = (self.acknowledged.clone(), self.sorted.clone());
        self.marks.push(Mark { at: self.disk.trace_len(), acknowledged, issued: self.issued, sorted });
    }

    /// Appends a new version of a key, without writing it.
    pub fn append(&mut self, key: u64, bytes: usize) {
        self.issued += 1;
        self.shard.append(key, object(key, self.issued, bytes));
        self.appended.push((key, self.issued));
    }

    /// Writes what was appended; a batch that is refused is handed in again, `tries` times in all.
    pub fn commit(&mut self, tries: usize, from_reserve: bool) -> Result<(), StorageError> {
        self.mark();
        while let Some(mut batch) = self.shard.recovered.store.take_batch() {
            for left in (0..tries).rev() {
                let writer = &mut self.shard.writer;
                let written = run_ready(async {
                    if from_reserve { writer.write_from_reserve(batch).await } else { writer.write(batch).await }
                });
                match written {
                    Ok(upto) => {
                        self.shard.recovered.store.committed(upto);
                        break;
                    }
                    Err(failure) if left == 0 => return Err(failure.error),
                    Err(failure) => batch = failure.batch,
                }
            }
        }
        self.acknowledged.extend(self.appended.drain(..));
        self.mark();
        Ok(())
    }

    pub fn put(&mut self, key: u64, bytes: usize) {
        self.append(key, bytes);
        self.commit(4, false).expect("written");
    }

    /// A checkpoint, its second half tried `tries` times.
    pub fn checkpoint(&mut self, tries: usize) -> Result<(), StorageError> {
        let Some(frozen) = self.shard.recovered.store.freeze() else { return Ok(()) };
        let mut job = CheckpointJob::new(frozen);
        while !job.step(&mut self.sorted).expect("memory does not fail") {
            self.mark();
        }
        self.mark();
        let frozen = job.into_table();
        for left in (0..tries).rev() {
            let Shard { writer, recovered, .. } = &mut self.shard;
            match run_ready(finish_checkpoint(writer, &mut recovered.manifest, &frozen, 1)) {
                Ok(()) => break,
                Err(error) if left == 0 => return Err(error),
                Err(_) => {}
            }
        }
        self.shard.recovered.store.checkpointed(frozen.last_lsn());
        Ok(())
    }

    /// The process ends and another begins; the disk goes on.
    pub fn restart(&mut self) {
        self.shard = Shard::open(&self.disk, &mut self.sorted, small_options()).expect("opened");
        assert!(!self.shard.recovered.report.has_lost(), "{:?}", self.shard.recovered.report);
        self.mark();
    }
}

/// Puts, checkpoints, new segments, failures of every kind, a full disk with its reserve, a clean stop, a start.
pub fn eventful() -> Life {
    let mut life = Life::begin();
    for key in 0..KEYS {
        life.append(key, 300 + 400 * key as usize);
        if key % 3 == 2 {
            life.commit(4, false).expect("written");
        }
    }
    life.checkpoint(3).expect("checkpointed");
    for key in 0..5 {
        life.put(key, 9000);
    }
    life.disk.fail(1, io::ErrorKind::Other); // The sync of the next batch.
    life.put(5, 700);
    life.disk.fail(0, io::ErrorKind::Other); // The write of the next batch.
    life.put(6, 5000);
    life.disk.fail(1, io::ErrorKind::Other);
    life.disk.fail(5, io::ErrorKind::Other); // The sync of a batch, and again in the segment after it.
    life.put(7, 100);
    life.checkpoint(3).expect("checkpointed");
    for _ in 0..5 {
        life.put(8, 7000);
    }
    life.append(9, 17_000);
    life.disk.fail(0, io::ErrorKind::StorageFull); // The segment that would have had room.
    life.append(10, 10);
    life.commit(4, false).expect("written");
    life.append(11, 20_000);
    life.commit(4, false).expect("written");
    life.append(0, 4_000);
    life.disk.fail(0, io::ErrorKind::StorageFull);
    life.commit(4, true).expect("written into the reserve");
    assert!(run_ready(life.shard.writer.refill_reserve()).expect("no trouble"));
    life.checkpoint(3).expect("checkpointed");
    life.put(1, 50);
    life.shard.seal().expect("sealed");
    life.restart();
    life.put(2, 60);
    life.put(3, 4000);
    life.restart();
    life.put(4, 10);
    life
}

/// What a reader is told of each key: `None` for unreadable, 0 for absent, else the version.
pub fn read_all(shard: &mut Shard<TracedDisk>, sorted: &MemorySortedStore) -> Vec<Option<u64>> {
    let look = |key: u64| match shard.look(sorted, key) {
        Seen::Object(found) => Some(version(key, &found)),
        Seen::Absent => Some(0),
        Seen::Unreadable => None,
    };
    (0..KEYS).map(look).collect()
}

/// Goes through a trace: the disk before its first change, and after each.
pub fn power_cuts<'a>(before: &Files, trace: &'a [Change]) -> impl Iterator<Item = (usize, AtPowerCut)> + use<'a> {
    let mut cut = AtPowerCut::begin(before);
    (0..=trace.len()).map(move |at| {
        if let Some(change) = at.checked_sub(1).and_then(|at| trace.get(at)) {
            cut.pass(change);
        }
        (at, cut.clone())
    })
}

/// What is left of the sorted store: what was not flushed is there or not, as the dice say.
pub fn after_power_cut(sorted: &MemorySortedStore, dice: &mut Dice) -> MemorySortedStore {
    let mut after = sorted.clone();
    let kept = dice.roll(3);
    after.crash(|_| kept == 2 || (kept == 1 && dice.roll(2) == 0));
    after
}
