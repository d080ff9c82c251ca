//! The links between nodes, and what happens to messages on them.
//!
//! Between two nodes there is one link each way. A link is up or down in the eyes of its sender, who learns late of a
//! dead peer or a partition; what is sent meanwhile is lost. Each pair of shards has its own lane on the link, and on a
//! lane messages keep their order unless the dice say otherwise.

use core::time::Duration;
use std::collections::BTreeMap;

use rondo_protocol::node::ShardIndex;
use rondo_protocol::now::Instant;

use crate::coverage::Coverage;
use crate::fault::{FaultKind, Seat};
use crate::profile::NetworkMix;
use crate::random::{Permille, Random};

/// Every link, and what the network does to it.
#[derive(Debug)]
pub struct Network {
    nodes: usize,
    mix: NetworkMix,
    random: Random,
    links: Vec<Link>,
    /// Closed ways, from first to second.
    closed: Vec<bool>,
}

/// Which life of which node, if it is up.
pub type Life = Option<u64>;

#[derive(Clone, Debug, Default)]
struct Link {
    /// The lives of sender and receiver that it connects.
    up: Option<(u64, u64)>,
    trouble_since: Option<Instant>,
    lanes: BTreeMap<(ShardIndex, ShardIndex), Instant>,
}

/// What the sender of a link has to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkNews {
    /// It may send.
    Up,
    /// It may not.
    Down,
}

impl Network {
    /// All links down, no way closed.
    pub fn new(nodes: usize, mix: NetworkMix, random: Random) -> Network {
        Network { nodes, mix, random, links: vec![Link::default(); nodes * nodes], closed: vec![false; nodes * nodes] }
    }

    /// Closes or opens the way from `from` to `to`.
    pub fn set_closed(&mut self, from: Seat, to: Seat, closed: bool) {
        let place = self.place(from, to);
        self.closed[place] = closed;
    }

    /// All ways are open, and messages are not lost any more.
    pub fn mend(&mut self) {
        self.closed.fill(false);
    }

    /// From now on messages only take their time.
    pub fn calm_down(&mut self) {
        self.mend();
        self.mix = NetworkMix {
            drop: Permille(0),
            duplicate: Permille(0),
            reorder: Permille(0),
            delay: Permille(0),
            ..self.mix
        };
    }

    /// When the next look at a link is due.
    pub fn next_look(&mut self) -> Duration {
        self.random.time(Duration::from_millis(10), Duration::from_millis(60))
    }

    /// Looks at the link from `from` (in its present life) to `to`: did it come up, or is it to be given up?
    pub fn look(&mut self, now: Instant, (from, own): (Seat, Life), (to, peer): (Seat, Life)) -> Option<LinkNews> {
        let closed = self.closed[self.place(from, to)] || self.closed[self.place(to, from)];
        let place = self.place(from, to);
        let peer_died = self.links[place].up.is_some_and(|(_, connected)| peer != Some(connected));
        // A dead process is noticed at once as often as not: its machine says so.
        let noticed_at_once = peer_died && self.random.happens(Permille(500));
        let silence = if noticed_at_once { Duration::ZERO } else { self.mix.silence };
        let link = &mut self.links[place];
        let wanted = own.zip(peer);
        match link.up {
            None if wanted.is_some() && !closed => {
                *link = Link { up: wanted, ..Link::default() };
                Some(LinkNews::Up)
            }
            None => None,
            Some(lives) if Some(lives) == wanted && !closed => {
                link.trouble_since = None;
                None
            }
            Some((own_life, _)) if own != Some(own_life) => {
                *link = Link::default();
                None
            }
            Some(_) => {
                let since = *link.trouble_since.get_or_insert(now);
                let down = now - since >= silence;
                if down {
                    *link = Link::default();
                }
                down.then_some(LinkNews::Down)
            }
        }
    }

    /// The sender closes the link. True if it was up.
    pub fn close(&mut self, from: Seat, to: Seat) -> bool {
        let place = self.place(from, to);
        core::mem::take(&mut self.links[place]).up.is_some()
    }

    /// The receiver's life that the link from `from` leads to, if it is up.
    pub fn receiver(&self, from: Seat, to: Seat) -> Option<u64> {
        self.links[self.place(from, to)].up.map(|(_, peer)| peer)
    }

