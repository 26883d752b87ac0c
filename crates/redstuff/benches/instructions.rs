//! Does one thing several times, for its instructions to be counted: `cargo xtask test instructions`
//! runs it under valgrind, `cargo xtask bench instructions` writes down what it takes.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::hint::black_box;

use floe_model::{Axis, ExtentShape, Geometry};
use floe_redstuff::{Encoder, StripeShape, crossing_symbols, encode_extent, rebuild_sliver};

const SHARDS: u16 = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    // Cargo also runs benches as tests, without these.
    let (Some(case), Some(goes)) = (arguments.next(), arguments.next()) else { return };
    let goes: usize = goes.parse().unwrap();
    let geometry = Geometry::of_shards(SHARDS).unwrap();
    let data: Vec<u8> =
        (0..geometry.full_stripe_bytes()).map(|at| (at * at / 7).to_le_bytes()[0]).collect();
    let shape = ExtentShape::new(geometry, data.len()).unwrap();
    match case.as_str() {
        "encode" => encode(shape, &data, goes),
        "rebuild" => rebuild(shape, &data, goes),
        other => eprintln!("no case {other}: encode or rebuild"),
    }
}

/// A full stripe with all commitments.
fn encode(shape: ExtentShape, data: &[u8], goes: usize) {
    let (shape, mut encoder) = (StripeShape::of(shape, 0).unwrap(), Encoder::new());
    for _ in 0..goes {
        black_box(encoder.encode(shape, data).unwrap().id());
    }
}

/// A secondary sliver of a full stripe from parity symbols, verified.
fn rebuild(shape: ExtentShape, data: &[u8], goes: usize) {
    let extent = encode_extent(shape, data).unwrap();
    let rows = u16::try_from(shape.geometry().rows()).unwrap();
    let symbols = (SHARDS - rows..SHARDS).map(|from| {
        let source = extent.sliver(Axis::Primary, from).unwrap();
        (from, crossing_symbols(shape, Axis::Primary, &source, &[1]).unwrap().remove(0))
    });
    let symbols: Vec<(u16, Vec<u8>)> = symbols.collect();
    let symbols: Vec<(u16, &[u8])> =
        symbols.iter().map(|(from, symbols)| (*from, symbols.as_slice())).collect();
    for _ in 0..goes {
        black_box(rebuild_sliver(extent.metadata(), Axis::Secondary, 1, &symbols).unwrap());
    }
}
