//! Rebuilding a sliver from its crossings with slivers of the other axis.

use floe_model::{Axis, Unverified};

use crate::error::{CodecError, SourceError};
use crate::metadata::ExtentMetadata;
use crate::shape::Stripes;
use crate::sliver::{ExtentSliver, SliverError, scatter, verify_sliver};
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
    let bytes = scatter(stripes, axis, &code.restore(&chosen)?);
    Ok(verify_sliver(metadata, axis, index, Unverified::new(bytes))?)
}
