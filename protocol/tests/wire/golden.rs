//! The wire's bytes, pinned: each message against a file that only a deliberate hand changes.
//!
//! `RONDO_GOLDEN_WRITE=1 cargo test -p rondo-protocol --test wire` writes files that are missing. A file that is
//! there is never overwritten: a format that changes gets a new version and new files, and the old ones stay.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::samples::{Meaning, Sample, frame_of, samples};
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::wire::reply::Refusal;
use rondo_protocol::wire::{Decoded, ErrorCode, Opcode, RejectReason, decode_client, decode_peer, decode_reply};

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire")
}

fn spec() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/spec/wire.md");
    std::fs::read_to_string(path).expect("the page is there")
}

/// Hexadecimal digits of all lines; `#` begins a comment.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits: String = text.lines().map(|line| line.split('#').next().unwrap_or("")).collect();
    let digits: Vec<char> = digits.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).expect("two hexadecimal digits");
    digits.chunks(2).map(byte).collect()
}

fn text_of(sample: &Sample) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = sample.frame.chunks(20).map(line).collect();
    format!("# {}\n{}\n", sample.comment, lines.join("\n"))
}

/// The bytes of the golden file, written first if asked for and missing.
fn golden(sample: &Sample) -> Vec<u8> {
    let path = golden_folder().join(format!("{}.hex", sample.name));
    if std::env::var_os("RONDO_GOLDEN_WRITE").is_some() && !path.exists() {
        std::fs::write(&path, text_of(sample)).expect("the folder takes files");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text.starts_with("# "), "{} says what it is", path.display());
    bytes_of(&text)
}

#[test]
fn every_message_has_the_bytes_of_its_golden_file() {
    for sample in samples() {
        assert_eq!(sample.frame, golden(&sample), "{} is encoded otherwise than before", sample.name);
    }
}

#[test]
fn golden_bytes_still_mean_what_they_meant() {
    for sample in samples() {
        let frame = frame_of(&golden(&sample));
        let meaning = match sample.meaning {
            Meaning::Client(_) => match decode_client(frame.header, frame.body) {
                Ok(Decoded::Message(message)) => Meaning::Client(message),
                other => panic!("{}: {other:?}", sample.name),
            },
            Meaning::Reply(_) => Meaning::Reply(decode_reply(frame.header, frame.body).expect(sample.name)),
            Meaning::Peer(_) => Meaning::Peer(decode_peer(frame.header, frame.body).expect(sample.name)),
        };
        assert_eq!(meaning, sample.meaning, "{}", sample.name);
    }
}

#[test]
fn no_golden_file_is_left_without_a_message() {
    let known: BTreeSet<String> = samples().iter().map(|sample| format!("{}.hex", sample.name)).collect();
    let present: BTreeSet<String> = std::fs::read_dir(golden_folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(present, known);
}

/// The page marks its examples: a fenced block that begins with ```` ```hex NAME ````.
#[test]
fn the_examples_of_the_page_are_the_golden_bytes() {
    let page = spec();
    let mut checked = 0;
    for block in page.split("```hex ").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a name on the fence");
        let body = rest.split("```").next().expect("a closing fence");
        let all = samples();
        let sample = all.iter().find(|sample| sample.name == name).unwrap_or_else(|| panic!("no message {name}"));
        assert_eq!(bytes_of(body), golden(sample), "the example {name} on the page");
        checked += 1;
    }
    assert!(checked >= 5, "the page has {checked} worked examples");
}

/// Rows of the tables of a section, as their cells.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n#").next().unwrap_or(section);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    section.lines().filter(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn the_tokens_of_the_page_are_the_tokens_of_the_ring() {
    let page = spec();
    let vectors: Vec<Vec<String>> = rows(&page, "## 8. Routing").into_iter().skip(2).collect();
    assert!(vectors.len() >= 4, "four vectors at least");
    for row in vectors {
        let key = ObjectKey::new(row[0].as_bytes(), row[1].as_bytes()).expect("a good key");
        assert_eq!(format!("{:032x}", key.token().0), row[2], "the token of {}/{}", row[0], row[1]);
    }
}

#[test]
fn every_number_of_the_code_stands_on_the_page() {
    let page = spec();
    let first_cells = |heading: &str| rows(&page, heading).into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    let opcodes = [first_cells("## 3. Opcodes"), first_cells("## 10. Between nodes")].concat();
    for opcode in Opcode::ALL {
        assert!(opcodes.contains(&format!("{:02x}", opcode as u8)), "{opcode:?} has no row");
    }
    let refusals = first_cells("### Refusals");
    for refusal in Refusal::ALL {
        assert!(refusals.contains(&refusal.number().to_string()), "{refusal:?} has no row");
    }
    let (errors, reasons) = (first_cells("### `ERROR` (7f)"), first_cells("## 10. Between nodes"));
    for number in 1..=9u16 {
        assert!(ErrorCode::from_number(number).is_some() && errors.contains(&number.to_string()));
        assert!(RejectReason::from_number(number).is_some() && reasons.contains(&number.to_string()));
    }
}