    /// Decides when a message on an open link arrives: never, once or twice.
    pub fn send(
        &mut self,
        now: Instant,
        (from, to): (Seat, Seat),
        lane: (ShardIndex, ShardIndex),
        may_come_twice: bool,
        coverage: &mut Coverage,
    ) -> Vec<Instant> {
        let place = self.place(from, to);
        if self.closed[place] {
            let other_way_open = !self.closed[self.place(to, from)];
            coverage.met(if other_way_open { FaultKind::OneWay } else { FaultKind::Partition });
            return Vec::new();
        }
        if self.random.happens(self.mix.drop) {
            coverage.met(FaultKind::Drop);
            return Vec::new();
        }
        let mut arrivals = vec![self.arrival(now, place, lane, coverage)];
        if may_come_twice && self.random.happens(self.mix.duplicate) {
            coverage.met(FaultKind::Duplicate);
            arrivals.push(self.arrival(now, place, lane, coverage));
        }
        arrivals
    }

    fn arrival(
        &mut self,
        now: Instant,
        place: usize,
        lane: (ShardIndex, ShardIndex),
        coverage: &mut Coverage,
    ) -> Instant {
        let (quickest, slowest) = self.mix.latency;
        let mut arrival = now + self.random.time(quickest, slowest);
        if self.random.happens(self.mix.delay) {
            let delay = self.random.time(Duration::ZERO, self.mix.delay_max);
            if delay > quickest * 10 {
                coverage.met(FaultKind::Delay);
            }
            arrival = arrival + delay;
        }
        let last = self.links[place].lanes.entry(lane).or_default();
        if self.random.happens(self.mix.reorder) {
            if arrival < *last {
                coverage.met(FaultKind::Reorder);
            }
            return arrival;
        }
        *last = arrival.max(*last);
        *last
    }

    fn place(&self, from: Seat, to: Seat) -> usize {
        from.0 * self.nodes + to.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    const A: Seat = Seat(0);
    const B: Seat = Seat(1);
    const LANE: (ShardIndex, ShardIndex) = (ShardIndex(0), ShardIndex(0));

    fn network() -> Network {
        let mut network = Network::new(2, Profile::calm(2, 1).network, Random::from_seed(1));
        assert_eq!(network.look(Instant(0), (A, Some(1)), (B, Some(1))), Some(LinkNews::Up));
        network
    }

    fn at(millis: u64) -> Instant {
        Instant(millis * 1_000_000)
    }

    #[test]
    fn a_partition_is_noticed_after_a_silence_and_mended_at_the_next_look() {
        let mut network = network();
        network.set_closed(B, A, true);
        assert_eq!(network.look(at(1), (A, Some(1)), (B, Some(1))), None);
        assert_eq!(network.look(at(5000), (A, Some(1)), (B, Some(1))), Some(LinkNews::Down));
        network.mend();
        assert_eq!(network.look(at(5001), (A, Some(1)), (B, Some(1))), Some(LinkNews::Up));
    }

    #[test]
    fn a_peer_that_came_back_is_another_one_until_the_link_is_made_again() {
        let mut network = network();
        assert_eq!(network.receiver(A, B), Some(1));
        let mut looks = (1..).map(|millis| network.look(at(millis), (A, Some(1)), (B, Some(2))));
        assert_eq!(looks.find_map(|news| news), Some(LinkNews::Down));
        assert_eq!(looks.next(), Some(Some(LinkNews::Up)));
        drop(looks);
        assert_eq!(network.receiver(A, B), Some(2));
    }

    #[test]
    fn messages_of_a_lane_keep_their_order_on_a_calm_network() {
        let mut network = network();
        let mut coverage = Coverage::default();
        let arrivals: Vec<Instant> =
            (0..100).flat_map(|sent| network.send(Instant(sent), (A, B), LANE, true, &mut coverage)).collect();
        assert_eq!(arrivals.len(), 100);
        assert!(arrivals.is_sorted());
    }

    #[test]
    fn nothing_passes_a_closed_way_and_it_is_counted() {
        let mut network = network();
        let mut coverage = Coverage::default();
        network.set_closed(A, B, true);
        assert_eq!(network.send(Instant(0), (A, B), LANE, true, &mut coverage), []);
        assert_eq!(coverage.effects.get(&FaultKind::OneWay), Some(&1));
    }
}
