//! An encoded extent: its stripes side by side.

use floe_model::{Axis, ExtentShape};

use crate::encoder::Encoder;
use crate::error::{CodecError, check_length};
use crate::metadata::ExtentMetadata;
use crate::shape::{StripeShape, Stripes};
use crate::stripe::{EncodedStripe, ParityError};
use crate::verified::Verified;

/// All slivers of an extent and their commitments.
#[derive(Debug, Clone)]
pub struct EncodedExtent {
    stripes: Vec<EncodedStripe>,
    metadata: Verified<ExtentMetadata>,
}

impl EncodedExtent {
    /// Puts the stripes together, in order.
    pub fn assemble(shape: ExtentShape, stripes: Vec<EncodedStripe>) -> Result<Self, CodecError> {
        if stripes.len() != shape.stripes() {
            let actual = stripes.len();
            return Err(CodecError::WrongStripes { expected: shape.stripes(), actual });
        }
        for (number, stripe) in stripes.iter().enumerate() {
            let expected = StripeShape::of(shape, number)?;
            check_length("a stripe", expected.length(), stripe.shape().length())?;
            if expected != stripe.shape() {
                let expected = usize::from(expected.shards());
                let actual = usize::from(stripe.shape().shards());
                return Err(CodecError::WrongLength { what: "a matrix row", expected, actual });
            }
        }
        let roots = stripes.iter().map(|stripe| stripe.metadata().clone()).collect();
        let ids = stripes.iter().map(EncodedStripe::id).collect();
        let metadata = Verified::new(ExtentMetadata::new(shape, roots, ids));
        Ok(Self { stripes, metadata })
    }

    /// The stripes, so that their memory can be used again.
    pub fn into_stripes(self) -> Vec<EncodedStripe> {
        self.stripes
    }

    /// The commitments.
    pub const fn metadata(&self) -> &Verified<ExtentMetadata> {
        &self.metadata
    }

    /// The sliver with this index on its axis, concatenated over the stripes.
    pub fn sliver(&self, axis: Axis, index: u16) -> Result<Vec<u8>, CodecError> {
        let stripes = Stripes::from(self.metadata.shape());
        stripes.check_sliver(axis, index)?;
        let mut bytes = Vec::with_capacity(stripes.sliver_bytes(axis));
        for stripe in &self.stripes {
            stripe.append_sliver(axis, index, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// The self-check of every stripe: see [`EncodedStripe::check_parity`].
    pub fn check_parity(&self, choice: u64) -> Result<(), ParityError> {
        for (number, stripe) in self.stripes.iter().enumerate() {
            stripe.check_parity(choice).map_err(|error| match error {
                ParityError::Differs { row, .. } => ParityError::Differs { stripe: number, row },
                error @ ParityError::Codec(_) => error,
            })?;
        }
        Ok(())
    }
}

/// Encodes all stripes of an extent, one after the other.
pub fn encode_extent(shape: ExtentShape, data: &[u8]) -> Result<EncodedExtent, CodecError> {
    check_length("an extent", shape.length(), data.len())?;
    let mut encoder = Encoder::new();
    let stripes = (0..shape.stripes()).map(|stripe| {
        let data = &data[shape.stripe_bytes(stripe)];
        encoder.encode_owned(StripeShape::of(shape, stripe)?, data)
    });
    EncodedExtent::assemble(shape, stripes.collect::<Result<_, _>>()?)
}
