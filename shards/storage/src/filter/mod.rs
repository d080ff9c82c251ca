//! Which keys the sorted store may have: a *no* is certain, and spares the disk a question.
//!
//! Think of a doorman who remembers faces roughly. Whom he has never seen he sends away at once; now and then (about one
//! stranger in a hundred) he takes a stranger for a guest and lets him look inside in vain.
//!
//! ```text
//! token │ vnode │ 32 bits: which block │ 32 bits: which bits of it │ …
//!           └─► VnodeFilter: layers of split blocks, the sum of which doubles whenever the last one is full
//! ```
//! One filter a vnode, so that a vnode can be counted, given up and taken over by itself. Nobody knows beforehand how many
//! keys come, so a filter grows by layers, each as large as all before it and a little stricter (Almeida, Baquero,
//! Preguiça, Hutchison: "Scalable Bloom Filters", 2007). The token is a hash already; its bits are used as they are.
//!
//! Bounded: where the bound would be passed, the vnode that wants to grow is *open* from then on: it lets everybody in,
//! and its memory goes to the others. Filling it when the store is opened is [`crate::key_journal`]'s work.

mod layer;

use layer::{BLOCK_BITS, Layer};

/// Blocks of a vnode's first layer, unless more keys are expected: 128 bytes, room for 73 keys.
const FIRST_BLOCKS: usize = 4;
/// Half bits for each key of a first layer: 14 bits, of which one stranger in 390 finds his own set.
const HALF_BITS_FIRST: u64 = 28;
/// Each further layer gives its keys half a bit more, which makes it err 0.85 times as often: all layers together, however
/// many, let in less than two strangers in a hundred.
const HALF_BITS_STEP: u64 = 1;
/// Half bits for each key past which no layer goes: it errs so seldom that it does not matter.
const HALF_BITS_MAX: u64 = 48;

/// The filters of all vnodes of one shard.
#[derive(Debug)]
pub struct KeyFilter {
    vnodes: Vec<VnodeFilter>,
    vnode_bits: u8,
    bytes: usize,
    bytes_max: usize,
    keys: u64,
    vnodes_open: u32,
}

/// The filter of one vnode.
#[derive(Debug, Default)]
struct VnodeFilter {
    layers: Vec<Layer>,
    /// Keys that the last layer still has room for.
    room: u64,
    /// It has given up: everybody may be inside.
    is_open: bool,
}

impl KeyFilter {
    /// A filter that knows no key yet, for a ring of `2^vnode_bits` vnodes. `bytes_max` bounds its layers; the table of
    /// vnodes (40 bytes each) comes on top.
    ///
    /// # Panics
    /// If the ring has more than 2^16 vnodes.
    pub fn new(vnode_bits: u8, bytes_max: usize) -> KeyFilter {
        assert!(vnode_bits <= 16, "a ring of 2^{vnode_bits} vnodes");
        let mut vnodes = Vec::new();
        vnodes.resize_with(1 << vnode_bits, VnodeFilter::default);
        let bytes = vnodes.len() * size_of::<VnodeFilter>();
        KeyFilter { vnodes, vnode_bits, bytes, bytes_max: bytes_max + bytes, keys: 0, vnodes_open: 0 }
    }

    /// Says how many keys of a vnode are about to come, before the first of them: they then share one layer, with room for
    /// a quarter as many more.
    pub fn expect_keys(&mut self, vnode: usize, keys: u64) {
        let blocks = blocks_for(keys + keys / 4, HALF_BITS_FIRST).max(FIRST_BLOCKS);
        if keys > 0 && self.vnodes[vnode].layers.is_empty() && !self.vnodes[vnode].is_open {
            self.grow(vnode, blocks);
        }
    }

    /// Remembers a key.
    pub fn insert(&mut self, token: u128) {
        let (vnode, hash) = self.split(token);
        if self.vnodes[vnode].contains(hash) {
            return;
        }
        if self.vnodes[vnode].room == 0 {
            let blocks = self.vnodes[vnode].blocks().max(FIRST_BLOCKS);
            self.grow(vnode, blocks);
        }
        self.keys += 1;
        self.vnodes[vnode].insert(hash);
    }

