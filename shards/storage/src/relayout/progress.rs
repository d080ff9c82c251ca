//! How far a move is, and the word to stop it.

use super::{OnProgress, RelayoutError};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// What a move is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelayoutPhase {
    /// The old shards are opened, which may mean reading their logs.
    Opening,
    /// Objects are copied, and then read back.
    Copying,
    /// Everything is written and compared.
    Switching,
}

/// How far a move is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RelayoutProgress {
    /// What it is at.
    pub phase: RelayoutPhase,
    /// Objects copied so far.
    pub objects: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Copying is two thirds of the work, reading back the rest: tenths of a percent of both.
    pub permille: u16,
}

/// Gathers what the threads of a move have done. What is done is told by where they are on the ring, so that it needs no
/// guess about what is still to come.
pub(super) struct Watch<'a> {
    on_progress: OnProgress<'a>,
    is_stopped: AtomicBool,
    phase: AtomicU16,
    objects: AtomicU64,
    bytes: AtomicU64,
    /// First 16 bits of the token at which each source is, and each target when it is read back; past the end 2^16.
    copied: Vec<AtomicU32>,
    compared: Vec<AtomicU32>,
}

const RING_END: u32 = 1 << 16;
const PHASES: [RelayoutPhase; 3] = [RelayoutPhase::Opening, RelayoutPhase::Copying, RelayoutPhase::Switching];

impl<'a> Watch<'a> {
    pub(super) fn new(on_progress: OnProgress<'a>, sources: u16, targets: u16) -> Watch<'a> {
        let positions = |count: u16| (0..count).map(|_| AtomicU32::new(0)).collect();
        Watch {
            on_progress,
            is_stopped: AtomicBool::new(false),
            phase: AtomicU16::new(0),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            copied: positions(sources),
            compared: positions(targets),
        }
    }

    /// Ends the move: whoever asks for leave to go on gets none.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, phase: RelayoutPhase) -> Result<(), RelayoutError> {
        let number = PHASES.iter().position(|&known| known == phase).expect("all phases are in the list");
        self.phase.store(number as u16, Ordering::Relaxed);
        self.tell()
    }

    /// So much was copied, and `source` goes on at `token`, or is through.
    pub(super) fn copied(
        &self,
        source: u16,
        token: Option<u128>,
        objects: u64,
        bytes: u64,
    ) -> Result<(), RelayoutError> {
        self.objects.fetch_add(objects, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.copied[usize::from(source)].store(position(token), Ordering::Relaxed);
        self.tell()
    }

    /// `target` was read back up to `token`, or to its end.
    pub(super) fn compared(&self, target: u16, token: Option<u128>) -> Result<(), RelayoutError> {
        self.compared[usize::from(target)].store(position(token), Ordering::Relaxed);
        self.tell()
    }

    fn tell(&self) -> Result<(), RelayoutError> {
        let progress = RelayoutProgress {
            phase: PHASES[usize::from(self.phase.load(Ordering::Relaxed))],
            objects: self.objects.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            permille: (mean(&self.copied) * 2 + mean(&self.compared)) as u16,
        };
        if self.is_stopped() || (self.on_progress)(&progress).is_break() {
            self.stop();
            return Err(RelayoutError::Interrupted);
        }
        Ok(())
    }
}

fn position(token: Option<u128>) -> u32 {
    token.map_or(RING_END, |token| (token >> 112) as u32)
}

/// The mean of some positions, where the end is 1000 / 3.
fn mean(positions: &[AtomicU32]) -> u64 {
    let sum: u64 = positions.iter().map(|position| u64::from(position.load(Ordering::Relaxed))).sum();
    sum * 1000 / (3 * u64::from(RING_END) * positions.len().max(1) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ops::ControlFlow;
    use std::sync::Mutex;

    #[test]
    fn the_way_is_measured_on_the_ring_and_ends_near_a_thousand() {
        let told = Mutex::new(Vec::new());
        let on_progress = |progress: &RelayoutProgress| {
            told.lock().expect("one thread").push(progress.permille);
            ControlFlow::Continue(())
        };
        let watch = Watch::new(&on_progress, 2, 1);
        watch.copied(0, Some(1 << 127), 1, 1).expect("nobody stops it");
        watch.copied(0, None, 1, 1).expect("nobody stops it");
        watch.copied(1, None, 1, 1).expect("nobody stops it");
        watch.compared(0, None).expect("nobody stops it");
        assert_eq!(*told.lock().expect("one thread"), [166, 332, 666, 999]);
    }

    #[test]
    fn who_says_stop_is_obeyed_by_all_threads() {
        let watch = Watch::new(&|_| ControlFlow::Break(()), 1, 1);
        assert!(matches!(watch.begin(RelayoutPhase::Copying), Err(RelayoutError::Interrupted)));
        assert!(watch.is_stopped());
    }
}
