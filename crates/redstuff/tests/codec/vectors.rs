//! Pinned ids, and `floe.jsonl` beside this file: what Floe adds to RS2 (f below its largest value,
//! extents of several stripes, manifests). The cases of plain RS2 in `tests/vectors` are computed by the
//! reference codec and checked by `cargo xtask vectors`.
//!
//! The file was written by this code; review a change of it as a change of the format.

use std::fmt::Write as _;

use floe_model::{Axis, BlobLayout, Geometry, StripeId};
use floe_redstuff::{Manifest, SymbolProof, crossing_symbols, prove_symbols, stripe_id};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::sample::{Draw, Sample};

const WRITTEN: &str = include_str!("floe.jsonl");

#[test]
fn the_pinned_id_of_the_reference() {
    let geometry = Geometry::of_shards(10).unwrap();
    let id = stripe_id(geometry, b"walrus blob id v1 regression test").unwrap();
    assert_eq!(id.to_string(), "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY");
    let layout = BlobLayout::new(geometry, 33);
    let manifest = Manifest::new(layout, vec![id]).unwrap();
    assert_eq!((manifest.id().0, manifest.encode()), (id.0, id.0.to_vec()));
}

#[test]
fn our_own_cases_agree() {
    for (number, (written, computed)) in WRITTEN.lines().zip(lines().lines()).enumerate() {
        let parse = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        assert_eq!(parse(written), parse(computed), "case {}", number + 1);
    }
    assert_eq!(WRITTEN.lines().count(), lines().lines().count());
}

#[test]
#[ignore = "writes the file: run it by hand where the format is meant to change"]
#[expect(clippy::disallowed_methods, reason = "writes a file of the source tree")]
fn write_our_own_cases() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/codec/floe.jsonl");
    std::fs::write(file, lines()).unwrap();
}

fn lines() -> String {
    let mut lines = String::new();
    for (n, f, length, seed) in [
        (10, 1, 0, 1),
        (10, 2, 1, 2),
        (7, 1, 5_000, 3),
        (31, 4, 70_001, 4),
        (100, 10, 123_456, 5),
        (4, 1, 2 * 196_608, 6),
        (4, 1, 2 * 196_608 + 1, 7),
        (10, 3, 917_504 + 12_345, 8),
        (10, 2, 1_572_864 + 99, 9),
    ] {
        let geometry = Geometry::new(n, f).unwrap();
        writeln!(lines, "{}", extent_case(geometry, length, seed)).unwrap();
    }
    for (n, f, length, seed) in [
        (10, 3, 917_504, 1),
        (10, 2, 917_504, 2),
        (10, 3, 917_505, 3),
        (4, 1, 1024 * 196_608, 4),
        (4, 1, 1024 * 196_608 + 1, 5),
        (100, 33, 1 << 40, 6),
    ] {
        let layout = BlobLayout::new(Geometry::new(n, f).unwrap(), length);
        writeln!(lines, "{}", manifest_case(layout, seed)).unwrap();
    }
    lines
}

fn extent_case(geometry: Geometry, length: usize, seed: u64) -> Value {
    let sample = Sample::new(geometry, length, seed);
    let (shape, metadata) = (sample.shape, sample.extent.metadata());
    let slivers = |axis| {
        let slivers =
            (0..geometry.shards()).map(|index| sample.extent.sliver(axis, index).unwrap());
        sha256(slivers)
    };
    let last = geometry.shards() - 1;
    let source = sample.extent.sliver(Axis::Secondary, last).unwrap();
    let symbols = crossing_symbols(shape, Axis::Secondary, &source, &[last]).unwrap();
    let proofs = prove_symbols(shape, Axis::Secondary, &source, last).unwrap();
    json!({
        "kind": "extent",
        "n": geometry.shards(),
        "f": geometry.faulty(),
        "length": length,
        "seed": seed,
        "input_sha256": sha256([&sample.data]),
        "stripes": shape.stripes(),
        "full_symbol_bytes": geometry.full_symbol_bytes(),
        "last_symbol_bytes": shape.symbol_bytes(shape.stripes() - 1),
        "stripe_ids": metadata.stripe_ids(),
        "metadata_sha256": sha256([metadata.encode()]),
        "primary_slivers_sha256": slivers(Axis::Primary),
        "secondary_slivers_sha256": slivers(Axis::Secondary),
        "last_crossing_sha256": sha256(symbols),
        "last_crossing_proofs_sha256": sha256(proofs.iter().map(SymbolProof::encode)),
    })
}

/// The stripe ids are drawn from the seed, 32 bytes each.
fn manifest_case(layout: BlobLayout, seed: u64) -> Value {
    let mut draw = Draw(seed);
    let ids = (0..layout.stripes()).map(|_| StripeId([0; 32].map(|_: u8| draw.byte())));
    let manifest = Manifest::new(layout, ids.collect()).unwrap();
    json!({
        "kind": "manifest",
        "n": layout.geometry().shards(),
        "f": layout.geometry().faulty(),
        "length": layout.length(),
        "seed": seed,
        "stripes": layout.stripes(),
        "full_stripe_bytes": layout.geometry().full_stripe_bytes(),
        "first_stripe_id": manifest.all_stripe_ids().first(),
        "blob_id": manifest.id(),
        "manifest_sha256": sha256([manifest.encode()]),
    })
}

fn sha256<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    hex::encode(state.finalize())
}
