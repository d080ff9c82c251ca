//! What can happen to a file on a disk that lies.

use crate::random::Dice;
use core::fmt;
use core::ops::Range;
use std::fs;
use std::io;
use std::path::Path;

const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;
/// How often another place is tried if the fault would change nothing.
const PLACES_MAX: u32 = 16;

/// One kind of damage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// One bit is the other one.
    FlippedBit,
    /// 512 bytes read as zero.
    ZeroedSector,
    /// 4,096 bytes read as zero.
    ZeroedPage,
    /// Two pages of the file have changed places.
    SwappedPages,
    /// A page holds one of another file: a write went astray.
    ForeignPage,
    /// A page holds noise.
    Garbage,
    /// The file ends too early.
    TruncatedTail,
    /// The file is gone.
    Deleted,
}

impl Fault {
    /// All of them, in the order of the table.
    pub const ALL: [Fault; 8] = [
        Fault::FlippedBit,
        Fault::ZeroedSector,
        Fault::ZeroedPage,
        Fault::SwappedPages,
        Fault::ForeignPage,
        Fault::Garbage,
        Fault::TruncatedTail,
        Fault::Deleted,
    ];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Fault::FlippedBit => "flipped bit",
            Fault::ZeroedSector => "zeroed 512 B",
            Fault::ZeroedPage => "zeroed 4 KiB",
            Fault::SwappedPages => "swapped pages",
            Fault::ForeignPage => "page of another file",
            Fault::Garbage => "garbage page",
            Fault::TruncatedTail => "truncated tail",
            Fault::Deleted => "file deleted",
        }
    }

    /// Damages the file at `path`; `donor` is another file of the directory. Says in words what was done.
    pub fn inject(self, path: &Path, donor: &Path, dice: &mut Dice) -> io::Result<String> {
        let before = fs::read(path)?;
        match self {
            Fault::Deleted => {
                fs::remove_file(path)?;
                return Ok(format!("deleted, it had {} bytes", before.len()));
            }
            Fault::TruncatedTail => {
                // As a rule it takes what was written, too, not only the zeros behind it.
                let written = before.iter().rposition(|&byte| byte != 0).map_or(before.len(), |last| last + 1);
                let behind = if dice.below(3) == 0 { before.len() } else { written };
                let kept = dice.below(behind as u64);
                fs::OpenOptions::new().write(true).open(path)?.set_len(kept)?;
                return Ok(format!("cut from {} to {kept} bytes", before.len()));
            }
            Fault::FlippedBit
            | Fault::ZeroedSector
            | Fault::ZeroedPage
            | Fault::SwappedPages
            | Fault::ForeignPage
            | Fault::Garbage => {}
        }
        let donor = fs::read(donor)?;
        let mut after = before.clone();
        let mut what = String::new();
        for _ in 0..PLACES_MAX {
            what = self.change(&mut after, &donor, dice);
            if after != before {
                break;
            }
        }
        fs::write(path, &after)?;
        Ok(what)
    }

    fn change(self, bytes: &mut [u8], donor: &[u8], dice: &mut Dice) -> String {
        let place = written_page(bytes, dice);
        let page = place..bytes.len().min(place + PAGE_BYTES);
        match self {
            Fault::FlippedBit => {
                let (byte, bit) = (written_byte(bytes, page.clone(), dice), dice.below(8));
                bytes[byte] ^= 1 << bit;
                format!("bit {bit} of byte {byte} flipped")
            }
            Fault::ZeroedSector => {
                let from = place + dice.below(page.len().div_ceil(SECTOR_BYTES) as u64) as usize * SECTOR_BYTES;
                let sector = from..bytes.len().min(from + SECTOR_BYTES);
                bytes[sector.clone()].fill(0);
                format!("bytes {sector:?} zeroed")
            }
            Fault::ZeroedPage => {
                bytes[page.clone()].fill(0);
                format!("bytes {page:?} zeroed")
            }
            Fault::SwappedPages => {
                let other = written_page(bytes, dice);
                let length = page.len().min(bytes.len() - other).min(place.abs_diff(other));
                let (low, high) = (place.min(other), place.max(other));
                let (front, back) = bytes.split_at_mut(high);
                front[low..low + length].swap_with_slice(&mut back[..length]);
                format!("pages at {low} and {high} swapped")
            }
            Fault::ForeignPage => {
                let from = written_page(donor, dice);
                let length = page.len().min(donor.len() - from);
                bytes[place..place + length].copy_from_slice(&donor[from..from + length]);
                format!("{length} bytes of another file at {place}")
            }
            Fault::Garbage => {
                dice.fill(&mut bytes[page.clone()]);
                format!("bytes {page:?} are noise")
            }
            Fault::TruncatedTail | Fault::Deleted => unreachable!("these do not change bytes"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a page begins, as a rule one that holds something: much of a preallocated file is zero.
fn written_page(bytes: &[u8], dice: &mut Dice) -> usize {
    let mut place = 0;
    for _ in 0..PLACES_MAX {
        place = dice.below(bytes.len().div_ceil(PAGE_BYTES) as u64) as usize * PAGE_BYTES;
        if bytes[place..bytes.len().min(place + PAGE_BYTES)].iter().any(|&byte| byte != 0) {
            break;
        }
    }
    place
}

/// A byte of the page, as a rule one with something near it.
fn written_byte(bytes: &[u8], page: Range<usize>, dice: &mut Dice) -> usize {
    let mut byte = page.start;
    for _ in 0..PLACES_MAX {
        byte = page.start + dice.below(page.len() as u64) as usize;
        if bytes[byte.saturating_sub(4)..bytes.len().min(byte + 4)].iter().any(|&near| near != 0) {
            break;
        }
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::Fault;
    use crate::random::Dice;
    use std::fs;

    #[test]
    fn every_fault_changes_the_file_and_nothing_else() {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let (path, donor) = (directory.path().join("file"), directory.path().join("donor"));
        for (number, fault) in (0..).zip(Fault::ALL.into_iter().cycle().take(200)) {
            let mut dice = Dice::new(1, number);
            let mut before = vec![0; 10_000];
            dice.fill(&mut before[..6_000]);
            fs::write(&path, &before).expect("written");
            fs::write(&donor, [7; 5_000]).expect("written");
            let what = fault.inject(&path, &donor, &mut dice).expect("injected");
            assert_ne!(fs::read(&path).ok(), Some(before), "{fault}: {what}");
            assert_eq!(fs::read(&donor).expect("there"), [7; 5_000]);
        }
    }
}
