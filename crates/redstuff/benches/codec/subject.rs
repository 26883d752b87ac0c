//! What is worked on: an extent, and who has what of it.

use std::rc::Rc;

use floe_model::{Axis, ExtentShape, Geometry};
use floe_redstuff::{
    EncodedExtent, Encoder, ExtentMetadata, StripeShape, Verified, crossing_symbols,
};

use crate::floor::{Hashing, Shards};
use crate::{Case, Clock, Unit};

/// Bytes that compress to nothing and repeat nowhere.
pub(crate) fn noise(count: usize, seed: usize) -> Vec<u8> {
    let mut state = seed as u64 * 2 + 1;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    bytes.take(count).collect()
}

/// Slivers or symbols by index.
pub(crate) type Pieces = Vec<(u16, Vec<u8>)>;

pub(crate) fn borrow(pieces: &Pieces) -> Vec<(u16, &[u8])> {
    pieces.iter().map(|(index, bytes)| (*index, bytes.as_slice())).collect()
}

/// An encoded extent.
pub(crate) struct Subject {
    pub(crate) geometry: Geometry,
    pub(crate) shape: ExtentShape,
    pub(crate) data: Vec<u8>,
    pub(crate) extent: EncodedExtent,
}

impl Subject {
    pub(crate) fn new(geometry: Geometry, length: usize, seed: usize) -> Rc<Self> {
        let shape = ExtentShape::new(geometry, length).unwrap();
        let data = noise(length, seed);
        let extent = floe_redstuff::encode_extent(shape, &data).unwrap();
        Rc::new(Self { geometry, shape, data, extent })
    }

    pub(crate) fn metadata(&self) -> &Verified<ExtentMetadata> {
        self.extent.metadata()
    }

    pub(crate) fn slivers(&self, axis: Axis, indices: impl Iterator<Item = u16>) -> Pieces {
        indices.map(|index| (index, self.extent.sliver(axis, index).unwrap())).collect()
    }

    /// Those with the highest indices: as little of the data as can be.
    pub(crate) fn worst(&self, axis: Axis) -> Pieces {
        let shards = self.geometry.shards();
        let need = u16::try_from(self.geometry.slivers_to_decode(axis)).unwrap();
        self.slivers(axis, shards - need..shards)
    }

    /// Symbols of a lost sliver, from those slivers with the highest indices that are not lost.
    pub(crate) fn symbols(&self, axis: Axis, index: u16) -> Pieces {
        let shards = self.geometry.shards();
        let lost = shards - 1 - index;
        let need = self.geometry.sliver_symbols(axis);
        let alive = (0..shards).rev().filter(|&other| other != lost).take(need);
        let symbols = alive.map(|from| {
            let sliver = self.extent.sliver(axis.other(), from).unwrap();
            let mut symbols =
                crossing_symbols(self.shape, axis.other(), &sliver, &[index]).unwrap();
            (from, symbols.remove(0))
        });
        symbols.collect()
    }

    /// Encodes all of it, one stripe after the other.
    pub(crate) fn encode_with(&self, encoder: &mut Encoder) {
        for stripe in 0..self.shape.stripes() {
            let shape = StripeShape::of(self.shape, stripe).unwrap();
            let data = &self.data[self.shape.stripe_bytes(stripe)];
            std::hint::black_box(encoder.encode(shape, data).unwrap().id());
        }
    }

    /// A sliver of this axis as the bare codec sees it.
    pub(crate) fn along(&self, axis: Axis) -> Shards {
        Shards {
            originals: self.geometry.sliver_symbols(axis),
            total: usize::from(self.geometry.shards()),
            shard_bytes: self.shape.crossing_bytes(),
        }
    }

    /// All slivers of this axis as the bare codec sees them when they are decoded.
    pub(crate) fn across(&self, axis: Axis) -> Shards {
        Shards {
            originals: self.geometry.slivers_to_decode(axis),
            total: usize::from(self.geometry.shards()),
            shard_bytes: self.shape.sliver_bytes(axis),
        }
    }

    /// What must be hashed to check so many slivers: all symbols of their expansion.
    pub(crate) fn hashing(&self, slivers: usize) -> Hashing {
        let shards = usize::from(self.geometry.shards());
        let trees = slivers * self.shape.stripes();
        Hashing::new(self.shape.symbol_bytes(0), trees * shards, trees, shards)
    }

    pub(crate) fn case(
        &self,
        name: &'static str,
        unit: Unit,
        work: impl FnMut() + 'static,
    ) -> Case {
        Case {
            name,
            shards: self.geometry.shards(),
            blob_bytes: self.data.len(),
            threads: 1,
            clock: Clock::Processor,
            unit,
            work: Box::new(work),
            floor: None,
        }
    }
}
