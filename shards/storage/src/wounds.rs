//! What a shard has lost and has not been given back.
//!
//! A wound is a range of tokens and a record: of the keys in that range, what was written up to that record may be missing.
//! Such a key is answered "unreadable", never "absent" and never with what it held before; what was written later is
//! answered as usual. A wound stays, over restarts, until the keys have been given back or an operator accepts the loss.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::limits::{WOUND_TEXT_BYTES_MAX, WOUNDS_MAX};
use crate::manifest::Manifest;
use crate::record::Lsn;
use crate::twin::{Choice, CopyFault, Twin};
use core::fmt;

/// What was damaged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WoundCause {
    /// Records of the log had rotted.
    LogRot,
    /// Records at the end of the log were gone.
    LogEnd,
    /// Segments of the log were gone.
    LogGap,
    /// Objects of the sorted store were damaged.
    StoreRot,
    /// The sorted store as a whole could not be used.
    StoreLost,
    /// Nothing said any more how far the store and the log had gone.
    ManifestLost,
}

impl WoundCause {
    /// All of them.
    pub const ALL: [WoundCause; 6] = [
        WoundCause::LogRot,
        WoundCause::LogEnd,
        WoundCause::LogGap,
        WoundCause::StoreRot,
        WoundCause::StoreLost,
        WoundCause::ManifestLost,
    ];

    /// Its name, for reports and labels.
    pub fn name(self) -> &'static str {
        match self {
            WoundCause::LogRot => "log-rot",
            WoundCause::LogEnd => "log-end",
            WoundCause::LogGap => "log-gap",
            WoundCause::StoreRot => "store-rot",
            WoundCause::StoreLost => "store-lost",
            WoundCause::ManifestLost => "manifest-lost",
        }
    }
}

impl fmt::Display for WoundCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Keys that may miss what was written to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wound {
    /// The first token.
    pub from: u128,
    /// The last token.
    pub to: u128,
    /// What was written up to this record may be missing.
    pub upto: Lsn,
    /// How many objects are missing, where that is known exactly.
    pub keys: Option<u64>,
    /// What was damaged.
    pub cause: WoundCause,
    /// Where, expected and found: a sentence for the operator.
    pub what: String,
    /// When it was found, in seconds since 1970.
    pub found_at_unix: u64,
}

impl Wound {
    /// Does it cover every token?
    pub fn is_whole(&self) -> bool {
        self.from == 0 && self.to == u128::MAX
    }

    fn merge(&mut self, other: Wound) {
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.upto = self.upto.max(other.upto);
        self.keys = self.keys.zip(other.keys).map(|(mine, its)| mine.saturating_add(its));
        self.found_at_unix = self.found_at_unix.max(other.found_at_unix);
        if self.what != other.what && !self.what.ends_with(AND_MORE) {
            self.what.push_str(AND_MORE);
        }
    }
}

const AND_MORE: &str = " (and more)";

/// All wounds of a shard, by their first token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wounds {
    wounds: Vec<Wound>,
    /// For each wound the largest last token among those up to it.
    reach: Vec<u128>,
}

impl Wounds {
    /// Adds a wound. Past [`WOUNDS_MAX`] the two neighbours that lie closest become one, which covers both and what is between.
    pub fn add(&mut self, wound: Wound) {
        // The same is found again by a recovery that was interrupted.
        let is_same = |known: &Wound| {
            let of = |wound: &Wound| (wound.from, wound.to, wound.upto, wound.keys, wound.cause);
            of(known) == of(&wound) && known.what == wound.what
        };
        if self.wounds.iter().any(is_same) {
            return;
        }
        let place = self.wounds.partition_point(|known| known.from <= wound.from);
        self.wounds.insert(place, wound);
        if self.wounds.len() > WOUNDS_MAX {
            self.join_closest();
        }
        let reaches = self.wounds.iter().scan(0, |reach, wound| {
            *reach = wound.to.max(*reach);
            Some(*reach)
        });
        self.reach = reaches.collect();
    }

    fn join_closest(&mut self) {
        let gap = |at: &usize| self.wounds[at + 1].from.saturating_sub(self.wounds[*at].to);
        let closest =
            (0..self.wounds.len() - 1).min_by_key(gap).expect("there are more than the bound, which is not 0");
        let later = self.wounds.remove(closest + 1);
        self.wounds[closest].merge(later);
    }

    /// The wound that covers `token` up to the latest record; `None` if there is none. Quick when there are no wounds.
    pub fn covers(&self, token: u128) -> Option<&Wound> {
        let begun = self.wounds.partition_point(|wound| wound.from <= token);
        let candidates = (0..begun).rev().take_while(|&at| token <= self.reach[at]).map(|at| &self.wounds[at]);
        candidates.filter(|wound| token <= wound.to).max_by_key(|wound| wound.upto)
    }

