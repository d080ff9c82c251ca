//! What sled passes over when it opens a store, read before it does.
//!
//! sled replays its log from its last snapshot on. A message that has rotted it takes for the end of its segment, without a
//! word: whatever stood there and behind it is missing, and if that was the newest version of a page, an older one takes its
//! place. So the same messages are read here first. What sled will not take, and what nothing later makes up for, is lost:
//! the keys of its page, as the version before tells them. Where the header of a rotten message is sound, the message is then
//! marked as cancelled, as sled does with what it did not want to write after all: so it reads on behind it.
//!
//! The format is that of sled 0.34.7, which is the last of its kind. The end of the log, which may be torn, is not judged: if
//! it is cut short, the store's note tells.

use super::sled_log::{
    Bounds, KIND_CANCELLED, KIND_CAP, KIND_NODE, KINDS_ANEW, KINDS_OF_PAGES, MESSAGE_ROOM_BYTES, Message,
    SEGMENT_BYTES, Stretch, sum_up,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SEGMENT_HEADER_BYTES: usize = 20;
/// Numbers that sled gives to whoever asks; we do not.
const PAGE_OF_COUNTER: u64 = 1;
/// Bytes that are summed up in search of the next good message behind a bad one; past it nobody knows what is missing.
const SEARCH_BYTES_MAX: u64 = 256 << 20;
/// Longest message that the search takes for one.
const SEARCH_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What was found.
#[derive(Default)]
pub(super) struct Audit {
    /// A page may have no version left at all. sled would look for it for ever: it must not open the store.
    pub(super) has_lost_pages: bool,
    /// Where sled would give older versions than it had, without a word.
    pub(super) stretches: Vec<Stretch>,
    /// Headers that let sled read on behind what is lost, each with its place in the file.
    cancelled: Vec<(u64, Vec<u8>)>,
}

/// Looks through the log of the store at `path`, its `file`, which nobody else has open for writing.
pub(super) fn audit(path: &Path, file: &File) -> io::Result<Audit> {
    let log = Log::survey(file, snapshot_lsn(path)?)?;
    let lost = log.lost()?;
    let mut audit = Audit { has_lost_pages: lost.is_unknown, ..Audit::default() };
    if !lost.messages.is_empty() {
        log.judge(&lost, &mut audit)?;
    }
    Ok(Audit { cancelled: lost.cancelled, ..audit })
}

impl Audit {
    /// Marks the rotten messages, after what they cost was noted.
    pub(super) fn cancel_messages(&self, path: &Path) -> io::Result<()> {
        if self.cancelled.is_empty() {
            return Ok(());
        }
        let file = File::options().write(true).open(path.join("db"))?;
        for (at, header) in &self.cancelled {
            tracing::warn!(store = %path.display(), at, "a message in sled's log has rotted; sled reads on behind it");
            file.write_all_at(header, *at)?;
        }
        file.sync_all()
    }
}

/// How far the newest snapshot goes: its name tells.
fn snapshot_lsn(path: &Path) -> io::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix("snap."));
        newest = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0).max(newest);
    }
    Ok(newest)
}

/// sled's log as it lies there.
struct Log<'a> {
    file: &'a File,
    /// From here on it is replayed.
    snapshot: u64,
    /// From here on it may be torn.
    tail: u64,
    /// Where each segment lies, by its first number.
    segments: BTreeMap<u64, u64>,
    /// Segments without a good header.
    headless: Vec<u64>,
}

/// What is missing.
#[derive(Default)]
struct Lost {
    /// Numbers and pages of messages.
    messages: Vec<(u64, u64)>,
    /// There are some of which nobody knows the page.
    is_unknown: bool,
    /// Bytes that the search has summed up.
    searched_bytes: u64,
    cancelled: Vec<(u64, Vec<u8>)>,
}

