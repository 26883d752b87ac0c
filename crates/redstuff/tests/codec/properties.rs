//! What the lemmas promise, for any blob and any admissible set.

use floe_model::{Axis, BlobLayout, ExtentShape, Geometry, Unverified};
use floe_redstuff::{
    ExtentMetadata, Manifest, ReadCheck, SymbolProof, check_decoded, crossing_symbols,
    decode_extent, prove_symbols, rebuild_sliver, stripe_id, verify_sliver, verify_symbols,
};
use proptest::prelude::*;

use crate::sample::{Draw, Sample, borrow, sets_of};

/// n and f; the last three with f below its largest value.
const GEOMETRIES: [(u16, u16); 10] =
    [(4, 1), (5, 1), (7, 2), (10, 3), (12, 3), (31, 10), (100, 33), (7, 1), (10, 2), (31, 4)];

fn geometries() -> impl Iterator<Item = Geometry> {
    GEOMETRIES.into_iter().map(|(shards, faulty)| Geometry::new(shards, faulty).unwrap())
}

/// Lengths at which symbols, chunks, stripes and extents begin and end.
fn edges(geometry: Geometry) -> Vec<usize> {
    let symbols = geometry.rows() * geometry.columns();
    let full = geometry.full_stripe_bytes();
    let marks = [2 * symbols, 4 * symbols, 62 * symbols, 64 * symbols, 66 * symbols];
    let mut lengths = vec![0, 1, 2, symbols, 130 * symbols + 3];
    lengths.extend(marks.iter().flat_map(|mark| [mark - 1, *mark, mark + 1]));
    if full < 3 << 20 {
        lengths.extend([full - 1, full, full + 1, 2 * full + 64 * symbols, 2 * full + 77]);
    }
    if geometry.shards() == 4 {
        lengths.push(geometry.full_extent_bytes());
    }
    lengths
}

fn samples() -> impl Strategy<Value = (Sample, Draw)> {
    let geometry = prop::sample::select(GEOMETRIES.to_vec());
    (geometry, 0_usize..200, 0_usize..64, any::<u64>()).prop_map(|((n, f), scale, rest, seed)| {
        let geometry = Geometry::new(n, f).unwrap();
        let length = geometry.rows() * geometry.columns() * scale + rest;
        (Sample::new(geometry, length, seed), Draw(seed ^ 1))
    })
}

#[test]
fn the_pinned_id_of_the_reference() {
    let geometry = Geometry::of_shards(10).unwrap();
    let id = stripe_id(geometry, b"walrus blob id v1 regression test").unwrap();
    assert_eq!(id.to_string(), "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY");
    let manifest = Manifest::new(BlobLayout::new(geometry, 33), vec![id]).unwrap();
    assert_eq!((manifest.id().0, manifest.encode()), (id.0, id.0.to_vec()));
}

fn decodes_from_random_slivers(sample: &Sample, draw: &mut Draw) {
    let geometry = sample.shape.geometry();
    for axis in Axis::BOTH {
        let indices = draw.some_of(geometry.shards(), geometry.slivers_to_decode(axis));
        let slivers = sample.slivers(axis, &indices);
        let decoded = decode_extent(sample.shape, axis, &borrow(&slivers)).unwrap();
        assert!(decoded == sample.data, "{geometry:?} {} {axis} {indices:?}", sample.data.len());
    }
    for check in [ReadCheck::Default, ReadCheck::Strict] {
        check_decoded(sample.extent.metadata(), &sample.data, check).unwrap();
    }
}

fn rebuilds_from_random_symbols(sample: &Sample, axis: Axis, index: u16, draw: &mut Draw) {
    let geometry = sample.shape.geometry();
    let from = draw.some_of(geometry.shards(), geometry.sliver_symbols(axis));
    rebuilds_from_symbols(sample, axis, index, &from);
}

fn rebuilds_from_symbols(sample: &Sample, axis: Axis, index: u16, from: &[u16]) {
    let geometry = sample.shape.geometry();
    let symbols = sample.symbols(axis, index, from);
    let rebuilt = rebuild_sliver(sample.extent.metadata(), axis, index, &borrow(&symbols)).unwrap();
    assert_eq!((rebuilt.axis(), rebuilt.index(), rebuilt.shape()), (axis, index, sample.shape));
    let expected = sample.extent.sliver(axis, index).unwrap();
    assert!(rebuilt.into_inner().into_bytes() == expected, "{geometry:?} {axis} {index} {from:?}");
}

#[test]
fn every_edge_decodes_from_both_axes() {
    let mut draw = Draw(11);
    for geometry in geometries() {
        for length in edges(geometry) {
            let sample = Sample::new(geometry, length, length as u64);
            decodes_from_random_slivers(&sample, &mut draw);
            for axis in Axis::BOTH {
                let index = draw.some_of(geometry.shards(), 1)[0];
                rebuilds_from_random_symbols(&sample, axis, index, &mut draw);
            }
        }
    }
}

/// Whichever slivers are left, and whoever answers.
#[test]
fn every_admissible_set_of_few_shards_decodes_and_rebuilds() {
    for (shards, faulty) in [(4, 1), (5, 1), (7, 2), (7, 1)] {
        let geometry = Geometry::new(shards, faulty).unwrap();
        let sample = Sample::new(geometry, geometry.rows() * geometry.columns() * 4 - 3, 29);
        let all: Vec<u16> = (0..shards).collect();
        for axis in Axis::BOTH {
            for set in sets_of(&all, geometry.slivers_to_decode(axis)) {
                let slivers = sample.slivers(axis, &set);
                let decoded = decode_extent(sample.shape, axis, &borrow(&slivers)).unwrap();
                assert!(decoded == sample.data, "{geometry:?} {axis} {set:?}");
            }
            for index in all.iter().copied() {
                for set in sets_of(&all, geometry.sliver_symbols(axis)) {
                    rebuilds_from_symbols(&sample, axis, index, &set);
                }
            }
        }
    }
}

