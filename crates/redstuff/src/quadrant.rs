//! A part of the matrix: symbols in rows.

use std::ops::Range;

use crate::code::Extender;
use crate::error::CodecError;
use crate::pack::{is_packed, pack_into, unpack_into};

/// Symbols in rows, in memory that can take another shape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quadrant {
    columns: usize,
    symbol_bytes: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Quadrant {
    /// Takes another shape; the content is then anything.
    pub(crate) fn reshape(&mut self, rows: usize, columns: usize, symbol_bytes: usize) {
        self.columns = columns;
        self.symbol_bytes = symbol_bytes;
        self.bytes.resize(rows * columns * symbol_bytes, 0);
    }

    pub(crate) const fn row_bytes(&self) -> usize {
        self.columns * self.symbol_bytes
    }

    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.row_bytes()..][..self.row_bytes()]
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.row_bytes())
    }

    /// The symbols of some columns, row by row.
    pub(crate) fn symbols(&self, columns: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let range = columns.start * self.symbol_bytes..columns.end * self.symbol_bytes;
        self.rows().flat_map(move |row| row[range.clone()].chunks_exact(self.symbol_bytes))
    }

    /// The symbols of one column, from top to bottom.
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = &[u8]> {
        let at = column * self.symbol_bytes;
        self.rows().map(move |row| &row[at..at + self.symbol_bytes])
    }
}

/// The upper rows of the matrix, or the columns to their right.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Rows one behind the other.
    whole: &'a [u8],
    /// The rows after them.
    rest: &'a [u8],
    row_bytes: usize,
    symbol_bytes: usize,
}

impl<'a> Rows<'a> {
    /// The rows of data: those it fills where they lie, and copies of the others, padded.
    pub(crate) fn of_data(data: &'a [u8], padded: &'a Quadrant) -> Self {
        let row_bytes = padded.row_bytes();
        let whole = &data[..data.len() / row_bytes * row_bytes];
        Self { whole, rest: &padded.bytes, row_bytes, symbol_bytes: padded.symbol_bytes }
    }

    pub(crate) fn row(self, row: usize) -> &'a [u8] {
        let at = row * self.row_bytes;
        let bytes = match at.checked_sub(self.whole.len()) {
            None => &self.whole[at..],
            Some(at) => &self.rest[at..],
        };
        &bytes[..self.row_bytes]
    }

    /// The quadrant to the right: every row extended.
    pub(crate) fn extend_right(
        self,
        along: &mut Extender,
        right: &mut Quadrant,
    ) -> Result<(), CodecError> {
        let row_bytes = right.row_bytes();
        for (number, parity) in right.bytes.chunks_exact_mut(row_bytes).enumerate() {
            extend_row(along, self.symbol_bytes, self.row(number), parity)?;
        }
        Ok(())
    }

    /// What lies below some columns, to column `at` of `below` and those after it.
    pub(crate) fn extend_down(
        self,
        columns: Range<usize>,
        down: &mut Down,
        below: &mut Quadrant,
        at: usize,
    ) -> Result<(), CodecError> {
        let range = columns.start * self.symbol_bytes..columns.end * self.symbol_bytes;
        let upper = |row: usize| &self.row(row)[range.clone()];
        let (pitch, at) = (below.row_bytes(), at * self.symbol_bytes);
        if is_packed(self.symbol_bytes) {
            let place = |row| row * pitch + at;
            return down.extender.extend(range.len(), upper, &mut below.bytes, place);
        }
        let row_bytes = range.len();
        down.upper.resize(down.rows * row_bytes, 0);
        for (row, packed) in down.upper.chunks_exact_mut(row_bytes).enumerate() {
            pack_into(upper(row), self.symbol_bytes, packed);
        }
        down.below.resize(below.bytes.len() / pitch * row_bytes, 0);
        let packed = &down.upper;
        down.extender.extend(
            row_bytes,
            |row| &packed[row * row_bytes..][..row_bytes],
            &mut down.below,
            |row| row * row_bytes,
        )?;
        let rows = below.bytes.chunks_exact_mut(pitch);
        for (packed, row) in down.below.chunks_exact(row_bytes).zip(rows) {
            unpack_into(packed, self.symbol_bytes, &mut row[at..at + row_bytes]);
        }
        Ok(())
    }
}

/// What lies to the right of one row.
pub(crate) fn extend_row(
    along: &mut Extender,
    symbol_bytes: usize,
    row: &[u8],
    parity: &mut [u8],
) -> Result<(), CodecError> {
    along.extend(
        symbol_bytes,
        |symbol| &row[symbol * symbol_bytes..][..symbol_bytes],
        parity,
        |symbol| symbol * symbol_bytes,
    )
}

impl<'a> From<&'a Quadrant> for Rows<'a> {
    fn from(quadrant: &'a Quadrant) -> Self {
        Self {
            whole: &quadrant.bytes,
            rest: &[],
            row_bytes: quadrant.row_bytes(),
            symbol_bytes: quadrant.symbol_bytes,
        }
    }
}

/// What it takes to extend columns: the code, and room for packed rows.
pub(crate) struct Down {
    pub(crate) extender: Extender,
    pub(crate) rows: usize,
    upper: Vec<u8>,
    below: Vec<u8>,
}

impl Down {
    pub(crate) const fn new(extender: Extender, rows: usize) -> Self {
        Self { extender, rows, upper: Vec::new(), below: Vec::new() }
    }
}
