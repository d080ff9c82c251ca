//! One split-block Bloom filter: a fixed number of blocks of 256 bits, in each of which a key sets eight.
//!
//! The block, the eight odd numbers and the way a bit is chosen are those of the Parquet specification ("Parquet Bloom
//! Filter", after Putze, Sanders and Singler: "Cache-, Hash- and Space-Efficient Bloom Filters"), with another hash: half
//! of the 64 bits that are handed in choose the block, the other half the bits inside it. A question touches one block,
//! hence one line of the processor's cache.

/// Bits of a block.
pub(super) const BLOCK_BITS: u64 = 256;
/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = size_of::<Block>();
/// One for each of a block's eight words.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Block([u32; 8]);

/// A filter for about so many keys as it was made for; with more of them it errs more.
#[derive(Debug)]
pub(super) struct Layer {
    blocks: Box<[Block]>,
}

impl Layer {
    /// An empty one.
    pub(super) fn new(blocks: usize) -> Layer {
        Layer { blocks: vec![Block([0; 8]); blocks].into_boxed_slice() }
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let place = self.place(hash);
        let bits = bits_of(hash);
        self.blocks[place].0.iter_mut().zip(bits).for_each(|(word, bit)| *word |= bit);
    }

    /// False: it was never inserted.
    pub(super) fn contains(&self, hash: u64) -> bool {
        let block = &self.blocks[self.place(hash)];
        block.0.iter().zip(bits_of(hash)).all(|(word, bit)| word & bit != 0)
    }

    /// The upper half of the hash, scaled to the number of blocks.
    fn place(&self, hash: u64) -> usize {
        (((hash >> 32) * self.blocks.len() as u64) >> 32) as usize
    }
}

/// The lower half of the hash chooses one bit of each word.
fn bits_of(hash: u64) -> [u32; 8] {
    SALTS.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}
