//! One engine, from the first put to the cold restart.

use crate::stores::{Bench, open};
use bytes::Bytes;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// What is measured, in the order of the table.
pub const ROWS: [&str; 16] = [
    "CPU per put, flushes and merges counted (us)",
    "CPU per overwrite (us)",
    "device bytes per byte put",
    "disk per byte of keys and values, settled",
    "the same before it settled, every key written twice",
    "memory per byte of keys and values",
    "CPU per get, cached (us)",
    "get, cached, idle: p99 (us)",
    "get, cached, idle: p99.9 (us)",
    "get, cached, beside flush and merge: p99 (us)",
    "get, cached, beside flush and merge: p99.9 (us)",
    "CPU per get of an absent key (us)",
    "reopen, warm (ms)",
    "reopen, page cache dropped (ms)",
    "cold get: p50 (us)",
    "cold get: p99 (us)",
];
const VALUE_BYTES: u64 = 1024;
const KEY_BYTES: u64 = 16;
/// Keys that are read again and again.
const HOT_KEYS: u64 = 2000;
/// Puts between two flushes: a checkpoint of 32 MiB.
const FLUSH_EVERY: u64 = 32 * 1024;
/// And at least so many flushes while the keys are written once.
const FLUSHES_MIN: u64 = 8;
/// Reads of each kind.
const READS: u64 = 50_000;
const COLD_READS: u64 = 1000;

/// A number for each row.
pub struct Figures(Vec<f64>);

impl Figures {
    pub fn encode(&self) -> String {
        self.0.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
    }

    pub fn decode(line: &str) -> Option<Figures> {
        let numbers: Vec<f64> = line.split(' ').map_while(|number| number.parse().ok()).collect();
        (numbers.len() == ROWS.len()).then_some(Figures(numbers))
    }

    pub fn cell(&self, row: usize) -> String {
        let number = self.0[row];
        if number >= 100.0 { format!("{number:.0}") } else { format!("{number:.2}") }
    }
}

/// Keys spread over the ring, as tokens are.
fn key(number: u64) -> u128 {
    u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64 | u128::from(number)
}

/// Values that do not compress and are never the same twice.
struct Values(u64);

impl Values {
    fn next(&mut self) -> Bytes {
        let words = (0..VALUE_BYTES / 8).flat_map(|_| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()
        });
        words.collect()
    }
}

struct Run {
    store: Box<dyn Bench>,
    values: Values,
    keys: u64,
    puts: u64,
}

impl Run {
    fn flush_every(&self) -> u64 {
        FLUSH_EVERY.min(self.keys / FLUSHES_MIN).max(1)
    }

    /// Writes every key once, flushing as a shard does.
    fn write_all(&mut self) {
        for number in 0..self.keys {
            let value = self.values.next();
            self.puts += 1;
            self.store.put(key(number), &value, self.puts);
            if self.puts.is_multiple_of(self.flush_every()) {
                self.store.flush(self.puts)().expect("a quiet disk takes a flush");
            }
        }
        self.store.flush(self.puts)().expect("a quiet disk takes a flush");
    }

    fn hot_get(&self, read: u64) -> f64 {
        let number = read.wrapping_mul(7919) % HOT_KEYS.min(self.keys);
        let began = Instant::now();
        assert!(self.store.get(key(number)), "key {number} was put");
        began.elapsed().as_secs_f64() * 1e6
    }

    /// Gets between puts, and all through the flush that follows them on another thread.
    fn gets_beside_work(&mut self) -> Vec<f64> {
        let mut micros = Vec::new();
        while (micros.len() as u64) < READS {
            for _ in 0..self.flush_every() {
                let value = self.values.next();
                self.puts += 1;
                self.store.put(key(self.puts % self.keys), &value, self.puts);
                micros.push(self.hot_get(self.puts));
            }
            let task = self.store.flush(self.puts);
            let flushing = thread::spawn(task);
            while !flushing.is_finished() {
                micros.push(self.hot_get(micros.len() as u64));
            }
            flushing.join().expect("no panic").expect("a quiet disk takes a flush");
        }
        micros
    }
}

