//! The messages of sled's log, read as sled 0.34.7 reads them.

/// Bytes of a segment of the log.
pub(super) const SEGMENT_BYTES: usize = 512 * 1024;
/// No message begins in the last bytes of a segment.
pub(super) const MESSAGE_ROOM_BYTES: usize = 32;
/// A message that sled did not want to write after all.
pub(super) const KIND_CANCELLED: u8 = 1;
/// What ends a segment.
pub(super) const KIND_CAP: u8 = 2;
const KIND_FREE: u8 = 4;
/// A page of keys.
pub(super) const KIND_NODE: u8 = 8;
/// Kinds with which a page begins anew: free, counter, meta and node, each also apart in a file of its own.
pub(super) const KINDS_ANEW: core::ops::RangeInclusive<u8> = KIND_FREE..=9;
/// All that say something about a page.
pub(super) const KINDS_OF_PAGES: core::ops::RangeInclusive<u8> = KIND_FREE..=11;

/// First and last token of a part of the ring.
pub(super) type Stretch = (u128, u128);

/// A message of the log.
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    pub(super) segment: u64,
    pub(super) page: u64,
    pub(super) body: &'a [u8],
    /// Of header and body.
    pub(super) bytes: usize,
    /// The checksum agrees.
    pub(super) is_good: bool,
}

impl<'a> Message<'a> {
    /// The message at `at`, if there may be one.
    pub(super) fn read(segment: &'a [u8], at: usize) -> Option<Message<'a>> {
        let (message, head_bytes) = Message::head(segment, at)?;
        let expected = u32::from_le_bytes(segment[at..at + 4].try_into().expect("four bytes"));
        let is_good = sum_up(&segment[at..at + message.bytes], head_bytes) == expected;
        Some(Message { is_good, ..message })
    }

    /// The same, with its checksum not looked at; and the bytes of its header.
    pub(super) fn head(segment: &'a [u8], at: usize) -> Option<(Message<'a>, usize)> {
        let kind = *segment.get(at + 4)?;
        if !(1..=*KINDS_OF_PAGES.end()).contains(&kind) {
            return None;
        }
        let mut rest = &segment[at + 5..];
        let (length, in_segment, page) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
        let body = rest.get(..usize::try_from(length).ok()?)?;
        let head_bytes = segment.len() - at - rest.len();
        let bytes = head_bytes + body.len();
        Some((Message { kind, segment: in_segment, page, body, bytes, is_good: false }, head_bytes))
    }

    /// Is it good, and does it belong to the segment that begins with that number?
    pub(super) fn is_of(&self, first: u64) -> bool {
        self.is_good && self.segment == first / SEGMENT_BYTES as u64
    }

    /// Does its header seem to be what was written: the right segment, and a length that leads to the next message?
    pub(super) fn is_followed(&self, segment: &[u8], at: usize, first: u64) -> bool {
        let next = at + self.bytes;
        let is_end = next + MESSAGE_ROOM_BYTES > SEGMENT_BYTES;
        let is_next = || Message::read(segment, next).is_some_and(|message| message.is_of(first));
        self.segment == first / SEGMENT_BYTES as u64 && (is_end || is_next())
    }
}

/// The checksum of a message: of its body, then of its header but for the checksum itself.
pub(super) fn sum_up(message: &[u8], head_bytes: usize) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&message[head_bytes..]);
    sum.update(&message[4..head_bytes]);
    sum.finalize() ^ u32::MAX
}

/// The keys of a page: the first, and the first that is not in it.
pub(super) struct Bounds {
    low: Vec<u8>,
    high: Vec<u8>,
    /// It holds objects, as far as its keys tell.
    is_of_objects: bool,
}

impl Bounds {
    pub(super) fn read(mut node: &[u8]) -> Option<Bounds> {
        let (_next, _merging_child) = (number(&mut node)?, number(&mut node)?);
        let (prefix_bytes, mut rest) = (usize::from(*node.get(1)?), node.get(2..)?);
        let mut key = || {
            let bytes = usize::try_from(number(&mut rest)?).ok()?;
            let (key, after) = rest.split_at_checked(bytes)?;
            rest = after;
            Some(key.to_vec())
        };
        let (low, high) = (key()?, key()?);
        let (&kind, mut rest) = rest.split_first()?;
        let (keys, first_bytes) = (number(&mut rest)?, number(&mut rest).unwrap_or(0));
        // Keys of other trees are shorter than a token.
        let is_of_objects = kind == 0 && (keys == 0 || prefix_bytes + first_bytes as usize >= 16);
        Some(Bounds { low, high, is_of_objects })
    }

    /// The tokens between them. None for what leads to pages, which sled finds from their neighbours, too, for pieces of long
    /// objects, which have a checksum of their own, and for the store's notes, which tell how far they go.
    pub(super) fn stretch(&self) -> Option<Stretch> {
        let token = |key: &[u8]| {
            let mut token = [0; 16];
            let bytes = key.len().min(16);
            token[..bytes].copy_from_slice(&key[..bytes]);
            u128::from_be_bytes(token)
        };
        let last = if self.high.is_empty() { u128::MAX } else { token(&self.high) };
        self.is_of_objects.then(|| (token(&self.low), last))
    }
}

/// A number of one to nine bytes.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let first = *rest.first()?;
    let byte = |at: usize| rest.get(at).map(|&byte| u64::from(byte));
    let (number, bytes) = match first {
        0..=240 => (u64::from(first), 1),
        241..=248 => (240 + 256 * (u64::from(first) - 241) + byte(1)?, 2),
        249 => (2288 + 256 * byte(1)? + byte(2)?, 3),
        longer => {
            let bytes = usize::from(longer) - 247;
            let mut number = [0; 8];
            number[..bytes].copy_from_slice(rest.get(1..=bytes)?);
            (u64::from_le_bytes(number), bytes + 1)
        }
    };
    *rest = &rest[bytes..];
    Some(number)
}
