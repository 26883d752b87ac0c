//! Merkle trees: leaf `H(0x00 ‖ data)`, node `H(0x01 ‖ left ‖ right)`, an odd level padded with 32
//! zero bytes. Many inputs are hashed at once, one in each SIMD lane.

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, MAX_DEGREE, hash_many};
use floe_model::Hash;

const LEAF: u8 = 0;
const NODE: u8 = 1;
/// What pads an odd level.
const EMPTY: Hash = Hash([0; 32]);

/// Hashes inputs of about equal length, a lane each.
struct Lanes {
    params: Params,
    inputs: [Vec<u8>; MAX_DEGREE],
    filled: usize,
    hashes: Vec<Hash>,
}

impl Lanes {
    fn new(expected: usize) -> Self {
        let mut params = Params::new();
        params.hash_length(32);
        let hashes = Vec::with_capacity(expected);
        Self { params, inputs: Default::default(), filled: 0, hashes }
    }

    fn push(&mut self, kind: u8, parts: &[&[u8]]) {
        let input = &mut self.inputs[self.filled];
        input.clear();
        input.push(kind);
        for part in parts {
            input.extend_from_slice(part);
        }
        self.filled += 1;
        if self.filled == MAX_DEGREE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut jobs: [HashManyJob<'_>; MAX_DEGREE] =
            std::array::from_fn(|lane| HashManyJob::new(&self.params, &self.inputs[lane]));
        let jobs = &mut jobs[..self.filled];
        hash_many(jobs.iter_mut());
        for job in jobs {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(job.to_hash().as_bytes());
            self.hashes.push(Hash(bytes));
        }
        self.filled = 0;
    }

    fn finish(mut self) -> Vec<Hash> {
        self.flush();
        self.hashes
    }
}

/// The leaf of each datum.
pub(crate) fn hash_leaves<'a>(data: impl Iterator<Item = &'a [u8]>) -> Vec<Hash> {
    let mut lanes = Lanes::new(data.size_hint().0);
    for datum in data {
        lanes.push(LEAF, &[datum]);
    }
    lanes.finish()
}

/// The leaf of one datum.
pub(crate) fn leaf(datum: &[u8]) -> Hash {
    floe_model::hash(&[&[LEAF], datum])
}

/// The roots of trees of `width` leaves each, laid out one tree behind the other.
pub(crate) fn roots(leaves: Vec<Hash>, mut width: usize) -> Vec<Hash> {
    let mut level = leaves;
    while width > 1 {
        level = parents(&level, width);
        width = width.div_ceil(2);
    }
    level
}

/// The root of one tree.
pub(crate) fn root(leaves: Vec<Hash>) -> Hash {
    let width = leaves.len();
    roots(leaves, width).first().copied().unwrap_or(EMPTY)
}

/// The siblings of a leaf, from the leaf to the root.
pub(crate) fn siblings(leaves: &[Hash], mut index: usize) -> Vec<Hash> {
    let mut path = Vec::with_capacity(depth(leaves.len()));
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        path.push(level.get(index ^ 1).copied().unwrap_or(EMPTY));
        level = parents(&level, level.len());
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

fn parents(level: &[Hash], width: usize) -> Vec<Hash> {
    let mut lanes = Lanes::new(level.len().div_ceil(2));
    for tree in level.chunks_exact(width) {
        for pair in tree.chunks(2) {
            let right = pair.get(1).unwrap_or(&EMPTY);
            lanes.push(NODE, &[&pair[0].0, &right.0]);
        }
    }
    lanes.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        let data: Vec<Vec<u8>> = (0..count).map(|number| vec![number; 3]).collect();
        hash_leaves(data.iter().map(Vec::as_slice))
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
        assert_eq!(root(leaves), node(&left, &right));
    }

    #[test]
    fn every_leaf_climbs_to_the_root() {
        for count in 1..=17 {
            let leaves = leaves(count);
            let root = root(leaves.clone());
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
        let leaves = leaves(15);
        let each: Vec<Hash> = leaves.chunks(5).map(|tree| root(tree.to_vec())).collect();
        assert_eq!(roots(leaves, 5), each);
    }
}
