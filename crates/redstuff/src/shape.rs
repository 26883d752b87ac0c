//! Matrices and symbol sizes: of one stripe, and of consecutive stripes.

use std::ops::Range;

use floe_model::{Axis, ExtentShape, Geometry};

use crate::code::Code;
use crate::error::CodecError;

/// The largest symbol that RS2 allows, in bytes.
const LARGEST_RS2_SYMBOL_BYTES: usize = u16::MAX as usize - 1;

/// The matrix of one stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StripeShape {
    shards: u16,
    rows: usize,
    columns: usize,
    length: usize,
}

impl StripeShape {
    /// A stripe of `length` bytes, at most a full one.
    pub const fn new(geometry: Geometry, length: usize) -> Result<Self, CodecError> {
        let most = geometry.full_stripe_bytes();
        if length > most {
            return Err(CodecError::TooLong { length, most });
        }
        let (rows, columns) = (geometry.rows(), geometry.columns());
        Ok(Self { shards: geometry.shards(), rows, columns, length })
    }

    /// One stripe of an extent.
    pub fn of(shape: ExtentShape, stripe: usize) -> Result<Self, CodecError> {
        if stripe >= shape.stripes() {
            return Err(CodecError::NoSuchStripe { stripe, stripes: shape.stripes() });
        }
        Self::new(shape.geometry(), shape.stripe_bytes(stripe).len())
    }

    /// A blob as plain RS2 codes it: any number of shards, symbols up to 65534 bytes. Floe itself
    /// stores none beyond [`StripeShape::new`]; conformance looks at these too.
    pub fn rs2(shards: u16, length: usize) -> Result<Self, CodecError> {
        let faulty = Geometry::most_faulty(shards);
        if faulty == 0 {
            return Err(CodecError::TooFewShards(shards));
        }
        let (rows, columns) = (usize::from(shards - 2 * faulty), usize::from(shards - faulty));
        let most = rows * columns * LARGEST_RS2_SYMBOL_BYTES;
        if length > most {
            return Err(CodecError::TooLong { length, most });
        }
        Ok(Self { shards, rows, columns, length })
    }

    /// n.
    pub const fn shards(self) -> u16 {
        self.shards
    }

    /// n-2f.
    pub const fn rows(self) -> usize {
        self.rows
    }

    /// n-f.
    pub const fn columns(self) -> usize {
        self.columns
    }

    /// Bytes of blob in the stripe.
    pub const fn length(self) -> usize {
        self.length
    }

    /// Bytes of one symbol: even, at least 2.
    pub const fn symbol_bytes(self) -> usize {
        let length = if self.length == 0 { 1 } else { self.length };
        length.div_ceil(self.rows * self.columns).next_multiple_of(2)
    }
}

/// Consecutive stripes; all but the last have full symbols, a multiple of 64 bytes. So the symbols
/// at one place of every stripe, one behind the other, are one shard of the codec as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stripes {
    pub(crate) shards: usize,
    rows: usize,
    columns: usize,
    pub(crate) count: usize,
    full_symbol_bytes: usize,
    last_symbol_bytes: usize,
}

impl From<StripeShape> for Stripes {
    fn from(shape: StripeShape) -> Self {
        Self {
            shards: usize::from(shape.shards),
            rows: shape.rows,
            columns: shape.columns,
            count: 1,
            full_symbol_bytes: shape.symbol_bytes(),
            last_symbol_bytes: shape.symbol_bytes(),
        }
    }
}

impl From<ExtentShape> for Stripes {
    fn from(shape: ExtentShape) -> Self {
        let geometry = shape.geometry();
        Self {
            shards: usize::from(geometry.shards()),
            rows: geometry.rows(),
            columns: geometry.columns(),
            count: shape.stripes(),
            full_symbol_bytes: geometry.full_symbol_bytes(),
            last_symbol_bytes: shape.symbol_bytes(shape.stripes() - 1),
        }
    }
}

impl Stripes {
    /// One of them alone.
    pub(crate) const fn only(self, stripe: usize) -> Self {
        let symbol_bytes = self.symbol_bytes(stripe);
        Self { count: 1, full_symbol_bytes: symbol_bytes, last_symbol_bytes: symbol_bytes, ..self }
    }

    pub(crate) const fn symbol_bytes(self, stripe: usize) -> usize {
        if stripe + 1 == self.count { self.last_symbol_bytes } else { self.full_symbol_bytes }
    }

    /// Bytes of one symbol of each stripe together.
    pub(crate) const fn crossing_bytes(self) -> usize {
        (self.count - 1) * self.full_symbol_bytes + self.last_symbol_bytes
    }

    /// Where the symbol of a stripe lies in a crossing.
    pub(crate) const fn crossing_range(self, stripe: usize) -> Range<usize> {
        let first = stripe * self.full_symbol_bytes;
        first..first + self.symbol_bytes(stripe)
    }

    /// Symbols in a sliver of one stripe.
    pub(crate) const fn sliver_symbols(self, axis: Axis) -> usize {
        match axis {
            Axis::Primary => self.columns,
            Axis::Secondary => self.rows,
        }
    }

    pub(crate) const fn sliver_bytes(self, axis: Axis) -> usize {
        self.crossing_bytes() * self.sliver_symbols(axis)
    }

    /// Where the sliver of a stripe lies in a sliver of an extent.
    pub(crate) const fn sliver_range(self, axis: Axis, stripe: usize) -> Range<usize> {
        let symbols = self.sliver_symbols(axis);
        let crossing = self.crossing_range(stripe);
        crossing.start * symbols..crossing.end * symbols
    }

    /// The code along a sliver of `axis`: it expands the sliver, and rebuilds it from symbols. Across
    /// the slivers of one axis runs the code of the other.
    pub(crate) const fn code(self, axis: Axis) -> Code {
        Code { originals: self.sliver_symbols(axis), shards: self.shards }
    }

    pub(crate) fn check_sliver(self, axis: Axis, index: u16) -> Result<(), CodecError> {
        if usize::from(index) < self.shards {
            Ok(())
        } else {
            Err(CodecError::NoSuchSliver { axis, index, shards: self.shards })
        }
    }
}