/// Data alone, parity as far as there is any, every second, and more than are needed.
#[test]
fn every_sliver_of_many_shards_is_rebuilt_from_every_kind_of_set() {
    for geometry in geometries().filter(|geometry| (10..=31).contains(&geometry.shards())) {
        let shards = geometry.shards();
        let sample = Sample::new(geometry, geometry.rows() * geometry.columns() * 6 + 1, 31);
        for axis in Axis::BOTH {
            let need = geometry.sliver_symbols(axis);
            let kinds: [Vec<u16>; 4] = [
                (0..shards).take(need).collect(),
                (0..shards).rev().take(need).collect(),
                (0..shards).step_by(2).chain((1..shards).step_by(2)).take(need).collect(),
                (0..shards).rev().collect(),
            ];
            for index in 0..shards {
                for set in &kinds {
                    rebuilds_from_symbols(&sample, axis, index, set);
                }
            }
        }
    }
}

#[test]
fn the_systematic_slivers_are_the_data() {
    for geometry in geometries() {
        let sample = Sample::new(geometry, geometry.rows() * geometry.columns() * 6, 5);
        let rows: Vec<u16> = (0..geometry.shards()).take(geometry.rows()).collect();
        let rows = sample.slivers(Axis::Primary, &rows);
        let joined: Vec<u8> = rows.into_iter().flat_map(|(_, row)| row).collect();
        assert_eq!(joined, sample.data);
    }
}

#[test]
fn a_full_extent_of_many_shards_decodes() {
    for shards in [31, 100] {
        let geometry = Geometry::of_shards(shards).unwrap();
        let sample = Sample::new(geometry, geometry.full_extent_bytes(), 9);
        decodes_from_random_slivers(&sample, &mut Draw(3));
    }
    let geometry = Geometry::of_shards(31).unwrap();
    assert!(ExtentShape::new(geometry, geometry.full_extent_bytes() + 1).is_err());
}

#[test]
fn every_sliver_verifies_and_is_rebuilt() {
    let mut draw = Draw(17);
    for geometry in geometries().filter(|geometry| geometry.shards() < 50) {
        let length = geometry.rows() * geometry.columns() * 70 + 5;
        let sample = Sample::new(geometry, length, 23);
        for axis in Axis::BOTH {
            for index in 0..geometry.shards() {
                let bytes = Unverified::new(sample.extent.sliver(axis, index).unwrap());
                let sliver = verify_sliver(sample.extent.metadata(), axis, index, bytes).unwrap();
                assert_eq!(sliver.bytes().len(), sample.shape.sliver_bytes(axis));
                rebuilds_from_random_symbols(&sample, axis, index, &mut draw);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_blob_decodes_and_heals((sample, mut draw) in samples()) {
        decodes_from_random_slivers(&sample, &mut draw);
        let axis = if draw.below(2) == 0 { Axis::Primary } else { Axis::Secondary };
        let index = draw.some_of(sample.shape.geometry().shards(), 1)[0];
        rebuilds_from_random_symbols(&sample, axis, index, &mut draw);
    }

    #[test]
    fn two_slivers_agree_where_they_cross((sample, mut draw) in samples()) {
        let (shape, metadata) = (sample.shape, sample.extent.metadata());
        let shards = shape.geometry().shards();
        let (row, column) = (draw.some_of(shards, 1)[0], draw.some_of(shards, 1)[0]);
        let primary = sample.extent.sliver(Axis::Primary, row).unwrap();
        let secondary = sample.extent.sliver(Axis::Secondary, column).unwrap();
        let targets = [column, 0, shards - 1];
        let symbols = crossing_symbols(shape, Axis::Primary, &primary, &targets).unwrap();
        let other = crossing_symbols(shape, Axis::Secondary, &secondary, &[row]).unwrap();
        prop_assert_eq!(&symbols[0], &other[0]);
        for (symbol, target) in symbols.iter().zip(targets) {
            let proofs = prove_symbols(shape, Axis::Primary, &primary, target).unwrap();
            verify_symbols(metadata, Axis::Primary, row, target, symbol, &proofs).unwrap();
            let bytes: Vec<Vec<u8>> = proofs.iter().map(SymbolProof::encode).collect();
            let read = bytes.iter().map(|bytes| SymbolProof::decode(shape.geometry(), bytes));
            prop_assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), proofs);
        }
        let proofs = prove_symbols(shape, Axis::Secondary, &secondary, row).unwrap();
        verify_symbols(metadata, Axis::Secondary, column, row, &other[0], &proofs).unwrap();
    }

    #[test]
    fn metadata_reads_back((sample, _) in samples()) {
        let metadata = sample.extent.metadata();
        let bytes = metadata.encode();
        prop_assert_eq!(bytes.len(), ExtentMetadata::encoded_bytes(sample.shape));
        let read = ExtentMetadata::parse_for(sample.shape, metadata.stripe_ids(), &bytes).unwrap();
        prop_assert_eq!(&read, metadata);
        prop_assert_eq!(&ExtentMetadata::parse(sample.shape, &bytes).unwrap(), metadata);
        sample.extent.check_parity(sample.data.len() as u64).unwrap();
    }
}
