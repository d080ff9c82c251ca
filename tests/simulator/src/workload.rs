//! What the clients do, drawn from the seed: few keys, so that they meet.

use rondo_protocol::wire::request::{Level, RequestOptions};

use crate::client::{Target, Wish};
use crate::cluster::Cluster;
use crate::fault::Seat;
use crate::history::{Key, Kind};
use crate::profile::WorkloadMix;
use crate::random::Random;

/// Items of a batch, at most: enough to be split between shards.
const BATCH_ITEMS_MAX: usize = 5;

/// The drawing of wishes.
#[derive(Debug)]
pub struct Workload {
    mix: WorkloadMix,
    random: Random,
    operations_left: usize,
}

impl Workload {
    /// A workload that has all its operations before it.
    pub fn new(mix: WorkloadMix, random: Random) -> Workload {
        Workload { mix, random, operations_left: mix.operations }
    }

    /// Operations still to be asked.
    pub fn operations_left(&self) -> usize {
        self.operations_left
    }

    /// The mix.
    pub fn mix(&self) -> &WorkloadMix {
        &self.mix
    }

    /// Its cards.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// What a client asks next: one request, or a get and the write that follows from it; nothing at the end.
    pub fn draw(&mut self, cluster: &Cluster) -> Vec<Wish> {
        if self.operations_left == 0 {
            return Vec::new();
        }
        let key = self.draw_key();
        let writes = self.random.happens(self.mix.writes);
        if self.random.happens(self.mix.batches) {
            return vec![self.draw_batch(cluster, key, writes)];
        }
        if !writes {
            return vec![self.wish(cluster, vec![(key, Kind::Get)], false)];
        }
        let write = self.draw_write();
        if !self.random.happens(self.mix.informed) {
            return vec![self.wish(cluster, vec![(key, write)], false)];
        }
        let read = self.wish(cluster, vec![(key, Kind::Get)], false);
        vec![read, self.wish(cluster, vec![(key, write)], true)]
    }

    fn draw_write(&mut self) -> Kind {
        if self.random.happens(self.mix.deletes) {
            return Kind::Delete;
        }
        self.draw_put()
    }

    fn draw_put(&mut self) -> Kind {
        Kind::Put { value_bytes: self.random.between(8, self.mix.value_bytes_max as u64) as usize }
    }

    // A batch never deletes, because at most one delete of a key may be unsettled; and no key comes twice in it, so that its items have no order.
    fn draw_batch(&mut self, cluster: &Cluster, first: Key, writes: bool) -> Wish {
        let mut keys = vec![first];
        for _ in 1..BATCH_ITEMS_MAX {
            let key = self.draw_key();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let items = keys.into_iter().map(|key| (key, if writes { self.draw_put() } else { Kind::Get })).collect();
        self.wish(cluster, items, false)
    }

    fn wish(&mut self, cluster: &Cluster, items: Vec<(Key, Kind)>, informed: bool) -> Wish {
        self.operations_left = self.operations_left.saturating_sub(items.len());
        let level = self.draw_level();
        let target = self.draw_target(cluster, items[0].0);
        let options = RequestOptions { replicas: 0, level, timeout: self.mix.timeout };
        Wish { items, options, required: cluster.required(level), informed, target }
    }

    fn draw_key(&mut self) -> Key {
        let lww = self.random.happens(self.mix.lww);
        Key { lww, number: self.random.index(self.mix.keys) }
    }

    fn draw_level(&mut self) -> Level {
        if self.random.happens(self.mix.default_level) {
            return Level::Default;
        }
        *self.random.pick(&[Level::One, Level::Quorum, Level::All, Level::Count(1), Level::Count(2), Level::Count(3)])
    }

    fn draw_target(&mut self, cluster: &Cluster, key: Key) -> Target {
        if self.random.happens(self.mix.stray) {
            let seat = Seat(self.random.index(cluster.nodes()));
            return (seat, self.random.below(u64::from(cluster.shards(seat).get())) as u16);
        }
        let replicas = cluster.replicas(key);
        let seat = *self.random.pick(&replicas);
        (seat, cluster.owning_shard(seat, &key.object_key()).0)
    }
}