impl Log<'_> {
    fn survey(file: &File, snapshot: u64) -> io::Result<Log<'_>> {
        let begin = snapshot / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64;
        let mut log = Log { file, snapshot, tail: begin, segments: BTreeMap::new(), headless: Vec::new() };
        let mut stable = begin;
        for index in 0..file.metadata()?.len().div_ceil(SEGMENT_BYTES as u64) {
            let (at, mut header) = (index * SEGMENT_BYTES as u64, [0; SEGMENT_HEADER_BYTES]);
            match file.read_exact_at(&mut header, at) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                read => read?,
            }
            let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
            // Below zero it stands for "none yet".
            let number = |at: usize| u64::try_from((u64_at(at) ^ i64::MAX as u64).cast_signed()).unwrap_or(0);
            let expected = u32::from_le_bytes(header[0..4].try_into().expect("four bytes")) ^ u32::MAX;
            if crc32fast::hash(&header[4..]) == expected {
                log.segments.insert(number(4), at);
                if begin <= number(4) {
                    stable = stable.max(number(12));
                }
            } else if header != [0; SEGMENT_HEADER_BYTES] {
                log.headless.push(at);
            }
        }
        log.tail = stable / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64;
        Ok(log)
    }

    fn read(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut segment = vec![0; SEGMENT_BYTES];
        let mut filled = 0;
        while filled < SEGMENT_BYTES {
            match self.file.read_at(&mut segment[filled..], at + filled as u64)? {
                0 => break,
                bytes => filled += bytes,
            }
        }
        Ok(segment)
    }

    /// What the replay will pass over.
    fn lost(&self) -> io::Result<Lost> {
        let mut lost = Lost::default();
        let begin = self.snapshot / SEGMENT_BYTES as u64 * SEGMENT_BYTES as u64;
        for (&first, &at) in self.segments.range(begin..self.tail.max(begin)) {
            let mut segment = self.read(at)?;
            while let Some(bad) = good_messages(&segment, first, |_, _| ()) {
                if !lost.cancel(&mut segment, bad, first, at) {
                    lost.search(&segment, bad, first);
                    break;
                }
            }
        }
        for &at in &self.headless {
            let segment = self.read(at)?;
            let first = Message::read(&segment, SEGMENT_HEADER_BYTES).filter(|message| message.is_good);
            let first = first.map(|message| message.segment.saturating_mul(SEGMENT_BYTES as u64));
            if let Some(first) = first.filter(|first| (begin..self.tail).contains(first)) {
                lost.search(&segment, SEGMENT_HEADER_BYTES, first);
            }
        }
        let snapshot = self.snapshot;
        lost.messages.retain(|&(number, _)| snapshot <= number);
        Ok(lost)
    }

    /// Where the keys of what is lost lie, but for what a later version of its page makes up for.
    fn judge(&self, lost: &Lost, audit: &mut Audit) -> io::Result<()> {
        let pages: BTreeSet<u64> = lost.messages.iter().map(|&(_, page)| page).collect();
        let mut versions: BTreeMap<u64, BTreeMap<u64, Option<Bounds>>> = BTreeMap::new();
        for (&first, &at) in &self.segments {
            let mut segment = self.read(at)?;
            lost.cancel_again(&mut segment, at);
            good_messages(&segment, first, |number, message| {
                if pages.contains(&message.page) && KINDS_ANEW.contains(&message.kind) {
                    let bounds = (message.kind == KIND_NODE).then(|| Bounds::read(message.body)).flatten();
                    versions.entry(message.page).or_default().insert(number, bounds);
                }
            });
        }
        for &(number, page) in &lost.messages {
            let of_page = versions.get(&page);
            let is_made_up_for = of_page.is_some_and(|of_page| of_page.range(number + 1..).next().is_some());
            if is_made_up_for {
                continue;
            }
            let before = of_page.and_then(|of_page| of_page.range(..number).next_back()).map(|(_, bounds)| bounds);
            match before {
                Some(Some(bounds)) => audit.stretches.extend(bounds.stretch()),
                // A free page, or none of keys.
                Some(None) | None if page == PAGE_OF_COUNTER => {}
                Some(None) | None => audit.has_lost_pages = true,
            }
        }
        audit.stretches.sort_unstable();
        audit.stretches.dedup();
        Ok(())
    }
}