    /// May the key be there? False is certain.
    pub fn contains(&self, token: u128) -> bool {
        let (vnode, hash) = self.split(token);
        self.vnodes[vnode].contains(hash)
    }

    /// Has the vnode of this token given up? Then [`contains`](KeyFilter::contains) is always true.
    pub fn is_open(&self, token: u128) -> bool {
        self.vnodes[self.split(token).0].is_open
    }

    /// From now on every key of the vnodes from that of `from` to that of `to` may be there: what they hold is not known.
    pub fn open(&mut self, from: u128, to: u128) {
        for vnode in self.split(from).0..=self.split(to).0 {
            self.give_up(vnode);
        }
    }

    /// What it weighs, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys that were new to it: a few less than were inserted, because it takes some for known.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Vnodes that have given up.
    pub fn vnodes_open(&self) -> u32 {
        self.vnodes_open
    }

    /// Vnodes of the ring.
    pub fn vnodes(&self) -> usize {
        self.vnodes.len()
    }

    /// The vnode of a token.
    pub fn vnode_of(&self, token: u128) -> usize {
        self.split(token).0
    }

    /// The vnode, and the 64 bits behind its number.
    fn split(&self, token: u128) -> (usize, u64) {
        let bits = u32::from(self.vnode_bits);
        let vnode = if bits == 0 { 0 } else { (token >> (128 - bits)) as usize };
        (vnode, ((token << bits) >> 64) as u64)
    }

    /// Gives a vnode another layer, or opens it if the bound does not allow that.
    fn grow(&mut self, vnode: usize, blocks: usize) {
        let filter = &mut self.vnodes[vnode];
        let bytes = filter.bytes_with(blocks);
        if self.bytes + bytes > self.bytes_max {
            return self.give_up(vnode);
        }
        self.bytes += bytes;
        filter.room = room_of(blocks, filter.layers.len());
        filter.layers.reserve_exact(1);
        filter.layers.push(Layer::new(blocks));
    }

    fn give_up(&mut self, vnode: usize) {
        let filter = &mut self.vnodes[vnode];
        if filter.is_open {
            return;
        }
        self.bytes -= filter.layers.iter().map(|layer| layer.bytes() + size_of::<Layer>()).sum::<usize>();
        *filter = VnodeFilter { is_open: true, ..VnodeFilter::default() };
        self.vnodes_open += 1;
    }
}

impl VnodeFilter {
    fn contains(&self, hash: u64) -> bool {
        // The last layer has most of the keys.
        self.is_open || self.layers.iter().rev().any(|layer| layer.contains(hash))
    }

    fn insert(&mut self, hash: u64) {
        let Some(layer) = self.layers.last_mut() else { return }; // It is open.
        layer.insert(hash);
        self.room -= 1;
    }

    fn blocks(&self) -> usize {
        self.layers.iter().map(Layer::blocks).sum()
    }

    fn bytes_with(&self, blocks: usize) -> usize {
        blocks * layer::BLOCK_BYTES + size_of::<Layer>()
    }
}

/// Keys that a layer of so many blocks has room for, if so many layers are before it.
fn room_of(blocks: usize, layers_before: usize) -> u64 {
    blocks as u64 * BLOCK_BITS * 2 / (HALF_BITS_FIRST + HALF_BITS_STEP * layers_before as u64).min(HALF_BITS_MAX)
}

