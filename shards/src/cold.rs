//! Lookups that only the sorted store can answer: asked of the companion thread, a turn's worth at a time.

use rondo_protocol::Event;
use rondo_protocol::event::Found;
use rondo_protocol::ring::ObjectKey;
use rondo_protocol::ticket::Ticket;
use rondo_storage::limits::COLD_READS_MAX;
use rondo_storage::{ColdAnswer, ColdRead, Companion, CompanionAnswer, CompanionRequest, Delivery};

use crate::runtime::yield_if_needed;
use crate::shard::{Shard, SharedShard, found_object};

/// The companion, and what it is to be asked.
#[derive(Debug)]
pub(crate) struct ColdReads {
    companion: Companion,
    /// Bounded by the requests in flight: each waits for one lookup.
    waiting: Vec<ColdRead>,
    /// The companion is no more: nothing can be read outside memory.
    has_ended: bool,
    /// Why the sorted store is down, while it is.
    trouble: Option<String>,
}

impl ColdReads {
    /// Nothing asked yet.
    pub(crate) fn new(companion: Companion) -> ColdReads {
        ColdReads { companion, waiting: Vec::new(), has_ended: false, trouble: None }
    }

    /// True once the companion has ended unexpectedly: nothing more can be read from the sorted store.
    pub(crate) fn is_broken(&self) -> bool {
        self.has_ended
    }

    /// Why the sorted store is down, while it is.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Asks for a key at the end of the turn.
    pub(crate) fn ask(&mut self, ticket: Ticket, key: &ObjectKey) {
        self.waiting.push(ColdRead { tag: ticket.to_u64(), token: key.token().0, routed: key.routed().clone() });
    }

    /// Sends what was asked. What finds the companion's queue full stays until the next answer or beat.
    pub(crate) fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let rest = self.waiting.split_off(self.waiting.len().min(COLD_READS_MAX));
            let reads = core::mem::replace(&mut self.waiting, rest);
            if let Err(CompanionRequest::Get(mut reads)) = self.companion.ask(CompanionRequest::Get(reads)) {
                reads.append(&mut self.waiting);
                self.waiting = reads;
                return;
            }
        }
    }

    /// The companion itself, for checkpoints and its end.
    pub(crate) fn companion(&self) -> &Companion {
        &self.companion
    }
}

/// Takes in what the companion answers, as long as it lives.
pub(crate) async fn answer_pump(shard: SharedShard) {
    let answers = shard.with(|shard| shard.cold.companion.answers().clone());
    while let Ok(answer) = answers.recv_async().await {
        let is_last = shard.turn(|shard| shard.take_answer(answer));
        if is_last {
            break;
        }
        yield_if_needed().await;
    }
}

impl Shard {
    /// True if nothing more will come.
    fn take_answer(&mut self, answer: CompanionAnswer) -> bool {
        match answer {
            CompanionAnswer::Got(answers) => {
                answers.into_iter().for_each(|answer| self.take_cold(answer));
                false
            }
            CompanionAnswer::Applied { table, generation } => {
                self.checkpoint.applied = Some((table, generation));
                self.commit_bell.ring();
                false
            }
            CompanionAnswer::Down { reason, kind } => {
                tracing::error!(shard = self.index.0, reason, ?kind, "the sorted store is down; it is opened again");
                self.counters.store_failures += 1;
                self.cold.trouble = Some(reason);
                false
            }
            CompanionAnswer::Reopened { generation, wounds } => {
                tracing::info!(
                    shard = self.index.0,
                    generation,
                    wounds = wounds.len(),
                    "the sorted store is open again"
                );
                self.cold.trouble = None;
                self.upkeep.reopened(generation);
                if !wounds.is_empty() {
                    self.take_wounds(wounds);
                }
                false
            }
            CompanionAnswer::Failed(reason) => {
                self.break_cold(reason);
                true
            }
            CompanionAnswer::Stopped => {
                self.checkpoint.companion_has_ended = true;
                self.commit_bell.ring();
                true
            }
        }
    }

    fn take_cold(&mut self, ColdAnswer { read, found }: ColdAnswer) {
        self.is_inside_core = true;
        let found = match self.with_store(|store| store.loaded(read.token, &read.routed, found)) {
            Delivery::Object { object, lsn } => found_object(object, lsn),
            Delivery::Absent => Found::Nothing,
            Delivery::Unreadable => {
                self.counters.lookup_failures += 1;
                Found::Unreadable
            }
        };
        self.deliver(Event::Loaded { ticket: Ticket::from_u64(read.tag), found });
    }

    fn break_cold(&mut self, reason: String) {
        tracing::error!(shard = self.index.0, reason, "the companion has ended; keys outside memory are unreadable");
        self.cold.has_ended = true;
        self.cold.trouble = Some(reason);
        self.checkpoint.companion_has_ended = true;
        self.store.checkpoint_failed();
        self.commit_bell.ring();
        for read in core::mem::take(&mut self.cold.waiting) {
            self.counters.lookup_failures += 1;
            self.deliver(Event::Loaded { ticket: Ticket::from_u64(read.tag), found: Found::Unreadable });
        }
    }
}
