//! What fuzzing begins from: the golden frames of the protocol, and good bytes of everything that is kept on disk.

use crate::{
    client_body, client_frame, context, disk_format, disk_samples, object, peer_body, reply_body, wal_segment,
};
use std::fs;
use std::path::Path;

/// Bytes of a frame's header.
const HEADER_BYTES: usize = 20;

/// One fuzz target: its name, its body, and the inputs that it begins from.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes any input, and panics if a law is broken.
    pub body: fn(&[u8]),
    /// A name and bytes for each.
    pub seeds: Vec<(String, Vec<u8>)>,
}

/// All targets. Reads the golden frames of the checkout that this was built in.
pub fn targets() -> Vec<Target> {
    let frames = golden_frames();
    let bodies = || frames.iter().map(|(name, frame)| (name.clone(), [&frame[3..4], &frame[HEADER_BYTES..]].concat()));
    let tail = |of: &str, at: usize| -> Vec<(String, Vec<u8>)> {
        frames.iter().filter(|(name, _)| name == of).map(|(name, frame)| (name.clone(), frame[at..].to_vec())).collect()
    };
    vec![
        Target { name: "client_frame", body: client_frame, seeds: frames.clone() },
        Target { name: "client_body", body: client_body, seeds: bodies().collect() },
        Target { name: "reply_body", body: reply_body, seeds: bodies().collect() },
        Target { name: "peer_body", body: peer_body, seeds: bodies().collect() },
        // Behind what the table of `stored` and `replicate` in `docs/spec/wire.md` puts before it.
        Target { name: "context", body: context, seeds: tail("stored", HEADER_BYTES + 32) },
        Target { name: "object", body: object, seeds: tail("replicate", HEADER_BYTES + 24 + 4 + 13 + 4) },
        Target { name: "wal_segment", body: wal_segment, seeds: vec![("batch".to_owned(), batch())] },
        Target { name: "disk_format", body: disk_format, seeds: disk_samples().collect() },
    ]
}

fn golden_frames() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/golden/wire");
    let paths = fs::read_dir(&directory).expect("the golden frames are part of the checkout");
    let paths = paths.map(|entry| entry.expect("a directory of ours").path());
    let mut frames: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| {
            let name = path.file_stem().expect("it has an extension").to_string_lossy().into_owned();
            (name, bytes_of(&fs::read_to_string(&path).expect("a golden file is text")))
        })
        .collect();
    frames.sort();
    frames
}

/// Hexadecimal digits in lines, with comments between.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::chars)
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// Two records of a batch, and their number before them: a key's object, and a clock bound.
fn batch() -> Vec<u8> {
    let mut heads = [0; 64];
    (heads[0], heads[2], heads[4], heads[8]) = (1, 4, 6, 9);
    (heads[32], heads[36]) = (2, 8);
    [&[2][..], &heads, b"\x01\x00kk", b"object", &7_u64.to_le_bytes()].concat()
}