fn blocks_for(keys: u64, half_bits: u64) -> usize {
    usize::try_from((keys * half_bits).div_ceil(2 * BLOCK_BITS)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 1 << 30;

    /// Tokens that look like those of a good hash, and differ from stream to stream.
    fn tokens(stream: u64, count: u64) -> impl Iterator<Item = u128> {
        let mut state = u128::from(stream) << 64 | 0x9e37_79b9_7f4a_7c15;
        (0..count).map(move |_| {
            state =
                state.wrapping_mul(0xda94_2042_e4dd_58b5_0000_0000_0000_0001 | 0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let mixed = (state ^ (state >> 61)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            mixed ^ (mixed >> 67)
        })
    }

    /// How often strangers are let in.
    fn error_rate(filter: &KeyFilter) -> f64 {
        let strangers = 40_000;
        tokens(7_777, strangers).filter(|&token| filter.contains(token)).count() as f64 / strangers as f64
    }

    #[test]
    fn it_errs_less_than_twice_in_a_hundred_at_every_fill_and_weighs_a_few_bytes_a_key() {
        let mut filter = KeyFilter::new(4, ROOM);
        let mut next = tokens(1, 1 << 18);
        for grade in [100, 1_000, 3_000, 10_000, 30_000, 50_000, 100_000, 200_000] {
            while filter.keys() < grade
                && let Some(token) = next.next()
            {
                filter.insert(token);
            }
            let (rate, weight) = (error_rate(&filter), filter.bytes() as f64 / filter.keys() as f64);
            eprintln!("{:8} keys: {:.2} % let in, {weight:.2} bytes a key", filter.keys(), rate * 100.0);
            assert!(rate < 0.02, "{grade} keys: {rate}");
            assert!(weight < 5.0 || grade < 3_000, "{grade} keys: {weight} bytes each");
        }
    }

    #[test]
    fn with_the_number_of_keys_known_one_layer_of_two_bytes_a_key_does() {
        let mut filter = KeyFilter::new(4, ROOM);
        let keys = 160_000;
        (0..16).for_each(|vnode| filter.expect_keys(vnode, keys / 16));
        tokens(2, keys).for_each(|token| filter.insert(token));
        let (rate, weight) = (error_rate(&filter), filter.bytes() as f64 / keys as f64);
        eprintln!("{keys} keys expected: {:.2} % let in, {weight:.2} bytes a key", rate * 100.0);
        assert!(filter.vnodes.iter().all(|vnode| vnode.layers.len() == 1), "vnodes of about equal size");
        assert!(rate < 0.005 && weight < 2.3, "{rate}, {weight}");
    }

    #[test]
    fn past_its_bound_a_vnode_lets_everybody_in_and_the_bound_holds() {
        let (bits, bound) = (4, 20_000);
        let mut filter = KeyFilter::new(bits, bound);
        for token in tokens(3, 50_000) {
            filter.insert(token);
            assert!(filter.contains(token));
            assert!(filter.bytes() <= bound + 16 * size_of::<VnodeFilter>(), "{} bytes", filter.bytes());
        }
        assert!(filter.vnodes_open() > 0);
        assert!(tokens(3, 50_000).all(|token| filter.contains(token)));
    }

    #[test]
    fn opened_vnodes_let_everybody_in_and_their_neighbours_do_not() {
        let mut filter = KeyFilter::new(8, ROOM);
        filter.open(0x1f << 120, 0x21 << 120);
        let is_let_in = |vnode: u128| filter.contains(vnode << 120 | 12_345);
        assert_eq!([0x1e, 0x1f, 0x20, 0x21, 0x22].map(is_let_in), [false, true, true, true, false]);
        assert_eq!(filter.vnodes_open(), 3);
    }

    proptest! {
        #[test]
        fn it_never_denies_what_it_was_told(
            bits in 0u8..=16,
            bound in prop::sample::select(vec![0usize, 1_000, 100_000, ROOM]),
            expected in prop::option::of(0u64..500),
            keys in prop::collection::vec(any::<u128>(), 0..600),
            clustered in prop::collection::vec(0u128..1 << 24, 0..600),
        ) {
            let mut filter = KeyFilter::new(bits, bound);
            let all: Vec<u128> = keys.into_iter().chain(clustered).collect();
            if let (Some(expected), Some(&first)) = (expected, all.first()) {
                filter.expect_keys(filter.vnode_of(first), expected);
            }
            for (told, &token) in all.iter().enumerate() {
                filter.insert(token);
                for &earlier in all[..=told].iter().rev().take(8) {
                    prop_assert!(filter.contains(earlier));
                }
            }
            prop_assert!(all.iter().all(|&token| filter.contains(token)));
        }
    }
}
