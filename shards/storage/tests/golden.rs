//! The files of a shard, byte for byte: what this version writes, and what it must go on reading.
//!
//! A golden file has a line for each sixteen bytes that are not all zero, and its length at the end. To write them anew after
//! the format got a new version (the old ones stay, under their own names): `RONDO_GOLDEN=write cargo test -p rondo-storage --test golden`.

mod support;

use rondo_storage::{LogRecord, MemorySortedStore};
use std::fs;
use std::path::PathBuf;
use support::{CrashDisk, Seen, Shard, small_options};

const SEGMENT: &str = "wal/0000000000000001.log";

/// A log with two batches: two objects and a clock bound; then a larger object.
fn written() -> CrashDisk {
    let (disk, mut sorted) = (CrashDisk::default(), MemorySortedStore::new());
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("fresh");
    shard.append(1, b"one".to_vec());
    shard.append(2, vec![0xAB; 40]);
    let lsn = shard.recovered.store.last_lsn().next();
    shard.recovered.store.append(lsn, LogRecord::HlcBound(0x0102_0304_0506_0708));
    shard.commit().expect("written");
    shard.put(3, vec![0xCD; 5000]).expect("written");
    shard.seal().expect("sealed");
    disk
}

/// What is left of it after rot: one object whose directory is good, and a batch whose directory is not.
fn wounded() -> CrashDisk {
    let disk = written();
    disk.spoil(SEGMENT, |bytes| {
        bytes[2 * 4096 + 32 + 3 * 32 + 6] ^= 1;
        bytes[3 * 4096 + 40] ^= 1;
    });
    Shard::open(&disk, &mut MemorySortedStore::new(), small_options()).expect("salvaged");
    disk
}

fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("RONDO_GOLDEN").is_ok_and(|wish| wish == "write") {
        fs::write(&path, to_text(bytes)).expect("written");
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    from_text(&text)
}

fn to_text(bytes: &[u8]) -> String {
    let rows = bytes.chunks(16).enumerate().filter(|(_, row)| row.iter().any(|byte| *byte != 0));
    let lines = rows.map(|(place, row)| {
        let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:08x} {hex}\n", place * 16)
    });
    lines.collect::<String>() + &format!("{:08x}\n", bytes.len())
}

fn from_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let (at, hex) = line.split_once(' ').unwrap_or((line, ""));
        bytes.resize(usize::from_str_radix(at, 16).expect("an offset"), 0);
        let pairs = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("a byte"));
        bytes.extend(pairs);
    }
    bytes
}

#[test]
fn the_files_are_written_as_they_were() {
    let (disk, hurt) = (written(), wounded());
    let files = [
        ("segment-v2.hex", disk.content(SEGMENT)),
        ("manifest-v3.hex", disk.content("manifest")),
        ("wounds-v1.hex", hurt.content("wounds")),
    ];
    for (name, bytes) in files {
        assert_eq!(to_text(&golden(name, &bytes)), to_text(&bytes), "{name}");
    }
    assert_eq!(disk.content("manifest"), disk.content("manifest.copy"));
    assert_eq!(hurt.content("wounds"), hurt.content("wounds.copy"));
}

#[test]
fn the_files_of_this_version_are_read_as_what_they_say() {
    let disk = CrashDisk::default();
    disk.put_file(SEGMENT, &golden("segment-v2.hex", &written().content(SEGMENT)));
    disk.put_file("manifest", &golden("manifest-v3.hex", &written().content("manifest")));
    let mut sorted = MemorySortedStore::new();
    let mut shard = Shard::open(&disk, &mut sorted, small_options()).expect("opened");
    let objects = [1, 2, 3, 4].map(|key| shard.look(&sorted, key));
    let expected = [b"one".to_vec(), vec![0xAB; 40], vec![0xCD; 5000]].map(Seen::Object);
    assert_eq!((&objects[..3], &objects[3]), (&expected[..], &Seen::Absent));
    assert_eq!((shard.recovered.hlc_bound, shard.recovered.last_lsn.0), (0x0102_0304_0506_0708, 4));
    let manifest = &shard.recovered.manifest;
    assert_eq!((manifest.shard, manifest.engine.as_str(), manifest.store), (3, "memory", 1));
    assert_eq!((manifest.end.0, manifest.is_sealed, manifest.is_wounded), (4, true, false));

    let hurt = CrashDisk::default();
    hurt.put_file("manifest", &wounded().content("manifest"));
    hurt.put_file("wounds", &golden("wounds-v1.hex", &wounded().content("wounds")));
    let mut sorted = MemorySortedStore::new();
    rondo_storage::SortedStore::flush_durable(&mut sorted, rondo_storage::Lsn(4)).expect("memory");
    let shard = Shard::open(&hurt, &mut sorted, small_options()).expect("opened");
    let wounds: Vec<_> = shard.recovered.store.wounds().iter().cloned().collect();
    let said: Vec<_> = wounds.iter().map(|wound| (wound.from, wound.to, wound.upto.0, wound.keys)).collect();
    assert_eq!(said, [(0, 0, 1, Some(1)), (0, u128::MAX, 4, None)]);
    assert!(wounds[1].what.contains("1 records, lsn 4 to 4"), "{}", wounds[1].what);
    assert_eq!(wounds[0].found_at_unix, 1_800_000_000);
}
