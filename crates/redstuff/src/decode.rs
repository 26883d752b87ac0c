//! From slivers back to bytes.

use floe_model::{Axis, ExtentShape};

use crate::error::{CodecError, SourceError};
use crate::pack::{is_packed, pack, unpack_into};
use crate::recipe::{Kitchen, Recipe, TILE_BYTES};
use crate::shape::{StripeShape, Stripes};

/// An extent that could not be decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Slivers that are too few or do not fit.
    #[error("an extent cannot be decoded from {axis} slivers: {source}")]
    Sources {
        /// Which dimension.
        axis: Axis,
        /// What is wrong with the slivers.
        source: SourceError,
    },
    /// The code failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// The bytes of an extent from n-2f different primaries or n-f different secondaries, by index; of
/// more than that, those with the lowest indices are used. No decoding if these are the systematic
/// ones. The slivers should be verified: the code itself notices no error.
pub fn decode_extent(
    shape: ExtentShape,
    axis: Axis,
    slivers: &[(u16, &[u8])],
) -> Result<Vec<u8>, DecodeError> {
    decode(Stripes::from(shape), shape.length(), axis, slivers)
}

/// The same for a single stripe.
pub fn decode_stripe(
    shape: StripeShape,
    axis: Axis,
    slivers: &[(u16, &[u8])],
) -> Result<Vec<u8>, DecodeError> {
    decode(Stripes::from(shape), shape.length(), axis, slivers)
}

fn decode(
    stripes: Stripes,
    length: usize,
    axis: Axis,
    slivers: &[(u16, &[u8])],
) -> Result<Vec<u8>, DecodeError> {
    let across = stripes.code(axis.other());
    let chosen = across
        .choose(slivers, stripes.sliver_bytes(axis))
        .map_err(|source| DecodeError::Sources { axis, source })?;
    let mut data = vec![0; across.originals * stripes.sliver_bytes(axis)];
    let given: Vec<usize> = chosen.keys().copied().map(usize::from).collect();
    let slivers: Vec<&[u8]> = chosen.into_values().collect();
    let recipes = across.recipes(&given, across.missing(&given));
    for stripe in 0..stripes.count {
        let parts: Vec<&[u8]> =
            slivers.iter().map(|sliver| &sliver[stripes.sliver_range(axis, stripe)]).collect();
        let cells = stripes.crossing_range(stripe);
        let symbols = across.originals * stripes.sliver_symbols(axis);
        let data = &mut data[cells.start * symbols..cells.end * symbols];
        let place = Place {
            across: across.originals,
            along: stripes.sliver_symbols(axis),
            axis,
            symbol_bytes: cells.len(),
        };
        place.copy(&given, &parts, data);
        place.make(&recipes, &parts, data);
    }
    data.truncate(length);
    Ok(data)
}

/// Where the symbols of slivers lie in a stripe.
#[derive(Clone, Copy)]
struct Place {
    axis: Axis,
    /// Systematic slivers.
    across: usize,
    /// Symbols of each.
    along: usize,
    symbol_bytes: usize,
}

impl Place {
    fn of(self, sliver: usize, symbol: usize) -> usize {
        let symbols = match self.axis {
            Axis::Primary => sliver * self.along + symbol,
            Axis::Secondary => symbol * self.across + sliver,
        };
        symbols * self.symbol_bytes
    }

    /// Puts the given systematic slivers to their places.
    fn copy(self, given: &[usize], slivers: &[&[u8]], data: &mut [u8]) {
        for (&position, sliver) in given.iter().zip(slivers) {
            if position < self.across {
                self.put(position, sliver, data);
            }
        }
    }

    fn put(self, position: usize, sliver: &[u8], data: &mut [u8]) {
        for (number, symbol) in sliver.chunks_exact(self.symbol_bytes).enumerate() {
            data[self.of(position, number)..][..symbol.len()].copy_from_slice(symbol);
        }
    }

    /// Makes the others from the given ones.
    fn make(self, recipes: &[Recipe], slivers: &[&[u8]], data: &mut [u8]) {
        if recipes.is_empty() {
            return;
        }
        let kitchen = Kitchen::new();
        if !is_packed(self.symbol_bytes) {
            return self.make_packed(&kitchen, recipes, slivers, data);
        }
        for symbol in 0..self.along {
            for start in (0..self.symbol_bytes).step_by(TILE_BYTES) {
                let bytes = TILE_BYTES.min(self.symbol_bytes - start);
                let at = symbol * self.symbol_bytes + start;
                for recipe in recipes {
                    let place = self.of(recipe.position, symbol) + start;
                    let made = &mut data[place..place + bytes];
                    kitchen.make(recipe, |source| &slivers[source][at..at + bytes], made);
                }
            }
        }
    }

    fn make_packed(
        self,
        kitchen: &Kitchen,
        recipes: &[Recipe],
        slivers: &[&[u8]],
        data: &mut [u8],
    ) {
        let packed: Vec<_> = slivers.iter().map(|sliver| pack(sliver, self.symbol_bytes)).collect();
        let sliver_bytes = self.along * self.symbol_bytes;
        let (mut shard, mut sliver) = (vec![0; sliver_bytes], vec![0; sliver_bytes]);
        for recipe in recipes {
            for start in (0..sliver_bytes).step_by(TILE_BYTES) {
                let range = start..sliver_bytes.min(start + TILE_BYTES);
                let made = &mut shard[range.clone()];
                kitchen.make(recipe, |source| &packed[source][range.clone()], made);
            }
            unpack_into(&shard, self.symbol_bytes, &mut sliver);
            self.put(recipe.position, &sliver, data);
        }
    }
}