/// Shows the messages of a segment up to its end; where the first bad one stands, if there is one.
fn good_messages<'a>(segment: &'a [u8], first: u64, mut show: impl FnMut(u64, &Message<'a>)) -> Option<usize> {
    let mut at = SEGMENT_HEADER_BYTES;
    while at + MESSAGE_ROOM_BYTES <= SEGMENT_BYTES {
        let message = Message::read(segment, at).filter(|message| message.is_of(first));
        let Some(message) = message else { return Some(at) };
        if message.kind == KIND_CAP {
            return None;
        }
        show(first + at as u64, &message);
        at += message.bytes;
    }
    None
}

impl Lost {
    /// Cancels the rotten message at `bad`, if its header is sound.
    fn cancel(&mut self, segment: &mut [u8], bad: usize, first: u64, at: u64) -> bool {
        let message = Message::read(segment, bad).filter(|message| !message.is_good);
        let Some(message) = message.filter(|message| message.is_followed(segment, bad, first)) else { return false };
        self.lose(first + bad as u64, &message);
        let (bytes, head_bytes) = (message.bytes, message.bytes - message.body.len());
        segment[bad + 4] = KIND_CANCELLED;
        let sum = sum_up(&segment[bad..bad + bytes], head_bytes);
        segment[bad..bad + 4].copy_from_slice(&sum.to_le_bytes());
        self.cancelled.push((at + bad as u64, segment[bad..bad + head_bytes].to_vec()));
        true
    }

    /// In the segment at `at`, read once more.
    fn cancel_again(&self, segment: &mut [u8], at: u64) {
        let within = at..at + SEGMENT_BYTES as u64;
        for (place, header) in self.cancelled.iter().filter(|(place, _)| within.contains(place)) {
            let place = (place - at) as usize;
            segment[place..place + header.len()].copy_from_slice(header);
        }
    }

    /// Lists what stands in a segment from a bad place on. Where the place has been taken by another life of the segment,
    /// sled had no need of what was there.
    fn search(&mut self, segment: &[u8], from: usize, first: u64) {
        let (mut at, mut is_dark) = (from, false);
        while at + MESSAGE_ROOM_BYTES <= SEGMENT_BYTES {
            let message = if is_dark { self.search_one(segment, at) } else { Message::read(segment, at) };
            match message {
                Some(message) if message.is_of(first) => {
                    self.is_unknown |= is_dark;
                    is_dark = false;
                    if message.kind == KIND_CAP {
                        return;
                    }
                    self.lose(first + at as u64, &message);
                    at += message.bytes;
                }
                Some(message) if message.is_good => {
                    is_dark = false;
                    at += message.bytes;
                }
                Some(message) if message.is_followed(segment, at, first) => {
                    self.lose(first + at as u64, &message);
                    at += message.bytes;
                }
                Some(_) | None => {
                    is_dark = true;
                    at += 1;
                }
            }
        }
        self.is_unknown |= is_dark;
    }

    /// A message in the dark: only a good one is one.
    fn search_one<'a>(&mut self, segment: &'a [u8], at: usize) -> Option<Message<'a>> {
        let length = Message::head(segment, at).map(|(message, _)| message.bytes)?;
        if length > SEARCH_MESSAGE_BYTES_MAX || self.searched_bytes > SEARCH_BYTES_MAX {
            return None;
        }
        self.searched_bytes += length as u64;
        Message::read(segment, at).filter(|message| message.is_good)
    }

    fn lose(&mut self, number: u64, message: &Message<'_>) {
        if KINDS_OF_PAGES.contains(&message.kind) {
            self.messages.push((number, message.page));
        }
    }
}
