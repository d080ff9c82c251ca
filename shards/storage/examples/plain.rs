//! Plain sled and plain fjall, used directly, and the disk alone: what the storage of a shard is compared with.
//!
//! `plain ENGINE WRITERS SECONDS DIRECTORY`: so many threads put values of 1 KB under ever new keys, each put durable (the
//! engine's own sync; for sled, whose flush is no fsync, `fdatasync` of its file as well) before the next one of the same
//! thread. `disk` writes pages over blocks that are written already, past the page cache, each followed by `fdatasync`: the
//! least that a durable put can do. `plain open-sled DIRECTORY` only opens a store. Prints one JSON object. `cargo xtask bench-storage` runs it beside a node in the same minutes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const VALUE_BYTES: usize = 1024;

type Put = Box<dyn Fn(u64) -> Result<(), String> + Sync>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, directory] = &arguments[..]
        && verb == "open-sled"
    {
        return open_sled(Path::new(directory));
    }
    let [engine, writers, seconds, directory] = &arguments[..] else {
        return usage();
    };
    let (Ok(writers), Ok(seconds)) = (writers.parse(), seconds.parse()) else { return usage() };
    let put = match engine.as_str() {
        "sled" => sled_put(Path::new(directory)),
        "fjall" => fjall_put(Path::new(directory)),
        "disk" => disk_put(Path::new(directory)),
        _ => return usage(),
    };
    match put {
        Ok(put) => println!("{}", measure(engine, &put, writers, Duration::from_secs(seconds))),
        Err(why) => {
            eprintln!("plain: {why}");
            std::process::exit(1);
        }
    }
}

fn usage() {
    eprintln!("usage: plain sled|fjall|disk WRITERS SECONDS DIRECTORY, or plain open-sled DIRECTORY");
    std::process::exit(2);
}

/// How long sled alone takes to open what a killed process has left.
fn open_sled(path: &Path) {
    let began = Instant::now();
    match sled::Config::new().path(path).cache_capacity(64 << 20).open() {
        Ok(_) => println!("{{\"seconds\":{:.3}}}", began.elapsed().as_secs_f64()),
        Err(why) => {
            eprintln!("plain: {why}");
            std::process::exit(1);
        }
    }
}

fn sled_put(path: &Path) -> Result<Put, String> {
    let db = sled::Config::new().path(path).cache_capacity(64 << 20).open().map_err(|error| error.to_string())?;
    let file = File::open(path.join("db")).map_err(|error| error.to_string())?;
    Ok(Box::new(move |number| {
        db.insert(key(number), value(number)).map_err(|error| error.to_string())?;
        db.flush().map_err(|error| error.to_string())?;
        file.sync_data().map_err(|error| error.to_string())
    }))
}

fn fjall_put(path: &Path) -> Result<Put, String> {
    let db = fjall::Database::builder(path).cache_size(64 << 20).open().map_err(|error| error.to_string())?;
    let items = db.keyspace("items", fjall::KeyspaceCreateOptions::default).map_err(|error| error.to_string())?;
    Ok(Box::new(move |number| {
        items.insert(key(number), value(number)).map_err(|error| error.to_string())?;
        db.persist(fjall::PersistMode::SyncData).map_err(|error| error.to_string())
    }))
}

fn disk_put(path: &Path) -> Result<Put, String> {
    const PAGE: usize = 4096;
    const FILE_PAGES: u64 = 16 * 1024;
    let file = || -> std::io::Result<File> {
        std::fs::create_dir_all(path)?;
        let path = path.join("pages");
        let written = File::create(&path)?;
        let zeros = vec![0; 1 << 20];
        (0..FILE_PAGES * PAGE as u64).step_by(zeros.len()).try_for_each(|at| written.write_all_at(&zeros, at))?;
        written.sync_all()?;
        let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("flags are small");
        OpenOptions::new().write(true).custom_flags(direct).open(path)
    };
    let file = file().map_err(|error| error.to_string())?;
    Ok(Box::new(move |number| {
        let memory = vec![number as u8; 2 * PAGE];
        let from = memory.as_ptr().align_offset(PAGE);
        let put = file.write_all_at(&memory[from..from + PAGE], number % FILE_PAGES * PAGE as u64);
        put.and_then(|()| file.sync_data()).map_err(|error| error.to_string())
    }))
}

fn measure(engine: &str, put: &Put, writers: usize, wanted: Duration) -> String {
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (cpu_before, written_before, began) = (cpu_micros(), written_bytes(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    put(next.fetch_add(1, Ordering::Relaxed)).expect("a quiet disk takes a put");
                }
            });
        }
        std::thread::sleep(wanted);
        is_over.store(true, Ordering::Relaxed);
    });
    let (puts, seconds) = (next.load(Ordering::Relaxed) as f64, began.elapsed().as_secs_f64());
    format!(
        "{{\"engine\":\"{engine}\",\"writers\":{writers},\"puts_per_second\":{:.0},\"cpu_micros_per_put\":{:.1},\"written_bytes_per_put\":{:.0}}}",
        puts / seconds,
        (cpu_micros() - cpu_before) / puts,
        (written_bytes() - written_before) / puts,
    )
}

/// Spread like tokens are: no order in the order of arrival.
fn key(number: u64) -> [u8; 16] {
    (u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).to_be_bytes()
}

/// Incompressible, and different for each key.
fn value(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..VALUE_BYTES / 8).flat_map(|_| next()).collect()
}

/// User and system time of this process, in microseconds: fields 14 and 15 of its `stat`, in ticks of 10 ms.
fn cpu_micros() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * 10_000.0
}

/// Bytes that this process has had written to devices.
fn written_bytes() -> f64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0.0)
}