pub fn measure(engine: &str, keys: u64, directory: &Path) -> Result<Figures, String> {
    let (payload, mut rows) = ((keys * (KEY_BYTES + VALUE_BYTES)) as f64, Vec::new());
    let resident_before = resident_bytes();
    let mut run = Run { store: open(engine, directory)?, values: Values(0x2545_F491_4F6C_DD1D), keys, puts: 0 };
    let written_before = written_bytes();
    for _ in 0..2 {
        let ((), cpu) = cpu_of(|| {
            run.write_all();
            run.store.settle();
        });
        rows.push(cpu / keys as f64);
    }
    rows.push((written_bytes() - written_before) / (2.0 * payload));
    let unsettled = disk_bytes(directory) / payload;
    run.write_all();
    run.store.settle();
    rows.extend([disk_bytes(directory) / payload, unsettled, (resident_bytes() - resident_before) / payload]);

    let _warm: f64 = (0..HOT_KEYS * 2).map(|read| run.hot_get(read)).sum();
    let (mut idle, cpu) = cpu_of(|| (0..READS).map(|read| run.hot_get(read)).collect::<Vec<_>>());
    rows.push(cpu / READS as f64);
    rows.extend([percentile(&mut idle, 99.0), percentile(&mut idle, 99.9)]);
    let mut beside = run.gets_beside_work();
    rows.extend([percentile(&mut beside, 99.0), percentile(&mut beside, 99.9)]);
    let (found, cpu) =
        cpu_of(|| (0..READS).filter(|read| run.store.get(key(1 << 40 | read.wrapping_mul(7919)))).count());
    assert_eq!(found, 0, "they were never put");
    rows.push(cpu / READS as f64);

    run.store.settle();
    for is_cold in [false, true] {
        drop(run.store);
        if is_cold {
            drop_from_page_cache(directory);
        }
        let began = Instant::now();
        run.store = open(engine, directory)?;
        rows.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let stride = (keys / COLD_READS).max(1);
    let mut cold: Vec<f64> = (0..COLD_READS.min(keys))
        .map(|read| {
            let began = Instant::now();
            assert!(run.store.get(key(read * stride)), "every key was put");
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    rows.extend([percentile(&mut cold, 50.0), percentile(&mut cold, 99.0)]);
    Ok(Figures(rows))
}

fn percentile(micros: &mut [f64], percent: f64) -> f64 {
    micros.sort_unstable_by(f64::total_cmp);
    let at = (micros.len() as f64 * percent / 100.0) as usize;
    micros.get(at.min(micros.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Runs it; its value, and the CPU that all threads of the process took meanwhile, in microseconds.
fn cpu_of<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = cpu_micros();
    let value = work();
    (value, cpu_micros() - before)
}

/// CPU time of the process, user and system, in microseconds; the kernel counts in hundredths of a second.
fn cpu_micros() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|&at| fields.get(at)?.parse::<u64>().ok()).sum();
    ticks as f64 * 10_000.0
}

fn field(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

fn written_bytes() -> f64 {
    field("/proc/self/io", "write_bytes:")
}

fn resident_bytes() -> f64 {
    field("/proc/self/status", "VmRSS:") * 1024.0
}

fn files_below(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files_below(&path, visit) } else { visit(&path) }
    }
}

/// Blocks in use: preallocated files count only what was written to them.
fn disk_bytes(directory: &Path) -> f64 {
    let mut bytes = 0;
    files_below(directory, &mut |path| bytes += fs::metadata(path).map_or(0, |file| file.blocks() * 512));
    bytes as f64
}

fn drop_from_page_cache(directory: &Path) {
    files_below(directory, &mut |path| {
        if let Ok(file) = File::open(path) {
            let _ = file.sync_all();
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
    });
}
