//! From slivers back to bytes, and checking the bytes.

use std::borrow::Cow;

use floe_model::{Axis, ExtentShape, StripeId};

use crate::error::{CodecError, SourceError, check_length};
use crate::metadata::ExtentMetadata;
use crate::pack::{pack, unpack};
use crate::shape::{StripeShape, Stripes};
use crate::stripe::{EncodedStripe, systematic_roots};
use crate::verified::Verified;

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

/// How decoded bytes are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadCheck {
    /// Against the roots of the systematic primaries: two readers who succeed get the same bytes.
    Default,
    /// Against the id, by encoding everything again: the blob is also consistent.
    Strict,
}

/// Decoded bytes that are not those committed to.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckError {
    /// A systematic primary has another root.
    #[error("decoded stripe {stripe} differs from the root of primary sliver {index}")]
    RootMismatch {
        /// The stripe, counted from the start of the extent.
        stripe: usize,
        /// Which primary sliver.
        index: usize,
    },
    /// The stripe, encoded again, has another id.
    #[error(
        "decoded stripe {stripe} encodes to {actual}, not to {expected}: it was altered, or the blob is inconsistent"
    )]
    IdMismatch {
        /// The stripe, counted from the start of the extent.
        stripe: usize,
        /// The id committed to.
        expected: StripeId,
        /// The id of the decoded bytes.
        actual: StripeId,
    },
    /// Bytes that do not fit the extent.
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
    let stripes = Stripes::from(shape);
    let across = stripes.code(axis.other());
    let mut chosen = across
        .choose(slivers, stripes.sliver_bytes(axis))
        .map_err(|source| DecodeError::Sources { axis, source })?;
    let systematic = chosen.keys().all(|&index| usize::from(index) < across.originals);
    if systematic {
        let slivers: Vec<&[u8]> = chosen.into_values().collect();
        return Ok(interleave(shape, axis, &slivers));
    }
    let packed: Vec<(u16, Cow<'_, [u8]>)> =
        chosen.iter().map(|(&index, sliver)| (index, pack_last(stripes, axis, sliver))).collect();
    for (index, sliver) in &packed {
        chosen.insert(*index, sliver);
    }
    let restored = across.restore(&chosen)?;
    let restored: Vec<Cow<'_, [u8]>> =
        restored.into_iter().map(|sliver| unpack_last(stripes, axis, sliver)).collect();
    Ok(interleave(shape, axis, &restored))
}

/// The sliver as one shard: only the last stripe's symbols may be of a size that needs packing.
fn pack_last(stripes: Stripes, axis: Axis, sliver: &[u8]) -> Cow<'_, [u8]> {
    let last = stripes.sliver_range(axis, stripes.count - 1);
    match pack(&sliver[last.clone()], stripes.symbol_bytes(stripes.count - 1)) {
        Cow::Borrowed(_) => Cow::Borrowed(sliver),
        Cow::Owned(packed) => Cow::Owned([&sliver[..last.start], &packed].concat()),
    }
}

/// Undoes [`pack_last`].
fn unpack_last(stripes: Stripes, axis: Axis, shard: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let symbol_bytes = stripes.symbol_bytes(stripes.count - 1);
    if symbol_bytes.is_multiple_of(64) {
        return shard;
    }
    let last = stripes.sliver_range(axis, stripes.count - 1);
    let mut sliver = shard.into_owned();
    let unpacked = unpack(sliver.split_off(last.start), symbol_bytes);
    sliver.extend(unpacked);
    Cow::Owned(sliver)
}

/// The data from all systematic slivers of an axis.
fn interleave<T: AsRef<[u8]>>(shape: ExtentShape, axis: Axis, slivers: &[T]) -> Vec<u8> {
    let stripes = Stripes::from(shape);
    let mut data = Vec::with_capacity(slivers.len() * stripes.sliver_bytes(axis));
    for stripe in 0..stripes.count {
        let parts =
            slivers.iter().map(|sliver| &sliver.as_ref()[stripes.sliver_range(axis, stripe)]);
        match axis {
            Axis::Primary => parts.for_each(|row| data.extend_from_slice(row)),
            Axis::Secondary => {
                let columns: Vec<&[u8]> = parts.collect();
                let symbol_bytes = stripes.symbol_bytes(stripe);
                for row in 0..stripes.sliver_symbols(axis) {
                    let at = row * symbol_bytes..(row + 1) * symbol_bytes;
                    for column in &columns {
                        data.extend_from_slice(&column[at.clone()]);
                    }
                }
            }
        }
    }
    data.truncate(shape.length());
    data
}

/// Checks the bytes of an extent against its metadata.
pub fn check_decoded(
    metadata: &Verified<ExtentMetadata>,
    data: &[u8],
    check: ReadCheck,
) -> Result<(), CheckError> {
    let shape = metadata.shape();
    check_length("an extent", shape.length(), data.len())?;
    (0..shape.stripes()).try_for_each(|stripe| {
        check_decoded_stripe(metadata, stripe, &data[shape.stripe_bytes(stripe)], check)
    })
}

/// Checks the bytes of one stripe of an extent: an independent job.
pub fn check_decoded_stripe(
    metadata: &Verified<ExtentMetadata>,
    stripe: usize,
    data: &[u8],
    check: ReadCheck,
) -> Result<(), CheckError> {
    let shape = StripeShape::of(metadata.shape(), stripe)?;
    match check {
        ReadCheck::Default => {
            let roots = systematic_roots(shape, data)?;
            let mut pairs = roots.iter().zip(metadata.stripes()[stripe].pairs());
            match pairs.position(|(root, committed)| *root != committed.primary) {
                Some(index) => Err(CheckError::RootMismatch { stripe, index }),
                None => Ok(()),
            }
        }
        ReadCheck::Strict => {
            let actual = EncodedStripe::encode(shape, data)?.id();
            let expected = metadata.stripe_ids()[stripe];
            if actual == expected {
                Ok(())
            } else {
                Err(CheckError::IdMismatch { stripe, expected, actual })
            }
        }
    }
}
