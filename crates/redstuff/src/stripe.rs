//! Encoding one stripe: the matrix in four quadrants, all symbols hashed once.

use std::borrow::Cow;

use floe_model::{Axis, ExtentShape, Geometry, Hash, StripeId};

use crate::code::{Code, Extender};
use crate::error::{CodecError, check_length};
use crate::merkle;
use crate::metadata::StripeMetadata;
use crate::pack::{pack, unpack};
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

/// Symbols in rows.
#[derive(Debug, Clone)]
struct Quadrant {
    columns: usize,
    symbol_bytes: usize,
    bytes: Vec<u8>,
}

impl Quadrant {
    fn zeroed(rows: usize, columns: usize, symbol_bytes: usize) -> Self {
        Self { columns, symbol_bytes, bytes: vec![0; rows * columns * symbol_bytes] }
    }

    const fn row_bytes(&self) -> usize {
        self.columns * self.symbol_bytes
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.row_bytes()..][..self.row_bytes()]
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.row_bytes())
    }

    fn symbols(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.symbol_bytes)
    }

    /// The symbols of one column, from top to bottom.
    fn column(&self, column: usize) -> impl Iterator<Item = &[u8]> {
        let at = column * self.symbol_bytes;
        self.rows().map(move |row| &row[at..at + self.symbol_bytes])
    }

    /// The quadrant below: every column extended.
    fn extend_down(&self, code: Code) -> Result<Self, CodecError> {
        let rows: Vec<Cow<'_, [u8]>> =
            self.rows().map(|row| pack(row, self.symbol_bytes)).collect();
        let rows: Vec<&[u8]> = rows.iter().map(AsRef::as_ref).collect();
        let mut bytes = vec![0; (code.shards - code.originals) * self.row_bytes()];
        let mut below: Vec<&mut [u8]> = bytes.chunks_exact_mut(self.row_bytes()).collect();
        Extender::new(code).extend(&rows, &mut below)?;
        let symbol_bytes = self.symbol_bytes;
        if !symbol_bytes.is_multiple_of(64) {
            for row in below {
                let unpacked = unpack(row.to_vec(), symbol_bytes);
                row.copy_from_slice(&unpacked);
            }
        }
        Ok(Self { columns: self.columns, symbol_bytes, bytes })
    }

    /// The quadrant to the right: every row extended.
    fn extend_right(&self, code: Code) -> Result<Self, CodecError> {
        let rows = self.bytes.len() / self.row_bytes();
        let mut right = Self::zeroed(rows, code.shards - code.originals, self.symbol_bytes);
        let right_row_bytes = right.row_bytes();
        let mut extender = Extender::new(code);
        for (row, parity) in self.rows().zip(right.bytes.chunks_exact_mut(right_row_bytes)) {
            let row: Vec<&[u8]> = row.chunks_exact(self.symbol_bytes).collect();
            let mut parity: Vec<&mut [u8]> = parity.chunks_exact_mut(self.symbol_bytes).collect();
            extender.extend(&row, &mut parity)?;
        }
        Ok(right)
    }
}

/// The upper half of a matrix: the data and its rows' parity.
struct Upper {
    data: Quadrant,
    right: Quadrant,
}

impl Upper {
    fn encode(shape: StripeShape, data: &[u8]) -> Result<Self, CodecError> {
        check_length("a stripe", shape.length(), data.len())?;
        let mut source = Quadrant::zeroed(shape.rows(), shape.columns(), shape.symbol_bytes());
        source.bytes[..data.len()].copy_from_slice(data);
        let right = source.extend_right(Stripes::from(shape).code(Axis::Primary))?;
        Ok(Self { data: source, right })
    }
}

/// The leaves of all symbols of two quadrants side by side, row by row.
fn hash_rows(left: &Quadrant, right: &Quadrant) -> Vec<Hash> {
    let rows = left.rows().zip(right.rows());
    merkle::hash_leaves(rows.flat_map(|(row, rest)| {
        row.chunks_exact(left.symbol_bytes).chain(rest.chunks_exact(right.symbol_bytes))
    }))
}

/// The roots of all slivers, from the leaves of all n x n symbols, row by row.
fn commit(leaves: Vec<Hash>, shards: usize) -> StripeMetadata {
    let columns = (0..shards).flat_map(|column| leaves[column..].iter().step_by(shards));
    let secondary = merkle::roots(columns.copied().collect(), shards);
    StripeMetadata::new(merkle::roots(leaves, shards), secondary)
}

/// The roots of the systematic primary slivers of a stripe.
pub(crate) fn systematic_roots(shape: StripeShape, data: &[u8]) -> Result<Vec<Hash>, CodecError> {
    let upper = Upper::encode(shape, data)?;
    Ok(merkle::roots(hash_rows(&upper.data, &upper.right), usize::from(shape.shards())))
}

/// A stripe's slivers and their commitments. The parity of the parity is hashed, not kept: no sliver
/// contains it.
#[derive(Debug, Clone)]
pub struct EncodedStripe {
    shape: StripeShape,
    data: Quadrant,
    right: Quadrant,
    below: Quadrant,
    metadata: StripeMetadata,
    id: StripeId,
}

impl EncodedStripe {
    /// Encodes `shape.length()` bytes.
    pub fn encode(shape: StripeShape, data: &[u8]) -> Result<Self, CodecError> {
        let Upper { data, right } = Upper::encode(shape, data)?;
        let down = Stripes::from(shape).code(Axis::Secondary);
        let below = data.extend_down(down)?;
        let mut leaves = hash_rows(&data, &right);
        leaves.extend(hash_rows(&below, &right.extend_down(down)?));
        let metadata = commit(leaves, usize::from(shape.shards()));
        let id = metadata.id(shape.length());
        Ok(Self { shape, data, right, below, metadata, id })
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
        self.append_sliver(axis, index, &mut bytes);
        Ok(bytes)
    }

    /// Appends a sliver whose index is below n.
    pub(crate) fn append_sliver(&self, axis: Axis, index: u16, bytes: &mut Vec<u8>) {
        let index = usize::from(index);
        let (rows, columns) = (self.shape.rows(), self.shape.columns());
        let column = match axis {
            Axis::Primary if index < rows => return bytes.extend_from_slice(self.data.row(index)),
            Axis::Primary => return bytes.extend_from_slice(self.below.row(index - rows)),
            Axis::Secondary if index < columns => (&self.data, index),
            Axis::Secondary => (&self.right, index - columns),
        };
        for symbol in column.0.column(column.1) {
            bytes.extend_from_slice(symbol);
        }
    }

    /// Computes one row of the parity quadrant the other way (along the row, not down the columns)
    /// and compares it with what was committed to. Any `choice` picks a row; take a random one.
    pub fn check_parity(&self, choice: u64) -> Result<(), ParityError> {
        let stripes = Stripes::from(self.shape);
        let below = self.below.symbols().count() / self.shape.columns();
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
    Ok(EncodedStripe::encode(StripeShape::new(geometry, data.len())?, data)?.id())
}

#[cfg(test)]
mod tests;
