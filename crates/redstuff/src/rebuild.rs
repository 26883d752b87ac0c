//! Rebuilding a sliver from its crossings with slivers of the other axis.

use std::collections::BTreeMap;

use floe_model::{Axis, Unverified};

use crate::error::{CodecError, SourceError, check_length};
use crate::metadata::{ExtentMetadata, StripeMetadata};
use crate::recipe::{Kitchen, TILE_BYTES};
use crate::shape::{StripeShape, Stripes};
use crate::sliver::{Expanded, ExtentSliver, SliverError, verify_sliver};
use crate::verified::Verified;

/// A sliver that could not be rebuilt.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RebuildError {
    /// Crossing symbols that are too few or do not fit.
    #[error("{axis} sliver {index} cannot be rebuilt: {source}")]
    Sources {
        /// Which dimension.
        axis: Axis,
        /// Which sliver of it.
        index: u16,
        /// What is wrong with the sources.
        source: SourceError,
    },
    /// The symbols lead to another sliver: ask for proofs, to learn whether a source lies or the blob
    /// is inconsistent.
    #[error(
        "{axis} sliver {index}, rebuilt, differs from its root in stripe {stripe}: ask the sources for proofs"
    )]
    RootMismatch {
        /// Which dimension.
        axis: Axis,
        /// Which sliver of it.
        index: u16,
        /// The first stripe that differs, counted from the start of the extent.
        stripe: usize,
    },
    /// The index is not one of the extent's, or the code failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl From<SliverError> for RebuildError {
    fn from(error: SliverError) -> Self {
        match error {
            SliverError::Misshapen { source, .. } => Self::Codec(source),
            SliverError::RootMismatch { axis, index, stripe } => {
                Self::RootMismatch { axis, index, stripe }
            }
        }
    }
}

/// Rebuilds a sliver and checks it against its root.
///
/// `sources` pairs the index of a sliver of the other axis with its crossing symbols, concatenated
/// over the stripes; n-f different ones rebuild a primary, n-2f a secondary. Of more than that, those
/// with the lowest indices are used; of two with the same index, the first.
pub fn rebuild_sliver(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    index: u16,
    sources: &[(u16, &[u8])],
) -> Result<Verified<ExtentSliver>, RebuildError> {
    let stripes = Stripes::from(metadata.shape());
    stripes.check_sliver(axis, index)?;
    let code = stripes.code(axis);
    let chosen = code
        .choose(sources, stripes.crossing_bytes())
        .map_err(|source| RebuildError::Sources { axis, index, source })?;
    let bytes = restore_sliver(stripes, axis, &chosen);
    Ok(verify_sliver(metadata, axis, index, Unverified::new(bytes))?)
}

/// The same for a sliver of a single stripe.
pub fn rebuild_stripe_sliver(
    shape: StripeShape,
    metadata: &StripeMetadata,
    axis: Axis,
    index: u16,
    sources: &[(u16, &[u8])],
) -> Result<Vec<u8>, RebuildError> {
    let stripe = Stripes::from(shape);
    stripe.check_sliver(axis, index)?;
    check_length("the roots of a stripe", stripe.shards, metadata.pairs().len())?;
    let chosen = stripe
        .code(axis)
        .choose(sources, stripe.crossing_bytes())
        .map_err(|source| RebuildError::Sources { axis, index, source })?;
    let sliver = restore_sliver(stripe, axis, &chosen);
    let root = Expanded::new(stripe, axis, &sliver)?.root();
    if root != metadata.sliver_root(axis, index) {
        return Err(RebuildError::RootMismatch { axis, index, stripe: 0 });
    }
    Ok(sliver)
}

/// A sliver from as many of its symbols as it has: given ones are copied to their places, the others
/// are made there.
pub(crate) fn restore_sliver(
    stripes: Stripes,
    axis: Axis,
    symbols: &BTreeMap<u16, &[u8]>,
) -> Vec<u8> {
    let code = stripes.code(axis);
    let given: Vec<usize> = symbols.keys().copied().map(usize::from).collect();
    let sources: Vec<&[u8]> = symbols.values().copied().collect();
    let recipes = code.recipes(&given, code.missing(&given));
    let kitchen = Kitchen::new();
    let mut sliver = vec![0; stripes.sliver_bytes(axis)];
    for stripe in 0..stripes.count {
        let (crossing, symbol_bytes) =
            (stripes.crossing_range(stripe), stripes.symbol_bytes(stripe));
        let part = &mut sliver[stripes.sliver_range(axis, stripe)];
        for (&position, source) in
            given.iter().zip(&sources).take_while(|(position, _)| **position < code.originals)
        {
            part[position * symbol_bytes..][..symbol_bytes]
                .copy_from_slice(&source[crossing.clone()]);
        }
        for start in (0..symbol_bytes).step_by(TILE_BYTES) {
            let end = symbol_bytes.min(start + TILE_BYTES);
            let tile = crossing.start + start..crossing.start + end;
            for recipe in &recipes {
                let made = &mut part[recipe.position * symbol_bytes..][start..end];
                kitchen.make(recipe, |source| &sources[source][tile.clone()], made);
            }
        }
    }
    sliver
}
