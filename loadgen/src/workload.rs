//! What one thread asks next.

use std::sync::Arc;

use ahash::AHashSet;

use crate::plan::{Plan, Run, Work};
use crate::random::Random;
use crate::tally::Kind;

/// An operation to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Next {
    pub(crate) kind: Kind,
    pub(crate) key_index: u64,
}

/// The sequence of one thread's operations.
#[derive(Debug)]
pub(crate) struct Workload {
    plan: Arc<Plan>,
    thread: usize,
    random: Random,
    /// How far through the keys, where each is visited once.
    cursor: u64,
    /// Keys that are being written, where writes are recorded: a key's writes follow each other.
    written: AHashSet<u64>,
}

/// Draws of a key that is not being written before a get is made instead.
const DRAWS_MAX: usize = 16;

impl Workload {
    pub(crate) fn new(plan: Arc<Plan>, thread: usize) -> Workload {
        let random = plan.random(thread);
        Workload { plan, thread, random, cursor: thread as u64, written: AHashSet::new() }
    }

    /// The next operation; `None` if all is done.
    pub(crate) fn next(&mut self) -> Option<Next> {
        let plan = self.plan.clone();
        match &plan.work {
            Work::Run(run) => {
                let is_get = self.random.next_unit() < run.reads;
                if !is_get && self.plan.is_recording {
                    return Some(self.next_recorded_put(run));
                }
                let kind = if is_get { Kind::Get } else { Kind::Put };
                Some(Next { kind, key_index: run.distribution.draw(&mut self.random) })
            }
            Work::Load { keys } => self.visit(*keys).map(|key_index| Next { kind: Kind::Put, key_index }),
            Work::Verify { keys, .. } => {
                let place = self.visit(keys.len() as u64)?;
                Some(Next { kind: Kind::Get, key_index: keys[place as usize] })
            }
        }
    }

    /// A put of a key that belongs to this thread and is not being written.
    fn next_recorded_put(&mut self, run: &Run) -> Next {
        let threads = self.plan.threads as u64;
        for _ in 0..DRAWS_MAX {
            let drawn = run.distribution.draw(&mut self.random);
            let own = drawn - drawn % threads + self.thread as u64;
            let key_index = if own < run.keys { own } else { own.saturating_sub(threads) };
            if key_index < run.keys && key_index % threads == self.thread as u64 && self.written.insert(key_index) {
                return Next { kind: Kind::Put, key_index };
            }
        }
        Next { kind: Kind::Get, key_index: run.distribution.draw(&mut self.random) }
    }

    /// A put is over: the key may be written again.
    pub(crate) fn written(&mut self, key_index: u64) {
        self.written.remove(&key_index);
    }

    /// The next of `count` places that is this thread's.
    fn visit(&mut self, count: u64) -> Option<u64> {
        let place = self.cursor;
        if place >= count {
            return None;
        }
        self.cursor += self.plan.threads as u64;
        Some(place)
    }

    /// Any random number.
    pub(crate) fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}
