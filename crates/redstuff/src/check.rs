//! Checking decoded bytes against the commitments.

use floe_model::StripeId;

use crate::encoder::Encoder;
use crate::error::{CodecError, check_length};
use crate::metadata::ExtentMetadata;
use crate::shape::StripeShape;
use crate::verified::Verified;

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

/// Checks the bytes of an extent against its metadata.
pub fn check_decoded(
    metadata: &Verified<ExtentMetadata>,
    data: &[u8],
    check: ReadCheck,
) -> Result<(), CheckError> {
    let shape = metadata.shape();
    check_length("an extent", shape.length(), data.len())?;
    let mut encoder = Encoder::new();
    (0..shape.stripes()).try_for_each(|stripe| {
        check_stripe(&mut encoder, metadata, stripe, &data[shape.stripe_bytes(stripe)], check)
    })
}

/// Checks the bytes of one stripe of an extent: an independent job.
pub fn check_decoded_stripe(
    metadata: &Verified<ExtentMetadata>,
    stripe: usize,
    data: &[u8],
    check: ReadCheck,
) -> Result<(), CheckError> {
    check_stripe(&mut Encoder::new(), metadata, stripe, data, check)
}

fn check_stripe(
    encoder: &mut Encoder,
    metadata: &ExtentMetadata,
    stripe: usize,
    data: &[u8],
    check: ReadCheck,
) -> Result<(), CheckError> {
    let shape = StripeShape::of(metadata.shape(), stripe)?;
    match check {
        ReadCheck::Default => {
            let roots = encoder.systematic_roots(shape, data)?;
            let mut pairs = roots.iter().zip(metadata.stripes()[stripe].pairs());
            match pairs.position(|(root, committed)| *root != committed.primary.0) {
                Some(index) => Err(CheckError::RootMismatch { stripe, index }),
                None => Ok(()),
            }
        }
        ReadCheck::Strict => {
            let actual = encoder.id(shape, data)?;
            let expected = metadata.stripe_ids()[stripe];
            if actual == expected {
                Ok(())
            } else {
                Err(CheckError::IdMismatch { stripe, expected, actual })
            }
        }
    }
}
