//! Merkle trees: leaf `H(0x00 ‖ data)`, node `H(0x01 ‖ left ‖ right)`, an odd level padded with 32
//! zero bytes. Whole levels of many trees are hashed at once.

use floe_model::Hash;

use crate::lanes::Lanes;

const LEAF: u8 = 0;
const NODE: u8 = 1;
const HASH_BYTES: usize = 32;
/// What pads an odd level.
const EMPTY: [u8; HASH_BYTES] = [0; HASH_BYTES];

/// Hashes trees; keeps memory to do so.
#[derive(Debug)]
pub(crate) struct Trees {
    lanes: Lanes,
    level: Vec<[u8; HASH_BYTES]>,
    above: Vec<[u8; HASH_BYTES]>,
}

impl Trees {
    pub(crate) fn new() -> Self {
        Self::hashing_with(Lanes::new())
    }

    pub(crate) fn with_four_lanes() -> Self {
        Self::hashing_with(Lanes::narrow())
    }

    const fn hashing_with(lanes: Lanes) -> Self {
        Self { lanes, level: Vec::new(), above: Vec::new() }
    }

    /// Hands out the leaf of each datum, in order.
    pub(crate) fn hash_leaves<'a>(
        &mut self,
        data: impl Iterator<Item = &'a [u8]>,
        put: impl FnMut([u8; HASH_BYTES]),
    ) {
        self.lanes.hash(LEAF, data, put);
    }

    /// The roots of trees of `width` leaves each, given one tree behind the other.
    pub(crate) fn roots(
        &mut self,
        leaves: impl Iterator<Item = [u8; HASH_BYTES]>,
        width: usize,
    ) -> &[[u8; HASH_BYTES]] {
        self.level.clear();
        let mut row = Row::of(width);
        for leaf in leaves {
            row.put(&mut self.level, leaf);
        }
        self.climb_to_roots(width)
    }

    /// The roots of trees over data, `width` of them each, given one tree behind the other.
    pub(crate) fn roots_of<'a>(
        &mut self,
        data: impl Iterator<Item = &'a [u8]>,
        width: usize,
    ) -> &[[u8; HASH_BYTES]] {
        self.level.clear();
        let mut row = Row::of(width);
        self.lanes.hash(LEAF, data, |leaf| row.put(&mut self.level, leaf));
        self.climb_to_roots(width)
    }

    fn climb_to_roots(&mut self, mut width: usize) -> &[[u8; HASH_BYTES]] {
        while width > 1 {
            width = width.div_ceil(2);
            self.above.clear();
            let mut row = Row::of(width);
            let pairs = self.level.as_flattened().chunks_exact(2 * HASH_BYTES);
            self.lanes.hash(NODE, pairs, |node| row.put(&mut self.above, node));
            std::mem::swap(&mut self.level, &mut self.above);
        }
        &self.level
    }
}

/// Lays out levels so that the two children of every node lie side by side.
struct Row {
    width: usize,
    filled: usize,
}

impl Row {
    const fn of(width: usize) -> Self {
        Self { width, filled: 0 }
    }

    fn put(&mut self, level: &mut Vec<[u8; HASH_BYTES]>, hash: [u8; HASH_BYTES]) {
        level.push(hash);
        self.filled += 1;
        if self.filled == self.width {
            self.filled = 0;
            if self.width > 1 && !self.width.is_multiple_of(2) {
                level.push(EMPTY);
            }
        }
    }
}

/// The leaf of each datum.
pub(crate) fn hash_leaves<'a>(data: impl Iterator<Item = &'a [u8]>) -> Vec<Hash> {
    let mut leaves = Vec::with_capacity(data.size_hint().0);
    Lanes::new().hash(LEAF, data, |leaf| leaves.push(Hash(leaf)));
    leaves
}

/// The leaf of one datum.
pub(crate) fn leaf(datum: &[u8]) -> Hash {
    floe_model::hash(&[&[LEAF], datum])
}

/// The root of the tree over data.
pub(crate) fn root_of<'a>(data: impl ExactSizeIterator<Item = &'a [u8]>) -> Hash {
    let width = data.len();
    Hash(Trees::new().roots_of(data, width).first().copied().unwrap_or(EMPTY))
}