    /// May what record `lsn` wrote under `token` be old? `Lsn(0)` stands for "nothing is stored".
    pub fn hides(&self, token: u128, lsn: Lsn) -> bool {
        !self.wounds.is_empty() && self.covers(token).is_some_and(|wound| lsn <= wound.upto)
    }

    /// By first token.
    pub fn iter(&self) -> impl Iterator<Item = &Wound> {
        self.wounds.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.wounds.len()
    }

    /// Is nothing missing?
    pub fn is_empty(&self) -> bool {
        self.wounds.is_empty()
    }

    /// Forgets all of them: the losses are accepted, or healed.
    pub fn clear(&mut self) {
        *self = Wounds::default();
    }
}

/// The files of the wounds.
const TWIN: Twin = Twin { main: "wounds", copy: "wounds.copy" };
const MAGIC: [u8; 8] = *b"RONDOWND";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 32;
const WOUND_BYTES: usize = 64;
/// Stands for "how many is not known".
const KEYS_UNKNOWN: u64 = u64::MAX;

impl Wounds {
    /// Reads the wounds of the shard in `disk`; none if there is no file.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if neither file is good, [`StorageError::Foreign`] if they are of another version.
    pub async fn read<D: Disk>(disk: &D) -> Result<Wounds, StorageError> {
        let choice = Wounds::read_copies(disk).await?;
        match (choice.value, choice.bad.first()) {
            (Some((wounds, _)), _) => Ok(wounds),
            (None, None) => Ok(Wounds::default()),
            (None, Some((path, what))) => Err(StorageError::Damaged {
                path: (*path).to_owned(),
                offset: 0,
                what: what.clone(),
                remedy: "Start the node: it then takes everything for lost that it cannot vouch for",
            }),
        }
    }

    /// Reads both files, and says what is wrong with them.
    pub(crate) async fn read_copies<D: Disk>(disk: &D) -> Result<Choice<(Wounds, u64)>, StorageError> {
        TWIN.choose(TWIN.read(disk, decode).await?, VERSION)
    }

    /// Replaces the files durably; `sequence` is larger than that of what they held.
    pub(crate) async fn write<D: Disk>(&self, disk: &D, sequence: u64) -> Result<(), StorageError> {
        TWIN.write(disk, &self.encode(sequence)).await
    }

    /// Makes the wounds of a running shard durable: `self` are all that it has. `manifest` is the one in force, which says from
    /// then on that there are wounds; whoever writes it must write no other meanwhile.
    pub async fn note<D: Disk>(&self, disk: &D, manifest: &mut Manifest) -> Result<(), StorageError> {
        let sequence = Wounds::read_copies(disk).await?.value.map_or(0, |(_, sequence)| sequence);
        self.write(disk, sequence + 1).await?;
        if !manifest.is_wounded {
            let mut next = Manifest { is_wounded: true, ..manifest.clone() };
            next.write(disk).await?;
            *manifest = next;
        }
        Ok(())
    }

    /// Accepts the losses of a stopped shard: its keys are answered again, with what is there. Gives what was forgotten.
    ///
    /// # Errors
    /// As [`Manifest::read`] and [`Wounds::read`]; after an error some or all of it may be accepted already.
    pub async fn accept<D: Disk>(disk: &D) -> Result<Wounds, StorageError> {
        let choice = Wounds::read_copies(disk).await?;
        let (wounds, sequence) = choice.value.unwrap_or_default();
        if wounds.is_empty() && choice.bad.is_empty() {
            return Ok(wounds);
        }
        Wounds::default().write(disk, sequence + 1).await?;
        if let Some(mut manifest) = Manifest::read(disk).await? {
            manifest.is_wounded = false;
            manifest.write(disk).await?;
        }
        Ok(wounds)
    }

    /// Reads one file of wounds; the error says what is wrong with it.
    pub(crate) fn decode(file: &[u8]) -> Result<Wounds, String> {
        match decode(file) {
            Ok((_, (wounds, _))) => Ok(wounds),
            Err(CopyFault::Bad(what)) => Err(what),
            Err(CopyFault::Version(found)) => Err(format!("format version {found}")),
        }
    }

    /// The bytes of one file of wounds.
    pub(crate) fn encode(&self, sequence: u64) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&(self.wounds.len() as u32).to_le_bytes());
        for wound in &self.wounds {
            bytes.extend_from_slice(&wound.from.to_le_bytes());
            bytes.extend_from_slice(&wound.to.to_le_bytes());
            bytes.extend_from_slice(&wound.upto.0.to_le_bytes());
            bytes.extend_from_slice(&wound.keys.unwrap_or(KEYS_UNKNOWN).to_le_bytes());
            bytes.extend_from_slice(&wound.found_at_unix.to_le_bytes());
            let cause = WoundCause::ALL.iter().position(|cause| *cause == wound.cause).expect("ALL has all of them");
            let what = &wound.what.as_bytes()[..wound.what.floor_char_boundary(WOUND_TEXT_BYTES_MAX)];
            bytes.extend_from_slice(&(cause as u32 + 1).to_le_bytes());
            bytes.extend_from_slice(&(what.len() as u32).to_le_bytes());
            bytes.extend_from_slice(what);
        }
        let length = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

