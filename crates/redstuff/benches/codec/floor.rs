//! Floors: the same bytes through the bare Reed–Solomon codec, in cache, and through four-lane
//! Blake2b, leaf by leaf and node by node. Nothing is copied out, kept or put in order.

use std::hint::black_box;
use std::ops::Range;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

/// What the encoder is fastest with.
const ENCODE_TILE_BYTES: usize = 4 * 1024;
/// What the decoder is fastest with, whose calls have a fixed cost.
const DECODE_TILE_BYTES: usize = 128 * 1024;
const LANES: usize = 4;
const NODE_BYTES: usize = 65;
const HASH_BYTES: usize = 32;

/// Shards of equal length, as long as many symbols, symbols of any size being packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shards {
    pub(crate) originals: usize,
    pub(crate) total: usize,
    pub(crate) shard_bytes: usize,
}

impl Shards {
    /// Full tiles, then the rest.
    fn tiles(self, tile_bytes: usize) -> Vec<Tiles> {
        let (full, rest) = (self.shard_bytes / tile_bytes, self.shard_bytes % tile_bytes);
        let tiles = [(0, full, tile_bytes), (full, full + usize::from(rest > 0), rest)];
        let tiles = tiles.map(|(first, end, bytes)| Tiles { numbers: first..end, bytes });
        tiles.into_iter().filter(|tiles| !tiles.numbers.is_empty()).collect()
    }
}

/// Tiles of one size.
struct Tiles {
    numbers: Range<usize>,
    bytes: usize,
}

/// Makes all parity shards.
pub(crate) struct Extending {
    shards: Shards,
    tiles: Vec<(Tiles, ReedSolomonEncoder)>,
}

impl Extending {
    pub(crate) fn new(shards: Shards) -> Self {
        let parity = shards.total - shards.originals;
        let encoder = |tiles: Tiles| {
            let encoder = ReedSolomonEncoder::new(shards.originals, parity, tiles.bytes).unwrap();
            (tiles, encoder)
        };
        let tiles = shards.tiles(ENCODE_TILE_BYTES).into_iter();
        Self { shards, tiles: tiles.map(encoder).collect() }
    }

    /// Of originals cut from `data`.
    pub(crate) fn run(&mut self, data: &[u8]) {
        let originals = self.shards.originals;
        for (tiles, encoder) in &mut self.tiles {
            for number in tiles.numbers.clone() {
                for original in 0..originals {
                    let tile = cut(data, number * originals + original, tiles.bytes);
                    encoder.add_original_shard(tile).unwrap();
                }
                black_box(encoder.encode().unwrap());
            }
        }
    }
}

/// Makes the originals from the last shards, of which as few as can be are originals.
pub(crate) struct Restoring {
    shards: Shards,
    tiles: Vec<(Tiles, ReedSolomonDecoder)>,
}

impl Restoring {
    pub(crate) fn new(shards: Shards) -> Self {
        let parity = shards.total - shards.originals;
        let decoder = |tiles: Tiles| {
            let decoder = ReedSolomonDecoder::new(shards.originals, parity, tiles.bytes).unwrap();
            (tiles, decoder)
        };
        let tiles = shards.tiles(DECODE_TILE_BYTES).into_iter();
        Self { shards, tiles: tiles.map(decoder).collect() }
    }

    /// From shards cut from `data`.
    pub(crate) fn run(&mut self, data: &[u8]) {
        let Shards { originals, total, .. } = self.shards;
        for (tiles, decoder) in &mut self.tiles {
            for number in tiles.numbers.clone() {
                for (place, given) in (total - originals..total).enumerate() {
                    let tile = cut(data, number * originals + place, tiles.bytes);
                    match given.checked_sub(originals) {
                        None => decoder.add_original_shard(given, tile).unwrap(),
                        Some(parity) => decoder.add_recovery_shard(parity, tile).unwrap(),
                    }
                }
                black_box(decoder.decode().unwrap());
            }
        }
    }
}

/// Some bytes of `data`, others for each number as long as they last.
fn cut(data: &[u8], number: usize, bytes: usize) -> &[u8] {
    let places = (data.len() / bytes).max(1);
    &data[number % places * bytes..][..bytes]
}

/// So many leaves and nodes. Of leaves a few lie ready, with the byte that comes first.
pub(crate) struct Hashing {
    leaves: Vec<Vec<u8>>,
    leaf_count: usize,
    node_count: usize,
}

impl Hashing {
    /// The leaves of trees, and as many nodes as trees of `width` leaves have.
    pub(crate) fn new(symbol_bytes: usize, leaf_count: usize, trees: usize, width: usize) -> Self {
        let leaf = |number: usize| vec![number.to_le_bytes()[0]; symbol_bytes + 1];
        // The leaves are to be found where a coded column would be: in cache, not in registers.
        let ready = width.next_multiple_of(LANES);
        Self {
            leaves: (0..ready).map(leaf).collect(),
            leaf_count,
            node_count: trees * nodes(width),
        }
    }

    /// Those of a whole stripe: every symbol once, in two trees, and the tree of the pairs.
    pub(crate) fn of_stripe(symbol_bytes: usize, shards: usize) -> Self {
        let mut hashing = Self::new(symbol_bytes, shards * shards, 2 * shards + 1, shards);
        // A pair's leaf is as long as a node.
        hashing.node_count += shards;
        hashing
    }

    pub(crate) fn run(&self) {
        let mut params = Params::new();
        params.hash_length(HASH_BYTES);
        let node = [7; NODE_BYTES];
        let leaf = |number: usize| self.leaves[number % self.leaves.len()].as_slice();
        hash(&params, self.leaf_count, leaf);
        hash(&params, self.node_count, |_| &node);
    }
}

/// Nodes above `width` leaves.
fn nodes(mut width: usize) -> usize {
    let mut nodes = 0;
    while width > 1 {
        width = width.div_ceil(2);
        nodes += width;
    }
    nodes
}

fn hash<'a>(params: &Params, count: usize, input: impl Fn(usize) -> &'a [u8]) {
    for first in (0..count).step_by(LANES) {
        let mut jobs: [HashManyJob<'_>; LANES] =
            std::array::from_fn(|lane| HashManyJob::new(params, input(first + lane)));
        hash_many(jobs[..LANES.min(count - first)].iter_mut());
        black_box(&jobs);
    }
}
