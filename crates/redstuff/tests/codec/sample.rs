//! Extents to try things on.

use std::fmt;

use floe_model::{Axis, ExtentShape, Geometry};
use floe_redstuff::{EncodedExtent, crossing_symbols, encode_extent};

/// Pseudo-random numbers, as the vectors draw them.
#[derive(Debug)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn byte(&mut self) -> u8 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0.to_be_bytes()[0]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        let number = usize::from_le_bytes([0; 8].map(|_: u8| self.byte()));
        number % end
    }

    /// `count` different numbers below `end`, in any order.
    pub(crate) fn some_of(&mut self, end: u16, count: usize) -> Vec<u16> {
        let mut all: Vec<u16> = (0..end).collect();
        for place in 0..count {
            let other = place + self.below(all.len() - place);
            all.swap(place, other);
        }
        all.truncate(count);
        all
    }
}

/// All sets of `count` of the numbers.
pub(crate) fn sets_of(numbers: &[u16], count: usize) -> Vec<Vec<u16>> {
    match (count, numbers.split_first()) {
        (0, _) => vec![Vec::new()],
        (_, None) => Vec::new(),
        (_, Some((first, rest))) => {
            let mut with = sets_of(rest, count - 1);
            for set in &mut with {
                set.push(*first);
            }
            with.extend(sets_of(rest, count));
            with
        }
    }
}

pub(crate) struct Sample {
    pub(crate) shape: ExtentShape,
    pub(crate) data: Vec<u8>,
    pub(crate) extent: EncodedExtent,
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shape.fmt(f)
    }
}

impl Sample {
    pub(crate) fn new(geometry: Geometry, length: usize, seed: u64) -> Self {
        let shape = ExtentShape::new(geometry, length).unwrap();
        let data = Draw(seed).bytes(length);
        let extent = encode_extent(shape, &data).unwrap();
        Self { shape, data, extent }
    }

    pub(crate) fn slivers(&self, axis: Axis, indices: &[u16]) -> Vec<(u16, Vec<u8>)> {
        indices.iter().map(|&index| (index, self.extent.sliver(axis, index).unwrap())).collect()
    }

    /// What slivers of the other axis hold of sliver `target` of `axis`.
    pub(crate) fn symbols(&self, axis: Axis, target: u16, from: &[u16]) -> Vec<(u16, Vec<u8>)> {
        let sources = self.slivers(axis.other(), from).into_iter();
        sources
            .map(|(index, sliver)| {
                let symbols = crossing_symbols(self.shape, axis.other(), &sliver, &[target]);
                (index, symbols.unwrap().remove(0))
            })
            .collect()
    }
}

pub(crate) fn borrow(owned: &[(u16, Vec<u8>)]) -> Vec<(u16, &[u8])> {
    owned.iter().map(|(index, bytes)| (*index, bytes.as_slice())).collect()
}
