//! Slivers of an extent, and their expansion to n symbols.

use floe_model::{Axis, ExtentShape, Hash, Unverified};

use crate::code::Extender;
use crate::error::{CodecError, check_length};
use crate::merkle::{self, Trees};
use crate::metadata::ExtentMetadata;
use crate::shape::Stripes;
use crate::verified::Verified;

/// Stripes whose symbols are hashed together.
const STRIPES_AT_ONCE: usize = 4;

/// A sliver that is not what the metadata commits to.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SliverError {
    /// An index or a length that the extent does not have.
    #[error("{axis} sliver {index}: {source}")]
    Misshapen {
        /// Which dimension.
        axis: Axis,
        /// Which sliver of it.
        index: u16,
        /// What does not fit.
        source: CodecError,
    },
    /// Other bytes than the root commits to.
    #[error("{axis} sliver {index} differs from its root in stripe {stripe}")]
    RootMismatch {
        /// Which dimension.
        axis: Axis,
        /// Which sliver of it.
        index: u16,
        /// The first stripe that differs, counted from the start of the extent.
        stripe: usize,
    },
}

/// One sliver of an extent: its slivers of each stripe, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentSliver {
    shape: ExtentShape,
    axis: Axis,
    index: u16,
    bytes: Vec<u8>,
}

impl ExtentSliver {
    /// What lies in its extent.
    pub const fn shape(&self) -> ExtentShape {
        self.shape
    }

    /// Which dimension.
    pub const fn axis(&self) -> Axis {
        self.axis
    }

    /// Which sliver of its axis; not the pair index.
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// The symbols, stripe by stripe.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The symbols, stripe by stripe.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Checks a sliver by expanding it: every stripe of it must lead to the committed root.
pub fn verify_sliver(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    index: u16,
    bytes: Unverified<Vec<u8>>,
) -> Result<Verified<ExtentSliver>, SliverError> {
    let bytes = bytes.into_unverified();
    let shape = metadata.shape();
    let stripes = Stripes::from(shape);
    let misshapen = |source| SliverError::Misshapen { axis, index, source };
    stripes.check_sliver(axis, index).map_err(misshapen)?;
    check_length("a sliver", stripes.sliver_bytes(axis), bytes.len()).map_err(misshapen)?;
    let mismatch = first_mismatch(metadata, axis, index, &bytes).map_err(misshapen)?;
    match mismatch {
        Some(stripe) => Err(SliverError::RootMismatch { axis, index, stripe }),
        None => Ok(Verified::new(ExtentSliver { shape, axis, index, bytes })),
    }
}

/// The first stripe in which a sliver, whose length the caller has checked, differs from its root.
fn first_mismatch(
    metadata: &ExtentMetadata,
    axis: Axis,
    index: u16,
    sliver: &[u8],
) -> Result<Option<usize>, CodecError> {
    let stripes = Stripes::from(metadata.shape());
    let mut trees = Trees::new();
    let mut extender = Extender::new(stripes.code(axis));
    let mut parity = Vec::new();
    // All but the last stripe have symbols of one size: each batch is hashed in full lanes.
    for first in (0..stripes.count).step_by(STRIPES_AT_ONCE) {
        let batch = first..stripes.count.min(first + STRIPES_AT_ONCE);
        let added = stripes.shards - stripes.sliver_symbols(axis);
        let place = |stripe| {
            (stripes.crossing_range(stripe).start - stripes.crossing_range(first).start) * added
        };
        let end = batch.clone().map(|stripe| stripes.symbol_bytes(stripe) * added).sum();
        parity.resize(end, 0);
        for stripe in batch.clone() {
            let (at, symbol_bytes) = (place(stripe), stripes.symbol_bytes(stripe));
            let part = &sliver[stripes.sliver_range(axis, stripe)];
            extender.extend(
                symbol_bytes,
                |symbol| &part[symbol * symbol_bytes..][..symbol_bytes],
                &mut parity[at..],
                |symbol| symbol * symbol_bytes,
            )?;
        }
        let symbols = batch.clone().flat_map(|stripe| {
            let symbol_bytes = stripes.symbol_bytes(stripe);
            let part = &sliver[stripes.sliver_range(axis, stripe)];
            let added = &parity[place(stripe)..][..symbol_bytes * added];
            part.chunks_exact(symbol_bytes).chain(added.chunks_exact(symbol_bytes))
        });
        let roots = trees.roots_of(symbols, stripes.shards);
        for (stripe, root) in batch.zip(roots) {
            let committed = metadata.stripe(stripe).map(|roots| roots.sliver_root(axis, index));
            if committed != Some(Hash(*root)) {
                return Ok(Some(stripe));
            }
        }
    }
    Ok(None)
}

/// One stripe's part of a sliver, and what the code adds to make n symbols.
pub(crate) struct Expanded<'a> {
    stored: Vec<&'a [u8]>,
    parity: Vec<Vec<u8>>,
}

impl<'a> Expanded<'a> {
    /// Expands the sliver of a single stripe.
    pub(crate) fn new(stripe: Stripes, axis: Axis, sliver: &'a [u8]) -> Result<Self, CodecError> {
        check_length("a sliver", stripe.sliver_bytes(axis), sliver.len())?;
        let stored: Vec<&[u8]> = sliver.chunks_exact(stripe.symbol_bytes(0)).collect();
        let parity = stripe.code(axis).extend(&stored)?;
        Ok(Self { stored, parity })
    }

    pub(crate) fn symbols(&self) -> impl Iterator<Item = &[u8]> {
        self.stored.iter().copied().chain(self.parity.iter().map(Vec::as_slice))
    }

    pub(crate) fn leaves(&self) -> Vec<Hash> {
        merkle::hash_leaves(self.symbols())
    }

    pub(crate) fn root(&self) -> Hash {
        let leaves = self.leaves();
        let mut trees = Trees::new();
        let roots = trees.roots(leaves.iter().map(|leaf| leaf.0), leaves.len());
        Hash(roots.first().copied().unwrap_or_default())
    }
}
