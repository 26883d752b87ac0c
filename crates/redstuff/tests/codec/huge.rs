//! More shards than a committee has: the code alone, as plain RS2 has it. Not a row of the table of
//! geometries, since there is no extent, manifest or verified sliver of so many.

use floe_model::{Axis, Geometry};
use floe_redstuff::{
    EncodedStripe, RebuildError, StripeShape, decode_stripe, prove_stripe_symbol,
    rebuild_stripe_sliver,
};

use crate::plain::{Matrix, Tree, stripe_id};
use crate::sample::{Draw, borrow};
use crate::slow;

struct Stripe {
    shards: u16,
    shape: StripeShape,
    data: Vec<u8>,
    encoded: EncodedStripe,
    matrix: Matrix,
}

impl Stripe {
    fn new(shards: u16, length: usize) -> Self {
        let shape = StripeShape::rs2(shards, length).unwrap();
        let data = Draw(u64::from(shards)).bytes(length);
        let encoded = EncodedStripe::encode(shape, &data).unwrap();
        let matrix = Matrix::new(shards, Geometry::most_faulty(shards), &data);
        Self { shards, shape, data, encoded, matrix }
    }

    const fn symbols(&self, axis: Axis) -> usize {
        match axis {
            Axis::Primary => self.shape.columns(),
            Axis::Secondary => self.shape.rows(),
        }
    }

    /// All roots, the id and every sliver.
    fn is_what_the_definition_says(&self) {
        let pairs = self.matrix.pair_roots();
        let roots = self.encoded.metadata().pairs().iter();
        let roots: Vec<_> = roots.map(|pair| [pair.primary, pair.secondary]).collect();
        assert!(roots == pairs, "n={}", self.shards);
        assert_eq!(self.encoded.id(), stripe_id(&pairs, self.data.len()));
        for axis in Axis::BOTH {
            for index in 0..self.shards {
                let sliver = self.encoded.sliver(axis, index).unwrap();
                assert!(sliver == self.matrix.sliver(axis, index), "{axis} {index}");
            }
        }
    }

    fn decodes(&self, axis: Axis, indices: &[u16]) {
        let sliver = |&index: &u16| (index, self.encoded.sliver(axis, index).unwrap());
        let mut slivers: Vec<(u16, Vec<u8>)> = indices.iter().map(sliver).collect();
        assert!(decode_stripe(self.shape, axis, &borrow(&slivers)).unwrap() == self.data);
        slivers[0].1[0] ^= 1;
        let altered = decode_stripe(self.shape, axis, &borrow(&slivers)).unwrap();
        if altered == self.data {
            // The change went into the padding, which a short blob is nearly all of.
            assert!(self.data.len() < 2 * self.shape.columns(), "{axis}: a changed bit is lost");
            return;
        }
        let id = EncodedStripe::encode(self.shape, &altered).unwrap().id();
        assert_ne!(id, self.encoded.id(), "{axis}: other bytes, the same id");
    }

    fn is_rebuilt(&self, axis: Axis, index: u16, from: &[u16]) {
        let expansion = self.matrix.expansion(axis, index);
        let symbol = |&source: &u16| (source, expansion[usize::from(source)].clone());
        let mut symbols: Vec<(u16, Vec<u8>)> = from.iter().map(symbol).collect();
        let rebuild = |symbols: &[(u16, Vec<u8>)]| {
            let metadata = self.encoded.metadata();
            rebuild_stripe_sliver(self.shape, metadata, axis, index, &borrow(symbols))
        };
        let expected = self.encoded.sliver(axis, index).unwrap();
        assert!(rebuild(&symbols).unwrap() == expected, "{axis} {index} {from:?}");
        symbols[from.len() / 2].1[1] ^= 0x10;
        let refused = RebuildError::RootMismatch { axis, index, stripe: 0 };
        assert_eq!(rebuild(&symbols), Err(refused));
        assert!(rebuild(&symbols[1..]).is_err());
    }

    fn proves(&self, axis: Axis, index: u16, target: u16) {
        let sliver = self.encoded.sliver(axis, index).unwrap();
        let (symbol, proof) = prove_stripe_symbol(self.shape, axis, &sliver, target).unwrap();
        let expansion = self.matrix.expansion(axis, index);
        let target = usize::from(target);
        assert_eq!(symbol, expansion[target]);
        assert_eq!(proof.siblings(), Tree::new(&expansion).siblings(target));
    }
}

/// Sets that decode or rebuild: the first, the last (parity alone where there is enough of it), and
/// some at random.
fn sets(shards: u16, need: usize, draw: &mut Draw, random: usize) -> Vec<Vec<u16>> {
    let first = (0..shards).take(need).collect();
    let last = (0..shards).rev().take(need).collect();
    let random = (0..random).map(|_| draw.some_of(shards, need));
    [first, last].into_iter().chain(random).collect()
}

fn all_holds(shards: u16, length: usize, slivers: usize) {
    let stripe = Stripe::new(shards, length);
    let mut draw = Draw(u64::from(shards) ^ 0x5eed);
    stripe.is_what_the_definition_says();
    for axis in Axis::BOTH {
        for set in sets(shards, stripe.symbols(axis.other()), &mut draw, 3) {
            stripe.decodes(axis, &set);
        }
        for index in draw.some_of(shards, slivers) {
            for set in sets(shards, stripe.symbols(axis), &mut draw, 1) {
                stripe.is_rebuilt(axis, index, &set);
            }
            stripe.proves(axis, index, draw.some_of(shards, 1)[0]);
        }
    }
}

#[test]
fn three_hundred_shards_hold_what_is_promised() {
    let shape = StripeShape::rs2(301, 1).unwrap();
    let symbols = shape.rows() * shape.columns();
    // Every sliver where there is time, some where not.
    let slivers = if slow() { 301 } else { 8 };
    all_holds(301, 2 * symbols - 1, slivers);
    if slow() {
        for length in [0, 1, 2 * symbols, 2 * symbols + 1, 64 * symbols, 66 * symbols] {
            all_holds(301, length, 8);
        }
    }
}

#[test]
fn a_thousand_shards_hold_what_is_promised() {
    if slow() {
        all_holds(1000, 1, 20);
        all_holds(1000, 450_000, 60);
    }
}
