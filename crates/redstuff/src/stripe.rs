//! An encoded stripe: three quadrants of the matrix, and the commitments to all four.

use floe_model::{Axis, ExtentShape, Geometry, StripeId};

use crate::encoder::Encoder;
use crate::error::CodecError;
use crate::metadata::StripeMetadata;
use crate::quadrant::Quadrant;
use crate::shape::{StripeShape, Stripes};
use crate::sliver::Expanded;

/// The encoder's own work does not agree with itself: memory or a core is broken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParityError {
    /// A row of the parity quadrant differs when it is computed the other way.
    #[error(
        "row {row} of stripe {stripe} differs when computed the other way: encode the blob again, and test this machine's memory"
    )]
    Differs {
        /// The stripe, counted from the start of its extent.
        stripe: usize,
        /// The row, which is the index of the primary sliver.
        row: usize,
    },
    /// The check could not be made.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A stripe's slivers and their commitments. The parity of the parity is hashed, not kept: no sliver
/// contains it.
#[derive(Debug, Clone)]
pub struct EncodedStripe {
    pub(crate) shape: StripeShape,
    pub(crate) data: Quadrant,
    pub(crate) right: Quadrant,
    pub(crate) below: Quadrant,
    pub(crate) metadata: StripeMetadata,
    pub(crate) id: StripeId,
}

impl EncodedStripe {
    /// Memory for one.
    pub(crate) fn blank(shape: StripeShape) -> Self {
        Self {
            shape,
            data: Quadrant::default(),
            right: Quadrant::default(),
            below: Quadrant::default(),
            metadata: StripeMetadata::default(),
            id: StripeId([0; 32]),
        }
    }

    /// Encodes `shape.length()` bytes.
    pub fn encode(shape: StripeShape, data: &[u8]) -> Result<Self, CodecError> {
        Encoder::new().encode_owned(shape, data)
    }

    /// The matrix.
    pub const fn shape(&self) -> StripeShape {
        self.shape
    }

    /// The roots of all pairs.
    pub const fn metadata(&self) -> &StripeMetadata {
        &self.metadata
    }

    /// The id over them.
    pub const fn id(&self) -> StripeId {
        self.id
    }

    /// The sliver with this index on its axis: n-f symbols of a row, or n-2f of a column.
    pub fn sliver(&self, axis: Axis, index: u16) -> Result<Vec<u8>, CodecError> {
        let stripes = Stripes::from(self.shape);
        stripes.check_sliver(axis, index)?;
        let mut bytes = Vec::with_capacity(stripes.sliver_bytes(axis));
        self.append_checked(axis, index, &mut bytes);
        Ok(bytes)
    }

    /// A sliver where it lies: its parts, in order.
    pub fn sliver_parts(
        &self,
        axis: Axis,
        index: u16,
    ) -> Result<impl Iterator<Item = &[u8]>, CodecError> {
        Stripes::from(self.shape).check_sliver(axis, index)?;
        Ok(self.checked_parts(axis, index))
    }

    /// Appends a sliver to `bytes`, which may be memory used before.
    pub fn append_sliver(
        &self,
        axis: Axis,
        index: u16,
        bytes: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        Stripes::from(self.shape).check_sliver(axis, index)?;
        self.append_checked(axis, index, bytes);
        Ok(())
    }

    fn append_checked(&self, axis: Axis, index: u16, bytes: &mut Vec<u8>) {
        self.checked_parts(axis, index).for_each(|part| bytes.extend_from_slice(part));
    }

    /// A row in one part, a column symbol by symbol.
    fn checked_parts(&self, axis: Axis, index: u16) -> impl Iterator<Item = &[u8]> {
        let index = usize::from(index);
        let (rows, columns) = (self.shape.rows(), self.shape.columns());
        let (row, column) = match axis {
            Axis::Primary if index < rows => (Some(self.data.row(index)), None),
            Axis::Primary => (Some(self.below.row(index - rows)), None),
            Axis::Secondary if index < columns => (None, Some(self.data.column(index))),
            Axis::Secondary => (None, Some(self.right.column(index - columns))),
        };
        row.into_iter().chain(column.into_iter().flatten())
    }

    /// Computes one row of the parity quadrant the other way (along the row, not down the columns)
    /// and compares it with what was committed to. Any `choice` picks a row; take a random one.
    pub fn check_parity(&self, choice: u64) -> Result<(), ParityError> {
        let stripes = Stripes::from(self.shape);
        let below = usize::from(self.shape.shards()) - self.shape.rows();
        let row = usize::try_from(choice % below as u64).unwrap_or(0);
        let expanded = Expanded::new(stripes, Axis::Primary, self.below.row(row))?;
        let row = row + self.shape.rows();
        if expanded.root() == self.metadata.pairs()[row].primary {
            Ok(())
        } else {
            Err(ParityError::Differs { stripe: 0, row })
        }
    }
}

/// Encodes one stripe of an extent from its bytes: an independent job.
pub fn encode_stripe(
    shape: ExtentShape,
    stripe: usize,
    data: &[u8],
) -> Result<EncodedStripe, CodecError> {
    EncodedStripe::encode(StripeShape::of(shape, stripe)?, data)
}

/// The id of a stripe of these bytes.
pub fn stripe_id(geometry: Geometry, data: &[u8]) -> Result<StripeId, CodecError> {
    Encoder::new().id(StripeShape::new(geometry, data.len())?, data)
}

#[cfg(test)]
mod tests;
