//! The floor: the same bytes through the Reed–Solomon codec on both axes, in cache, and through
//! four-lane Blake2b, leaf by leaf and node by node. Nothing is copied out, kept or put in order.

use std::hint::black_box;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};
use floe_redstuff::StripeShape;
use reed_solomon_simd::ReedSolomonEncoder;

const TILE_BYTES: usize = 4 * 1024;
const LANES: usize = 4;
const NODE_BYTES: usize = 65;

fn along(
    shape: StripeShape,
    data: &[u8],
    lines: usize,
    (originals, step): (usize, usize),
    first: impl Fn(usize) -> usize,
) {
    let (shards, symbol_bytes) = (usize::from(shape.shards()), shape.symbol_bytes());
    let tile_bytes = TILE_BYTES.min(symbol_bytes);
    let mut encoder = ReedSolomonEncoder::new(originals, shards - originals, tile_bytes).unwrap();
    for start in (0..symbol_bytes).step_by(tile_bytes) {
        let bytes = tile_bytes.min(symbol_bytes - start);
        if bytes != tile_bytes {
            encoder.reset(originals, shards - originals, bytes).unwrap();
        }
        for line in 0..lines {
            for number in 0..originals {
                let at = (first(line) + number * step) * symbol_bytes + start;
                encoder.add_original_shard(&data[at..at + bytes]).unwrap();
            }
            black_box(encoder.encode().unwrap());
        }
    }
}

/// Every row, then every column of the whole matrix. `data` is padded.
pub(crate) fn code(shape: StripeShape, data: &[u8]) {
    let (rows, columns) = (shape.rows(), shape.columns());
    along(shape, data, rows, (columns, 1), |row| row * columns);
    along(shape, data, usize::from(shape.shards()), (rows, columns), |column| column % columns);
}

/// As many leaves and nodes as the stripe has; of leaves one column's worth lies ready, with the byte
/// that comes first.
pub(crate) struct Hashing {
    leaves: Vec<Vec<u8>>,
    leaf_count: usize,
    node_count: usize,
}

impl Hashing {
    pub(crate) fn of(shape: StripeShape) -> Self {
        let shards = usize::from(shape.shards());
        let leaf = |number: usize| vec![number.to_le_bytes()[0]; shape.symbol_bytes() + 1];
        let (mut width, mut nodes) = (shards, 0);
        while width > 1 {
            width = width.div_ceil(2);
            nodes += width;
        }
        Self {
            leaves: (0..shards.next_multiple_of(LANES)).map(leaf).collect(),
            leaf_count: shards * shards,
            // The trees of all slivers and that of the pairs, whose leaves are as long as nodes.
            node_count: (2 * shards + 1) * nodes + shards,
        }
    }

    pub(crate) fn run(&self) {
        let node = [7; NODE_BYTES];
        let mut params = Params::new();
        params.hash_length(32);
        for first in (0..self.leaf_count).step_by(LANES) {
            let mut jobs: [HashManyJob<'_>; LANES] = std::array::from_fn(|lane| {
                HashManyJob::new(&params, &self.leaves[(first + lane) % self.leaves.len()])
            });
            let count = LANES.min(self.leaf_count - first);
            hash_many(jobs[..count].iter_mut());
            black_box(&jobs);
        }
        for first in (0..self.node_count).step_by(LANES) {
            let mut jobs: [HashManyJob<'_>; LANES] =
                std::array::from_fn(|_| HashManyJob::new(&params, &node));
            let count = LANES.min(self.node_count - first);
            hash_many(jobs[..count].iter_mut());
            black_box(&jobs);
        }
    }
}