pub(crate) fn decode(file: &[u8]) -> Result<(u64, (Wounds, u64)), CopyFault> {
    let bad = |what: String| CopyFault::Bad(what);
    let Some(header) = file.get(..HEADER_BYTES).filter(|header| header[0..8] == MAGIC) else {
        return Err(bad("it does not begin with RONDOWND".to_owned()));
    };
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let u128_at = |bytes: &[u8], at: usize| u128::from_le_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"));
    let version = u16::from_le_bytes(header[8..10].try_into().expect("two bytes"));
    if version != VERSION {
        return Err(CopyFault::Version(version));
    }
    let (length, sequence, expected) = (u32_at(header, 12) as usize, u64_at(header, 16), u32_at(header, 28));
    let Some(body) = file.get(HEADER_BYTES..length) else {
        return Err(bad(format!("{} bytes, expected {length}", file.len())));
    };
    let found = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&header[..28]), &[0; 4]), body);
    if found != expected {
        return Err(bad(format!("checksum {found:08x}, expected {expected:08x}")));
    }
    let count = u32_at(header, 24) as usize;
    if WOUNDS_MAX < count {
        return Err(bad(format!("{count} wounds, at most {WOUNDS_MAX} are told apart")));
    }
    let (mut wounds, mut rest) = (Wounds::default(), body);
    for _ in 0..count {
        let Some((head, after)) = rest.split_at_checked(WOUND_BYTES) else {
            return Err(bad("a wound goes past the end".to_owned()));
        };
        let cause = (u32_at(head, 56) as usize).checked_sub(1).and_then(|place| WoundCause::ALL.get(place));
        let Some((&cause, (what, after))) = cause.zip(after.split_at_checked(u32_at(head, 60) as usize)) else {
            return Err(bad("a wound of an unknown cause, or one that goes past the end".to_owned()));
        };
        rest = after;
        let (from, to) = (u128_at(head, 0), u128_at(head, 16));
        if to < from || WOUND_TEXT_BYTES_MAX < what.len() {
            return Err(bad("a wound that ends before it begins, or says too much".to_owned()));
        }
        wounds.add(Wound {
            from,
            to,
            upto: Lsn(u64_at(head, 32)),
            keys: Some(u64_at(head, 40)).filter(|keys| *keys != KEYS_UNKNOWN),
            found_at_unix: u64_at(head, 48),
            cause,
            what: String::from_utf8_lossy(what).into_owned(),
        });
    }
    Ok((sequence, (wounds, sequence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wound(from: u128, to: u128, upto: u64) -> Wound {
        let what = format!("{from} to {to}");
        Wound { from, to, upto: Lsn(upto), keys: Some(1), cause: WoundCause::LogRot, what, found_at_unix: 9 }
    }

    fn wounds(all: &[(u128, u128, u64)]) -> Wounds {
        let mut wounds = Wounds::default();
        all.iter().for_each(|&(from, to, upto)| wounds.add(wound(from, to, upto)));
        wounds
    }

    #[test]
    fn a_key_is_hidden_by_the_wound_that_goes_furthest() {
        let wounds = wounds(&[(10, 90, 5), (20, 30, 9), (25, 25, 7), (95, 95, 3)]);
        let upto = |token: u128| wounds.covers(token).map(|wound| wound.upto.0);
        let found = [9, 10, 20, 25, 30, 31, 90, 91, 95, 96].map(upto);
        assert_eq!(found, [None, Some(5), Some(9), Some(9), Some(9), Some(5), Some(5), None, Some(3), None]);
        assert!(wounds.hides(25, Lsn(9)) && !wounds.hides(25, Lsn(10)) && !wounds.hides(9, Lsn(0)));
    }

    #[test]
    fn too_many_wounds_become_fewer_that_cover_as_much() {
        let all: Vec<(u128, u128, u64)> =
            (0..WOUNDS_MAX as u128 + 200).map(|n| (n * n * 10, n * n * 10, n as u64)).collect();
        let wounds = wounds(&all);
        assert_eq!(wounds.len(), WOUNDS_MAX);
        assert!(all.iter().all(|&(token, _, upto)| wounds.hides(token, Lsn(upto))));
        let keys: u64 = wounds.iter().filter_map(|wound| wound.keys).sum();
        assert_eq!(keys, all.len() as u64);
    }

    #[test]
    fn the_same_loss_found_twice_counts_once() {
        let wounds = wounds(&[(1, 1, 1), (1, 1, 1)]);
        assert_eq!((wounds.len(), wounds.covers(1).and_then(|wound| wound.keys)), (1, Some(1)));
    }
}
