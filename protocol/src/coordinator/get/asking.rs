//! Whom a get asks, and for how much.
//!
//! As few as can make the quorum, the own copy first; one of them in full. More only when one of these has failed,
//! hedging is due, or the answers differ and all must be told.

use super::Get;
use crate::coordinator::marks::Marks;
use crate::coordinator::turn::Turn;
use crate::ticket::Ticket;
use crate::wire::peer::PeerMessage;

impl Get {
    /// Asks until as many may answer as must, and one of them in full.
    pub(super) fn ask_enough(&mut self, ticket: Ticket, turn: &mut Turn<'_>) {
        while self.hopes().count() < self.plan.quorum.required() {
            let Some(place) = self.next_to_ask(turn) else { return };
            self.ask(place, !self.is_whole_coming(), ticket, turn);
        }
        // All digests, and whoever was to tell all of it has failed: somebody else must.
        if !self.is_whole_coming()
            && let Some(place) = self.next_to_tell_whole(turn)
        {
            self.ask(place, true, ticket, turn);
        }
    }

    /// Who has answered, or may.
    fn hopes(&self) -> Marks {
        let asked = if self.is_merging { self.asked_whole } else { self.asked };
        asked.without(self.plan.quorum.failed())
    }

    fn is_whole_coming(&self) -> bool {
        !self.whole.is_empty() || !self.asked_whole.without(self.plan.quorum.failed()).is_empty()
    }

    pub(super) fn next_to_ask(&self, turn: &Turn<'_>) -> Option<usize> {
        if self.is_merging { self.next_to_tell_whole(turn) } else { self.first_reachable(self.asked, turn) }
    }

    /// Rather one that was asked for its digest than a stranger.
    fn next_to_tell_whole(&self, turn: &Turn<'_>) -> Option<usize> {
        let unknown = Marks::ALL.without(self.asked);
        let known = self.asked_whole;
        self.first_reachable(known.or(unknown), turn).or_else(|| self.first_reachable(known, turn))
    }

    /// The own copy first, then in the order of the list; none of `but`.
    fn first_reachable(&self, but: Marks, turn: &Turn<'_>) -> Option<usize> {
        let passed_over = but.or(self.plan.quorum.failed());
        let mine = self.plan.me.map(usize::from).filter(|me| !passed_over.has(*me));
        mine.or_else(|| {
            let mut places = self.plan.nodes.iter().enumerate();
            places.find(|(place, node)| !passed_over.has(*place) && turn.shard.is_reachable(**node)).map(|(at, _)| at)
        })
    }

    pub(super) fn ask(&mut self, place: usize, whole: bool, ticket: Ticket, turn: &mut Turn<'_>) {
        let is_mine = self.plan.me.map(usize::from) == Some(place);
        let whole = whole || is_mine || self.is_merging;
        self.asked.set(place);
        if whole {
            self.asked_whole.set(place);
        }
        if is_mine {
            return turn.load(ticket, &self.key);
        }
        let message = PeerMessage::Fetch { ticket, key: self.key.clone(), digest_only: !whole };
        turn.send(self.plan.nodes[place], self.plan.vnode, message);
    }
}