/// The siblings of a leaf, from the leaf to the root.
pub(crate) fn siblings(leaves: &[Hash], mut index: usize) -> Vec<Hash> {
    let mut path = Vec::with_capacity(depth(leaves.len()));
    let mut lanes = Lanes::new();
    let mut level: Vec<[u8; HASH_BYTES]> = leaves.iter().map(|leaf| leaf.0).collect();
    while level.len() > 1 {
        level.resize(level.len().next_multiple_of(2), EMPTY);
        path.push(Hash(level.get(index ^ 1).copied().unwrap_or(EMPTY)));
        let mut above = Vec::with_capacity(level.len() / 2);
        let pairs = level.as_flattened().chunks_exact(2 * HASH_BYTES);
        lanes.hash(NODE, pairs, |node| above.push(node));
        level = above;
        index /= 2;
    }
    path
}

/// The root that a leaf and its siblings lead to.
///
/// Binding only for an `index` inside the tree and a path of exactly its depth: the caller has
/// checked both.
pub(crate) fn climb(leaf: Hash, mut index: usize, siblings: &[Hash]) -> Hash {
    let mut node = leaf;
    for sibling in siblings {
        let (left, right) =
            if index.is_multiple_of(2) { (&node, sibling) } else { (sibling, &node) };
        node = floe_model::hash(&[&[NODE], &left.0, &right.0]);
        index /= 2;
    }
    node
}

/// Levels above the leaves.
pub(crate) const fn depth(leaves: usize) -> usize {
    if leaves < 2 { 0 } else { (leaves - 1).ilog2() as usize + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        let data: Vec<Vec<u8>> = (0..count).map(|number| vec![number; 3]).collect();
        hash_leaves(data.iter().map(Vec::as_slice))
    }

    fn root(leaves: &[Hash]) -> Hash {
        let mut trees = Trees::new();
        Hash(trees.roots(leaves.iter().map(|leaf| leaf.0), leaves.len())[0])
    }

    #[test]
    fn lanes_hash_like_the_plain_function() {
        for (number, leaf) in leaves(7).into_iter().enumerate() {
            let number = u8::try_from(number).unwrap();
            assert_eq!(leaf, floe_model::hash(&[&[0], &[number; 3]]));
        }
    }

    #[test]
    fn an_odd_level_is_padded_with_zeros() {
        let leaves = leaves(3);
        let node = |left: &Hash, right: &Hash| floe_model::hash(&[&[1], &left.0, &right.0]);
        let left = node(&leaves[0], &leaves[1]);
        let right = node(&leaves[2], &Hash([0; 32]));
        assert_eq!(root(&leaves), node(&left, &right));
    }

    #[test]
    fn every_leaf_climbs_to_the_root() {
        for count in 1..=17 {
            let leaves = leaves(count);
            let root = root(&leaves);
            for (index, &leaf) in leaves.iter().enumerate() {
                let path = siblings(&leaves, index);
                assert_eq!(path.len(), depth(leaves.len()));
                assert_eq!(climb(leaf, index, &path), root);
                if count > 1 {
                    assert_ne!(climb(leaf, index ^ 1, &path), root);
                }
            }
        }
    }

    #[test]
    fn roots_of_many_trees_are_those_of_each() {
        let data: Vec<Vec<u8>> = (0..84).map(|number| vec![number; 300]).collect();
        let leaves = hash_leaves(data.iter().map(Vec::as_slice));
        let mut trees = Trees::new();
        for width in [1, 2, 3, 4, 6, 7, 12, 14, 28, 42, 84] {
            let each: Vec<[u8; 32]> = leaves.chunks(width).map(|tree| root(tree).0).collect();
            assert_eq!(trees.roots(leaves.iter().map(|leaf| leaf.0), width), each);
            assert_eq!(trees.roots_of(data.iter().map(Vec::as_slice), width), each);
        }
        assert_eq!(root_of(data.iter().map(Vec::as_slice)), root(&leaves));
    }
}
