//! Valid values to start from.

use floe_model::{Axis, ExtentShape, Geometry, Layout};
use floe_redstuff::{EncodedExtent, encode_extent};

const SIGNED: &str = include_str!("../../../crates/model/tests/vectors/signed.jsonl");

/// The bytes of a signed layout, by its name in the model's vectors.
pub(crate) fn signed(name: &str) -> Vec<u8> {
    let named = |line: &str| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        (case["name"] == name).then(|| hex::decode(case["hex"].as_str().unwrap()).unwrap())
    };
    SIGNED.lines().find_map(named).unwrap()
}

/// All of them.
pub(crate) fn all_signed() -> Vec<Vec<u8>> {
    let bytes = |line: &str| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        hex::decode(case["hex"].as_str().unwrap()).unwrap()
    };
    SIGNED.lines().map(bytes).collect()
}

pub(crate) fn value<T: Layout>(name: &str) -> T {
    T::from_bytes(&signed(name)).unwrap()
}

/// n = 4, two stripes, the last one short.
pub(crate) fn extent() -> EncodedExtent {
    let geometry = Geometry::of_shards(4).unwrap();
    let shape = ExtentShape::new(geometry, geometry.full_stripe_bytes() + 21).unwrap();
    encode_extent(shape, &content(shape.length())).unwrap()
}

/// n = 7, one stripe.
pub(crate) fn small_extent() -> EncodedExtent {
    let shape = ExtentShape::new(Geometry::of_shards(7).unwrap(), 100).unwrap();
    encode_extent(shape, &content(shape.length())).unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at % 251).to_le_bytes()[0]).collect()
}

pub(crate) fn slivers(extent: &EncodedExtent) -> Vec<(Axis, u16, Vec<u8>)> {
    let shards = extent.metadata().shape().geometry().shards();
    let of =
        |axis| (0..shards).map(move |index| (axis, index, extent.sliver(axis, index).unwrap()));
    Axis::BOTH.into_iter().flat_map(of).collect()
}
