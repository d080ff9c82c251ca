//! Is our clock the wrong one?
//!
//! Each message tells its sender's clock. A message can only be late, never early, so a peer always looks a little
//! behind; the least delayed message of a short while tells best. When most peers agree that they differ from us by
//! too much, it is us: versions that we gave would win or lose unjustly, so we give none.

use crate::limits::{CLOCK_DRIFT_MAX, CLOCK_HEARD_WITHIN, CLOCK_PEERS_MAX, CLOCK_WINDOW};
use crate::node::NodeId;
use crate::now::{Instant, Now};

/// One peer's clock against ours.
#[derive(Debug)]
struct PeerClock {
    node: NodeId,
    /// Greatest offset (theirs minus ours, in milliseconds) of the present window and of the one before.
    offset_millis: i64,
    offset_millis_before: i64,
    window_start: Instant,
    heard: Instant,
}

/// All peers' clocks against ours.
#[derive(Debug, Default)]
pub(crate) struct ClockDrift {
    /// Sorted by node.
    peers: Vec<PeerClock>,
}

impl PeerClock {
    fn new(node: NodeId, offset_millis: i64, now: Instant) -> PeerClock {
        PeerClock { node, offset_millis, offset_millis_before: offset_millis, window_start: now, heard: now }
    }

    fn hear(&mut self, offset_millis: i64, now: Instant) {
        let age = now - self.window_start;
        if CLOCK_WINDOW * 2 < age {
            *self = PeerClock::new(self.node, offset_millis, now);
        } else if CLOCK_WINDOW < age {
            self.offset_millis_before = self.offset_millis;
            self.offset_millis = offset_millis;
            self.window_start = now;
        } else {
            self.offset_millis = self.offset_millis.max(offset_millis);
        }
        self.heard = now;
    }

    fn is_far(&self) -> bool {
        let offset_millis = self.offset_millis.max(self.offset_millis_before);
        u128::from(offset_millis.unsigned_abs()) > CLOCK_DRIFT_MAX.as_millis()
    }
}

impl ClockDrift {
    /// A message of `node` said `clock_millis`.
    pub(crate) fn hear(&mut self, node: NodeId, clock_millis: u64, now: Now) {
        let offset_millis = clock_millis.wrapping_sub(now.wall_millis).cast_signed();
        match self.peers.binary_search_by_key(&node, |peer| peer.node) {
            Ok(place) => self.peers[place].hear(offset_millis, now.instant),
            Err(place) if self.peers.len() < CLOCK_PEERS_MAX => {
                self.peers.insert(place, PeerClock::new(node, offset_millis, now.instant));
            }
            Err(_) => {} // A thousand others tell enough about our clock.
        }
    }

    /// Forgets the peers that are no longer members: the table is as long as the list of members at most.
    pub(crate) fn keep(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.peers.retain(|peer| is_member(peer.node));
    }

    /// Do most of the peers that were heard from lately differ too much from us?
    pub(crate) fn is_ours_off(&self, now: Now) -> bool {
        let mut heard = 0;
        let mut far = 0;
        for peer in self.peers.iter().filter(|peer| now.instant - peer.heard <= CLOCK_HEARD_WITHIN) {
            heard += 1;
            far += usize::from(peer.is_far());
        }
        far * 2 > heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(millis: u64) -> Now {
        Now { instant: Instant(0) + Duration::from_millis(millis), wall_millis: 1_000_000 + millis }
    }

    fn heard(drift: &mut ClockDrift, node: u32, now: Now, offset_millis: i64) {
        drift.hear(NodeId(node), now.wall_millis.wrapping_add_signed(offset_millis), now);
    }

    #[test]
    fn one_wrong_peer_of_two_does_not_make_us_wrong() {
        let mut drift = ClockDrift::default();
        heard(&mut drift, 1, at(0), 900);
        heard(&mut drift, 2, at(0), 10);
        assert!(!drift.is_ours_off(at(0)));
        heard(&mut drift, 2, at(2000), 800);
        assert!(drift.is_ours_off(at(2000)));
    }

    #[test]
    fn a_message_that_waited_in_a_queue_does_not_look_like_a_slow_clock() {
        let mut drift = ClockDrift::default();
        heard(&mut drift, 1, at(0), -1);
        heard(&mut drift, 1, at(400), -700);
        assert!(!drift.is_ours_off(at(400)));
    }

    #[test]
    fn a_peer_not_heard_from_for_long_is_not_asked() {
        let mut drift = ClockDrift::default();
        heard(&mut drift, 1, at(0), 900);
        assert!(drift.is_ours_off(at(9_000)));
        assert!(!drift.is_ours_off(at(11_000)));
    }
}
