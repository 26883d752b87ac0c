//! Encoding stripe after stripe in the same memory.

use std::ops::Range;

use floe_model::{Axis, StripeId};

use crate::code::{Code, Extender};
use crate::error::{CodecError, check_length};
use crate::merkle::Trees;
use crate::quadrant::{Down, Quadrant, Rows, extend_row};
use crate::shape::{StripeShape, Stripes};
use crate::stripe::EncodedStripe;

/// Bytes of symbols that are made to be hashed and forgotten, at a time: they stay in cache.
const BATCH_BYTES: usize = 1024 * 1024;
/// Up to so many bytes below the data are made first and then hashed in one run, so that no lane stays
/// empty; more are hashed while they are in cache.
const SMALL_BYTES: usize = 2 * BATCH_BYTES;

/// Encodes stripes, one after the other, and allocates nothing for one that is no larger than one
/// before. One for each thread: it holds about one stripe's expansion.
pub struct Encoder {
    along: Extender,
    down: Down,
    trees: Trees,
    leaves: Vec<[u8; 32]>,
    pairs: Vec<[u8; 64]>,
    batch: Quadrant,
    stripe: Option<EncodedStripe>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder without memory yet.
    pub fn new() -> Self {
        Self::hashing_with(Trees::new())
    }

    /// The same with four lanes even where the machine has eight: what others do, to be measured here.
    pub fn with_four_lanes() -> Self {
        Self::hashing_with(Trees::with_four_lanes())
    }

    fn hashing_with(trees: Trees) -> Self {
        let code = Code { originals: 1, shards: 2 };
        Self {
            along: Extender::new(code),
            down: Down::new(Extender::new(code), 0),
            trees,
            leaves: Vec::new(),
            pairs: Vec::new(),
            batch: Quadrant::default(),
            stripe: None,
        }
    }

    /// Encodes `shape.length()` bytes. The next call overwrites the result.
    pub fn encode(
        &mut self,
        shape: StripeShape,
        data: &[u8],
    ) -> Result<&EncodedStripe, CodecError> {
        let stripe = self.encoded(shape, data)?;
        Ok(self.stripe.insert(stripe))
    }

    /// The same, to keep; takes new memory unless some was [recycled](Self::recycle).
    pub fn encode_owned(
        &mut self,
        shape: StripeShape,
        data: &[u8],
    ) -> Result<EncodedStripe, CodecError> {
        self.encoded(shape, data)
    }

    /// Takes back the memory of a stripe that is no longer needed.
    pub fn recycle(&mut self, stripe: EncodedStripe) {
        self.stripe = Some(stripe);
    }

    /// Bytes of memory that its large parts hold, a recycled stripe included.
    pub fn memory_bytes(&self) -> usize {
        let stripe = self.stripe.iter().flat_map(|it| [&it.data, &it.right, &it.below]);
        let symbols = stripe.chain([&self.batch]).map(|quadrant| quadrant.bytes.capacity());
        symbols.sum::<usize>() + self.leaves.capacity() * size_of::<[u8; 32]>()
    }

    /// The id of a stripe of these bytes. Of the expansion, at most the rows' parity is kept meanwhile.
    pub fn id(&mut self, shape: StripeShape, data: &[u8]) -> Result<StripeId, CodecError> {
        check_length("a stripe", shape.length(), data.len())?;
        let mut stripe = self.blank(shape);
        pad(shape, data, &mut stripe.data);
        let EncodedStripe { data: padded, right, .. } = &mut stripe;
        Rows::of_data(data, padded).extend_right(&mut self.along, right)?;
        self.commit(&mut stripe, data, false)?;
        let id = stripe.id;
        self.stripe = Some(stripe);
        Ok(id)
    }

    /// The roots of the systematic primary slivers of a stripe of these bytes.
    pub(crate) fn systematic_roots(
        &mut self,
        shape: StripeShape,
        data: &[u8],
    ) -> Result<&[[u8; 32]], CodecError> {
        check_length("a stripe", shape.length(), data.len())?;
        let mut stripe = self.blank(shape);
        pad(shape, data, &mut stripe.data);
        let EncodedStripe { data: padded, right, .. } = &mut stripe;
        let rows = Rows::of_data(data, padded);
        rows.extend_right(&mut self.along, right)?;
        let symbols = upper_symbols(shape, rows, right);
        let roots = self.trees.roots_of(symbols, usize::from(shape.shards()));
        self.stripe = Some(stripe);
        Ok(roots)
    }

    fn encoded(&mut self, shape: StripeShape, data: &[u8]) -> Result<EncodedStripe, CodecError> {
        check_length("a stripe", shape.length(), data.len())?;
        let mut stripe = self.blank(shape);
        let EncodedStripe { data: source, right, .. } = &mut stripe;
        source.reshape(shape.rows(), shape.columns(), shape.symbol_bytes());
        let (row_bytes, parity_bytes) = (source.row_bytes(), right.row_bytes());
        let rows = source.bytes.chunks_exact_mut(row_bytes);
        // Each row is extended while it is in cache.
        for (number, (row, parity)) in
            rows.zip(right.bytes.chunks_exact_mut(parity_bytes)).enumerate()
        {
            let given = data.get(number * row_bytes..).unwrap_or_default();
            let (filled, padding) = row.split_at_mut(given.len().min(row_bytes));
            filled.copy_from_slice(&given[..filled.len()]);
            padding.fill(0);
            extend_row(&mut self.along, shape.symbol_bytes(), row, parity)?;
        }
        self.commit(&mut stripe, &[], true)?;
        Ok(stripe)
    }

