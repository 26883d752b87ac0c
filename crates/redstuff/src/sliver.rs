//! Slivers of an extent, and their expansion to n symbols.

use floe_model::{Axis, ExtentShape, Hash, Unverified};

use crate::error::{CodecError, check_length};
use crate::merkle;
use crate::metadata::ExtentMetadata;
use crate::shape::Stripes;
use crate::verified::Verified;

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
    for (stripe, committed) in metadata.stripes().iter().enumerate() {
        let part = &bytes[stripes.sliver_range(axis, stripe)];
        let expanded = Expanded::new(stripes.only(stripe), axis, part).map_err(misshapen)?;
        if expanded.root() != committed.sliver_root(axis, index) {
            return Err(SliverError::RootMismatch { axis, index, stripe });
        }
    }
    Ok(Verified::new(ExtentSliver { shape, axis, index, bytes }))
}

/// The n symbols of a sliver's expansion, each concatenated over the stripes.
pub(crate) fn expand(
    stripes: Stripes,
    axis: Axis,
    sliver: &[u8],
) -> Result<Vec<Vec<u8>>, CodecError> {
    let mut symbols = gather(stripes, axis, sliver)?;
    let originals: Vec<&[u8]> = symbols.iter().map(Vec::as_slice).collect();
    let parity = stripes.code(axis).extend(&originals)?;
    symbols.extend(parity);
    Ok(symbols)
}

/// The symbols of a sliver, each concatenated over the stripes.
pub(crate) fn gather(
    stripes: Stripes,
    axis: Axis,
    sliver: &[u8],
) -> Result<Vec<Vec<u8>>, CodecError> {
    check_length("a sliver", stripes.sliver_bytes(axis), sliver.len())?;
    let count = stripes.sliver_symbols(axis);
    let mut symbols = vec![Vec::with_capacity(stripes.crossing_bytes()); count];
    for stripe in 0..stripes.count {
        let part = &sliver[stripes.sliver_range(axis, stripe)];
        let parts = part.chunks_exact(stripes.symbol_bytes(stripe));
        for (symbol, part) in symbols.iter_mut().zip(parts) {
            symbol.extend_from_slice(part);
        }
    }
    Ok(symbols)
}

/// Undoes [`gather`].
pub(crate) fn scatter<T: AsRef<[u8]>>(stripes: Stripes, axis: Axis, symbols: &[T]) -> Vec<u8> {
    let mut sliver = Vec::with_capacity(stripes.sliver_bytes(axis));
    for stripe in 0..stripes.count {
        for symbol in symbols {
            sliver.extend_from_slice(&symbol.as_ref()[stripes.crossing_range(stripe)]);
        }
    }
    sliver
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
        merkle::root(self.leaves())
    }
}
