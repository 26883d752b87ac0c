//! Encoding, held against the plain definition.

use floe_model::{Axis, Geometry};
use floe_redstuff::{EncodedStripe, StripeShape};

use crate::plain::{Matrix, stripe_id, stripe_root};
use crate::sample::Draw;
use crate::slow;

fn agrees(geometry: Geometry, data: &[u8]) {
    let context = format!("{geometry:?} {} bytes", data.len());
    let matrix = Matrix::new(geometry.shards(), geometry.faulty(), data);
    let encoded =
        EncodedStripe::encode(StripeShape::new(geometry, data.len()).unwrap(), data).unwrap();
    let pairs = matrix.pair_roots();
    for (pair, [primary, secondary]) in encoded.metadata().pairs().iter().zip(&pairs) {
        assert_eq!((&pair.primary, &pair.secondary), (primary, secondary), "{context}");
    }
    assert_eq!(encoded.metadata().root(), stripe_root(&pairs), "{context}");
    assert_eq!(encoded.id(), stripe_id(&pairs, data.len()), "{context}");
    assert_eq!(floe_redstuff::stripe_id(geometry, data).unwrap(), encoded.id(), "{context}");
    for axis in Axis::BOTH {
        for index in 0..geometry.shards() {
            let stored = matrix.sliver(axis, index);
            assert!(encoded.sliver(axis, index).unwrap() == stored, "{context} {axis} {index}");
        }
    }
}

/// Lengths around which symbols and chunks begin, and others.
fn lengths(geometry: Geometry, draw: &mut Draw) -> Vec<usize> {
    let symbols = geometry.rows() * geometry.columns();
    let full = geometry.full_stripe_bytes();
    let mut lengths = vec![1, 64 * symbols, 2 * symbols + draw.below(160 * symbols)];
    if slow() || geometry.shards() <= 10 {
        lengths.extend([0, 2, 2 * symbols, 2 * symbols + 1, 62 * symbols, 64 * symbols + 1]);
        lengths.extend([64 * symbols - 1, 66 * symbols, 128 * symbols, 130 * symbols - 1]);
        lengths.extend((0..6).map(|_| draw.below(full.min(400 * symbols))));
    }
    lengths
}

#[test]
fn encoding_is_what_the_definition_says() {
    let seed = 77;
    let mut draw = Draw(seed);
    for shards in 4..=100 {
        let geometry = Geometry::of_shards(shards).unwrap();
        for length in lengths(geometry, &mut draw) {
            agrees(geometry, &draw.bytes(length));
        }
    }
}

#[test]
fn encoding_fewer_faults_is_what_the_definition_says() {
    let mut draw = Draw(78);
    for (shards, faulty) in [(7, 1), (10, 1), (10, 2), (16, 3), (31, 4), (64, 8), (100, 20)] {
        let geometry = Geometry::new(shards, faulty).unwrap();
        for length in lengths(geometry, &mut draw) {
            agrees(geometry, &draw.bytes(length));
        }
    }
}

#[test]
fn full_stripes_are_what_the_definition_says() {
    for shards in [4, 7] {
        let geometry = Geometry::of_shards(shards).unwrap();
        let full = geometry.full_stripe_bytes();
        agrees(geometry, &Draw(u64::from(shards)).bytes(full));
        agrees(geometry, &Draw(u64::from(shards)).bytes(full - 2 * geometry.rows()));
    }
}