    /// Memory for a stripe of this shape, its right quadrant in shape.
    fn blank(&mut self, shape: StripeShape) -> EncodedStripe {
        let stripes = Stripes::from(shape);
        self.along.turn_to(stripes.code(Axis::Primary));
        self.down.extender.turn_to(stripes.code(Axis::Secondary));
        self.down.rows = shape.rows();
        let mut stripe = self.stripe.take().unwrap_or_else(|| EncodedStripe::blank(shape));
        stripe.shape = shape;
        let parity = usize::from(shape.shards()) - shape.columns();
        stripe.right.reshape(shape.rows(), parity, shape.symbol_bytes());
        stripe
    }

    /// Makes the lower half of the matrix, the commitments and the id, from the upper half: its rows
    /// lie in `data` and, after those, in `stripe.data`. Keeps the lower half only if asked to.
    pub(crate) fn commit(
        &mut self,
        stripe: &mut EncodedStripe,
        data: &[u8],
        is_kept: bool,
    ) -> Result<(), CodecError> {
        let shape = stripe.shape;
        let (rows, columns) = (shape.rows(), shape.columns());
        let shards = usize::from(shape.shards());
        let EncodedStripe { data: source, right, below, metadata, id, .. } = stripe;
        let left = Rows::of_data(data, source);
        self.leaves.resize(shards * shards, [0; 32]);
        let below_bytes = (shards - rows) * columns * shape.symbol_bytes();
        let is_small = below_bytes <= SMALL_BYTES;
        let below_rows = if is_kept || is_small { shards - rows } else { 0 };
        below.reshape(below_rows, columns, shape.symbol_bytes());
        let hashed_left = if is_small {
            left.extend_down(0..columns, &mut self.down, below, 0)?;
            0
        } else {
            self.hash_below(shape, left, 0..columns, (0, is_kept.then_some(&mut *below)))?;
            columns
        };
        let first = batch_columns(shape).min(shards - columns);
        self.batch.reshape(shards - rows, first, shape.symbol_bytes());
        Rows::from(&*right).extend_down(0..first, &mut self.down, &mut self.batch, 0)?;
        let symbol_bytes = shape.symbol_bytes();
        let lower = (0..shards - rows).flat_map(|row| {
            let left = if hashed_left == 0 { below.row(row) } else { &[] };
            left.chunks_exact(symbol_bytes).chain(self.batch.row(row).chunks_exact(symbol_bytes))
        });
        let mut places = (0..rows * shards).chain(
            (rows..shards)
                .flat_map(|row| row * shards + hashed_left..row * shards + columns + first),
        );
        // One run over all symbols at hand, so that few lanes stay empty.
        self.trees.hash_leaves(upper_symbols(shape, left, right).chain(lower), |leaf| {
            if let Some(place) = places.next() {
                self.leaves[place] = leaf;
            }
        });
        self.hash_below(shape, Rows::from(&*right), first..shards - columns, (columns, None))?;
        let primary = self.trees.roots(self.leaves.iter().copied(), shards);
        metadata.set_roots(Axis::Primary, primary);
        let by_column =
            (0..shards * shards).map(|at| self.leaves[at % shards * shards + at / shards]);
        metadata.set_roots(Axis::Secondary, self.trees.roots(by_column, shards));
        *id = metadata.id_with(shape.length(), &mut self.trees, &mut self.pairs);
        Ok(())
    }

    /// Makes and hashes what lies below some columns of `upper`, whose first one is column `offset` of
    /// the matrix; leaves it in `kept`, if there is one, in the same columns.
    fn hash_below(
        &mut self,
        shape: StripeShape,
        upper: Rows<'_>,
        columns: Range<usize>,
        (offset, mut kept): (usize, Option<&mut Quadrant>),
    ) -> Result<(), CodecError> {
        let (rows, shards) = (shape.rows(), usize::from(shape.shards()));
        for first in columns.clone().step_by(batch_columns(shape)) {
            let batch = first..columns.end.min(first + batch_columns(shape));
            let (made, at) = if let Some(kept) = &mut kept {
                (&mut **kept, first)
            } else {
                self.batch.reshape(shards - rows, batch.len(), shape.symbol_bytes());
                (&mut self.batch, 0)
            };
            upper.extend_down(batch.clone(), &mut self.down, made, at)?;
            let mut places = (rows..shards)
                .flat_map(|row| batch.clone().map(move |column| row * shards + offset + column));
            self.trees.hash_leaves(made.symbols(at..at + batch.len()), |leaf| {
                if let Some(place) = places.next() {
                    self.leaves[place] = leaf;
                }
            });
        }
        Ok(())
    }
}

/// Columns whose lower part is made at a time.
fn batch_columns(shape: StripeShape) -> usize {
    let column_bytes = (usize::from(shape.shards()) - shape.rows()) * shape.symbol_bytes();
    (BATCH_BYTES / column_bytes).max(1)
}

/// The rows that data does not fill, padded with zeros.
fn pad(shape: StripeShape, data: &[u8], padded: &mut Quadrant) {
    let row_bytes = shape.columns() * shape.symbol_bytes();
    let whole = data.len() / row_bytes;
    padded.reshape(shape.rows() - whole, shape.columns(), shape.symbol_bytes());
    let rest = &data[whole * row_bytes..];
    let (filled, padding) = padded.bytes.split_at_mut(rest.len());
    filled.copy_from_slice(rest);
    padding.fill(0);
}

fn upper_symbols<'a>(
    shape: StripeShape,
    left: Rows<'a>,
    right: &'a Quadrant,
) -> impl Iterator<Item = &'a [u8]> {
    (0..shape.rows()).flat_map(move |row| {
        let symbol_bytes = shape.symbol_bytes();
        left.row(row).chunks_exact(symbol_bytes).chain(right.row(row).chunks_exact(symbol_bytes))
    })
}
