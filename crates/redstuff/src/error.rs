//! What can be wrong with bytes, before any commitment is looked at.

use floe_model::Axis;

/// Bytes or numbers that do not fit the shape they are said to have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// Bytes of another length.
    #[error("{what} of {actual} bytes: {expected} expected")]
    WrongLength {
        /// What the bytes should be.
        what: &'static str,
        /// Bytes that the shape asks for.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// More bytes than one stripe holds.
    #[error("a stripe of {length} bytes: at most {most} fit")]
    TooLong {
        /// Bytes wanted.
        length: usize,
        /// Bytes that fit.
        most: usize,
    },
    /// A matrix that could lose no shard.
    #[error("{0} shards: the code needs at least 4")]
    TooFewShards(u16),
    /// A stripe beyond the end of the extent.
    #[error("stripe {stripe} of an extent of {stripes}")]
    NoSuchStripe {
        /// The number, counted from 0.
        stripe: usize,
        /// Stripes in the extent.
        stripes: usize,
    },
    /// Other stripes than those of the extent, or in another number.
    #[error("{actual} stripes for an extent of {expected}")]
    WrongStripes {
        /// Stripes in the extent.
        expected: usize,
        /// Stripes given.
        actual: usize,
    },
    /// A sliver beyond the last shard.
    #[error("{axis} sliver {index} of {shards}")]
    NoSuchSliver {
        /// Which dimension.
        axis: Axis,
        /// The index, counted from 0.
        index: u16,
        /// n.
        shards: usize,
    },
    /// The Reed–Solomon code refused shards that fit the shape.
    #[error("the reed-solomon code failed: {0}")]
    Code(#[from] reed_solomon_simd::Error),
}

/// Slivers or symbols that are too few, or not what their index says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Too few different ones.
    #[error("{have} of {need} needed")]
    NotEnough {
        /// Different ones given.
        have: usize,
        /// Different ones needed.
        need: usize,
    },
    /// One of another length.
    #[error("source {index} has {actual} bytes: {expected} expected")]
    WrongLength {
        /// Which source.
        index: u16,
        /// Bytes that the shape asks for.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// One beyond the last shard.
    #[error("source {index} of {shards}")]
    NoSuchIndex {
        /// Which source.
        index: u16,
        /// n.
        shards: usize,
    },
}

pub(crate) fn check_length(
    what: &'static str,
    expected: usize,
    actual: usize,
) -> Result<(), CodecError> {
    if expected == actual {
        Ok(())
    } else {
        Err(CodecError::WrongLength { what, expected, actual })
    }
}
