//! Virtual nodes: equal slices of the ring.

use super::Token;

/// A slice of the ring: the top b bits of a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct VNode(pub u16);

/// b: the ring has 2^b virtual nodes. 1 to 16, fixed when the cluster is created.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct VNodeBits(u8);

impl VNodeBits {
    /// 1,024 virtual nodes.
    pub const DEFAULT: VNodeBits = VNodeBits(10);

    /// `None` unless 1 to 16.
    pub fn new(bits: u8) -> Option<VNodeBits> {
        (1..=16).contains(&bits).then_some(VNodeBits(bits))
    }

    /// b itself.
    pub fn get(self) -> u8 {
        self.0
    }

    /// 2^b.
    pub fn count(self) -> usize {
        1 << self.0
    }

    /// The slice of a token.
    pub fn vnode(self, token: Token) -> VNode {
        VNode((token.0 >> (128 - u32::from(self.0))) as u16)
    }
}
