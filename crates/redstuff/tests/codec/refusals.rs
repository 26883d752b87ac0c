//! Whatever was changed, cut, lengthened or taken from elsewhere is refused, and the error says what.

use floe_model::{Axis, BlobId, BlobLayout, ExtentIndex, Geometry, StripeId, Unverified};
use floe_redstuff::{
    CheckError, CodecError, DecodeError, ExtentMetadata, Manifest, ManifestError, MetadataError,
    ReadCheck, RebuildError, SliverError, SourceError, SymbolError, SymbolProof, check_decoded,
    crossing_symbols, decode_extent, encode_extent, encode_stripe, prove_symbols, rebuild_sliver,
    stripe_id, verify_sliver, verify_symbols,
};
use proptest::prelude::*;

use crate::sample::{Draw, Sample, borrow};

/// Two stripes, the last one with symbols that are no multiple of 64 bytes.
fn sample() -> Sample {
    let geometry = Geometry::of_shards(4).unwrap();
    Sample::new(geometry, geometry.full_stripe_bytes() + 500, 41)
}

#[test]
fn a_sliver_with_any_bit_changed_is_refused() {
    let sample = sample();
    let mut draw = Draw(2);
    for axis in Axis::BOTH {
        for index in 0..4 {
            let honest = sample.extent.sliver(axis, index).unwrap();
            for _ in 0..20 {
                let at = draw.below(honest.len());
                let mut bytes = honest.clone();
                bytes[at] ^= 1 << draw.below(8);
                let stripe = usize::from(at >= sample.shape.sliver_range(axis, 1).start);
                let refused =
                    verify_sliver(sample.extent.metadata(), axis, index, Unverified::new(bytes));
                assert_eq!(refused, Err(SliverError::RootMismatch { axis, index, stripe }));
            }
            let other = Unverified::new(honest.clone());
            let other = verify_sliver(sample.extent.metadata(), axis, (index + 1) % 4, other);
            assert!(matches!(other, Err(SliverError::RootMismatch { stripe: 0, .. })));
        }
    }
}

/// Every single bit of everything that is checked against a commitment.
#[test]
fn no_single_bit_of_a_small_blob_can_change() {
    for shards in [4, 7] {
        let geometry = Geometry::of_shards(shards).unwrap();
        let sample = Sample::new(geometry, geometry.rows() * geometry.columns() * 4 - 1, 43);
        let (shape, metadata) = (sample.shape, sample.extent.metadata());
        let honest = metadata.encode();
        for bytes in with_each_bit_changed(&honest) {
            let refused = ExtentMetadata::parse_for(shape, metadata.stripe_ids(), &bytes);
            assert!(matches!(refused, Err(MetadataError::WrongId { stripe: 0, .. })));
        }
        for axis in Axis::BOTH {
            for index in 0..shards {
                let sliver = sample.extent.sliver(axis, index).unwrap();
                for bytes in with_each_bit_changed(&sliver) {
                    let refused = verify_sliver(metadata, axis, index, Unverified::new(bytes));
                    assert_eq!(refused, Err(SliverError::RootMismatch { axis, index, stripe: 0 }));
                }
                for target in 0..shards {
                    no_bit_of_a_proven_symbol_can_change(&sample, (axis, index), &sliver, target);
                }
            }
        }
    }
}

fn no_bit_of_a_proven_symbol_can_change(
    sample: &Sample,
    (axis, index): (Axis, u16),
    sliver: &[u8],
    target: u16,
) {
    let (shape, metadata) = (sample.shape, sample.extent.metadata());
    let symbol = crossing_symbols(shape, axis, sliver, &[target]).unwrap().remove(0);
    let proofs = prove_symbols(shape, axis, sliver, target).unwrap();
    let verify =
        |symbol: &[u8], proofs: &[_]| verify_symbols(metadata, axis, index, target, symbol, proofs);
    assert_eq!(verify(&symbol, &proofs), Ok(()));
    for altered in with_each_bit_changed(&symbol) {
        assert!(matches!(verify(&altered, &proofs), Err(SymbolError::RootMismatch { .. })));
    }
    for altered in with_each_bit_changed(&proofs[0].encode()) {
        let altered = SymbolProof::decode(shape.geometry(), &altered).unwrap();
        assert!(matches!(verify(&symbol, &[altered]), Err(SymbolError::RootMismatch { .. })));
    }
}

fn with_each_bit_changed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut altered = bytes.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        altered
    })
}

#[test]
fn a_misshapen_sliver_is_refused() {
    let sample = sample();
    let metadata = sample.extent.metadata();
    let honest = sample.extent.sliver(Axis::Primary, 0).unwrap();
    for length in [0, 1, honest.len() - 2, honest.len() + 2] {
        let mut bytes = honest.clone();
        bytes.resize(length, 0);
        let refused = verify_sliver(metadata, Axis::Primary, 0, Unverified::new(bytes));
        let Err(SliverError::Misshapen { source: CodecError::WrongLength { actual, .. }, .. }) =
            refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!(actual, length);
    }
    let beyond = verify_sliver(metadata, Axis::Primary, 4, Unverified::new(honest));
    let source = CodecError::NoSuchSliver { axis: Axis::Primary, index: 4, shards: 4 };
    assert_eq!(beyond, Err(SliverError::Misshapen { axis: Axis::Primary, index: 4, source }));
    assert!(sample.extent.sliver(Axis::Secondary, 4).is_err());
}

#[test]
fn a_symbol_or_proof_with_any_bit_changed_is_refused() {
    let sample = sample();
    let (shape, metadata) = (sample.shape, sample.extent.metadata());
    let source = sample.extent.sliver(Axis::Secondary, 3).unwrap();
    let symbols = crossing_symbols(shape, Axis::Secondary, &source, &[2]).unwrap().remove(0);
    let proofs = prove_symbols(shape, Axis::Secondary, &source, 2).unwrap();
    let verify = |index, target, symbols: &[u8], proofs: &[SymbolProof]| {
        verify_symbols(metadata, Axis::Secondary, index, target, symbols, proofs)
    };
    assert_eq!(verify(3, 2, &symbols, &proofs), Ok(()));
    let mut draw = Draw(5);
    for _ in 0..40 {
        let mut altered = symbols.clone();
        let at = draw.below(altered.len());
        altered[at] ^= 1 << draw.below(8);
        let stripe = usize::from(at >= shape.crossing_range(1).start);
        let mismatch =
            SymbolError::RootMismatch { axis: Axis::Secondary, index: 3, target: 2, stripe };
        assert_eq!(verify(3, 2, &altered, &proofs), Err(mismatch));
    }
    for at in 0..SymbolProof::encoded_bytes(shape.geometry()) {
        let mut bytes = proofs[1].encode();
        bytes[at] ^= 4;
        let altered = SymbolProof::decode(shape.geometry(), &bytes).unwrap();
        let outcome = verify(3, 2, &symbols, &[proofs[0].clone(), altered]);
        assert!(matches!(outcome, Err(SymbolError::RootMismatch { stripe: 1, .. })));
    }
    for (index, target) in [(3, 0), (3, 1), (3, 3), (0, 2), (2, 2)] {
        assert!(verify(index, target, &symbols, &proofs).is_err(), "{index} {target}");
    }
}

#[test]
fn a_proof_of_another_length_or_index_is_refused() {
    let sample = sample();
    let (shape, metadata) = (sample.shape, sample.extent.metadata());
    let source = sample.extent.sliver(Axis::Primary, 0).unwrap();
    let symbols = crossing_symbols(shape, Axis::Primary, &source, &[1]).unwrap().remove(0);
    let proofs = prove_symbols(shape, Axis::Primary, &source, 1).unwrap();
    let verify = |target, symbols: &[u8], proofs: &[SymbolProof]| {
        verify_symbols(metadata, Axis::Primary, 0, target, symbols, proofs)
    };
    for aliased in [5, 9, 1 + 256] {
        let refused = verify(aliased, &symbols, &proofs);
        assert!(matches!(refused, Err(SymbolError::Misshapen { .. })), "{aliased}");
    }
    let longer = SymbolProof::decode(Geometry::of_shards(7).unwrap(), &[0; 96]).unwrap();
    let refused = verify(1, &symbols, &[longer, proofs[1].clone()]);
    assert!(matches!(refused, Err(SymbolError::WrongDepth { expected: 2, actual: 3, .. })));
    for length in [0, 32, 63, 65, 96] {
        assert!(SymbolProof::decode(shape.geometry(), &vec![0; length]).is_err());
    }
    assert!(matches!(
        verify(1, &symbols, &proofs[..1]),
        Err(SymbolError::WrongProofs { expected: 2, actual: 1, .. })
    ));
    assert!(matches!(verify(1, &symbols[2..], &proofs), Err(SymbolError::Misshapen { .. })));
    assert!(crossing_symbols(shape, Axis::Primary, &source, &[4]).is_err());
    assert!(crossing_symbols(shape, Axis::Primary, &source[1..], &[0]).is_err());
    assert!(prove_symbols(shape, Axis::Primary, &source, 4).is_err());
    assert!(prove_symbols(shape, Axis::Primary, &source[1..], 0).is_err());
}

#[test]
fn metadata_with_any_bit_changed_is_refused() {
    let sample = sample();
    let metadata = sample.extent.metadata();
    let (ids, honest) = (metadata.stripe_ids(), metadata.encode());
    for at in 0..honest.len() {
        let mut bytes = honest.clone();
        bytes[at] ^= 1;
        let Err(MetadataError::WrongId { stripe, .. }) =
            ExtentMetadata::parse_for(sample.shape, ids, &bytes)
        else {
            panic!("byte {at} does not matter");
        };
        assert_eq!(stripe, at / (honest.len() / 2));
    }
    for length in [0, honest.len() - 64, honest.len() + 64] {
        let mut bytes = honest.clone();
        bytes.resize(length, 0);
        let wrong = MetadataError::WrongLength { expected: honest.len(), actual: length };
        assert_eq!(ExtentMetadata::parse(sample.shape, &bytes), Err(wrong));
    }
    let few = MetadataError::WrongStripes { expected: 2, actual: 1 };
    assert_eq!(ExtentMetadata::parse_for(sample.shape, &ids[..1], &honest), Err(few));
}

#[test]
fn too_few_or_misshapen_symbols_rebuild_nothing() {
    let sample = sample();
    let metadata = sample.extent.metadata();
    let (axis, index) = (Axis::Primary, 1);
    let symbols = sample.symbols(axis, index, &[3, 0, 2]);
    let rebuild = |sources: &[(u16, &[u8])]| rebuild_sliver(metadata, axis, index, sources);
    let refusal = |source| Err(RebuildError::Sources { axis, index, source });
    let borrowed = borrow(&symbols);
    assert!(rebuild(&borrowed).is_ok());
    let few = SourceError::NotEnough { have: 2, need: 3 };
    assert_eq!(rebuild(&borrowed[..2]), refusal(few.clone()));
    assert_eq!(rebuild(&[borrowed[0], borrowed[1], borrowed[1]]), refusal(few));
    let beyond = SourceError::NoSuchIndex { index: 4, shards: 4 };
    assert_eq!(rebuild(&[(4, borrowed[0].1)]), refusal(beyond));
    let (expected, actual) = (borrowed[0].1.len(), borrowed[0].1.len() - 2);
    let short = SourceError::WrongLength { index: 3, expected, actual };
    assert_eq!(rebuild(&[(3, &borrowed[0].1[2..]), borrowed[1], borrowed[2]]), refusal(short));
    let zeros = vec![0; expected];
    let first_counts = [borrowed[0], borrowed[1], borrowed[2], (0, zeros.as_slice())];
    assert!(rebuild(&first_counts).is_ok());
    let mut altered = symbols.clone();
    let last = altered[0].1.len() - 1;
    altered[0].1[last] ^= 1;
    let mismatch = RebuildError::RootMismatch { axis, index, stripe: 1 };
    assert_eq!(rebuild(&borrow(&altered)), Err(mismatch));
    assert!(matches!(
        rebuild_sliver(metadata, axis, 4, &borrowed),
        Err(RebuildError::Codec(CodecError::NoSuchSliver { .. }))
    ));
}

#[test]
fn too_few_or_misshapen_slivers_decode_nothing() {
    let sample = sample();
    let slivers = sample.slivers(Axis::Secondary, &[1, 2, 3]);
    let borrowed = borrow(&slivers);
    let decode = |slivers: &[(u16, &[u8])]| decode_extent(sample.shape, Axis::Secondary, slivers);
    let refusal = |source| Err(DecodeError::Sources { axis: Axis::Secondary, source });
    let few = SourceError::NotEnough { have: 2, need: 3 };
    assert_eq!(decode(&borrowed[1..]), refusal(few.clone()));
    assert_eq!(decode(&[borrowed[0], borrowed[0], borrowed[1]]), refusal(few));
    let refused = decode(&[borrowed[0], borrowed[1], (3, &borrowed[2].1[1..])]);
    assert!(matches!(
        refused,
        Err(DecodeError::Sources { source: SourceError::WrongLength { .. }, .. })
    ));
    assert!(decode(&[borrowed[0], borrowed[1], (7, borrowed[2].1)]).is_err());
}

#[test]
fn altered_data_fails_both_checks() {
    let sample = sample();
    let metadata = sample.extent.metadata();
    let mut data = sample.data.clone();
    let last = data.len() - 1;
    data[last] ^= 1;
    let refused = check_decoded(metadata, &data, ReadCheck::Default);
    assert_eq!(refused, Err(CheckError::RootMismatch { stripe: 1, index: 1 }));
    let refused = check_decoded(metadata, &data, ReadCheck::Strict);
    assert!(matches!(refused, Err(CheckError::IdMismatch { stripe: 1, .. })));
    assert!(check_decoded(metadata, &data[..last], ReadCheck::Default).is_err());
}

#[test]
fn only_the_strict_check_sees_a_wrong_parity_root() {
    let sample = sample();
    let mut bytes = sample.extent.metadata().encode();
    bytes[3 * 64] ^= 1;
    let metadata = ExtentMetadata::parse(sample.shape, &bytes).unwrap();
    assert_eq!(check_decoded(&metadata, &sample.data, ReadCheck::Default), Ok(()));
    let strict = check_decoded(&metadata, &sample.data, ReadCheck::Strict);
    assert!(matches!(strict, Err(CheckError::IdMismatch { stripe: 0, .. })));
}

#[test]
fn data_of_another_length_is_not_encoded() {
    let sample = sample();
    assert!(encode_extent(sample.shape, &sample.data[1..]).is_err());
    assert!(encode_stripe(sample.shape, 1, &sample.data).is_err());
    let beyond = encode_stripe(sample.shape, 2, &[]);
    assert!(matches!(beyond, Err(CodecError::NoSuchStripe { stripe: 2, stripes: 2 })));
    assert!(matches!(
        stripe_id(sample.shape.geometry(), &sample.data),
        Err(CodecError::TooLong { .. })
    ));
}

fn manifest(geometry: Geometry, stripes: u64) -> Manifest {
    let length = stripes * geometry.full_stripe_bytes() as u64 - 1;
    let mut draw = Draw(stripes);
    let ids = (0..stripes).map(|_| StripeId([0; 32].map(|_: u8| draw.byte())));
    Manifest::new(BlobLayout::new(geometry, length), ids.collect()).unwrap()
}

#[test]
fn a_manifest_with_any_bit_changed_is_refused() {
    for (faulty, stripes) in [(3, 1), (2, 1), (3, 2), (3, 11)] {
        let manifest = manifest(Geometry::new(10, faulty).unwrap(), stripes);
        let (layout, id, honest) = (manifest.layout(), manifest.id(), manifest.encode());
        assert_eq!(honest.len() as u64, Manifest::encoded_bytes(layout));
        assert_eq!(Manifest::verify(&honest, id, layout).unwrap().into_inner(), manifest);
        for at in 0..honest.len() {
            let mut bytes = honest.clone();
            bytes[at] ^= 0x20;
            assert!(Manifest::verify(&bytes, id, layout).is_err(), "byte {at}");
        }
        for length in [0, 1, honest.len() - 32, honest.len() - 1, honest.len() + 32] {
            let mut bytes = honest.clone();
            bytes.resize(length, 0);
            let refused = Manifest::verify(&bytes, id, layout);
            assert!(matches!(refused, Err(ManifestError::WrongLength { .. })), "{length}");
        }
    }
}

#[test]
fn a_manifest_says_what_differs() {
    let manifest = manifest(Geometry::of_shards(10).unwrap(), 3);
    let (layout, id, honest) = (manifest.layout(), manifest.id(), manifest.encode());
    let mut newer = honest.clone();
    newer[0] = 2;
    let unknown = ManifestError::UnknownVersion { found: 2, known: 1 };
    assert_eq!(Manifest::verify(&newer, id, layout), Err(unknown.clone()));
    let text = unknown.to_string();
    assert!(text.contains('2') && text.contains('1'), "{text}");
    let longer = BlobLayout::new(layout.geometry(), layout.length() + 1);
    let other = Manifest::verify(&honest, id, longer);
    assert!(matches!(other, Err(ManifestError::OtherLayout { field: "the length", .. })));
    let foreign = BlobId([1; 32]);
    let wrong = ManifestError::WrongId { expected: foreign, actual: id };
    assert_eq!(Manifest::verify(&honest, foreign, layout), Err(wrong));
    let few = manifest.all_stripe_ids()[..2].to_vec();
    let wrong = ManifestError::WrongStripes { expected: 3, actual: 2 };
    assert_eq!(Manifest::new(layout, few), Err(wrong));
}

#[test]
fn a_manifest_hands_out_the_ids_of_each_extent() {
    let manifest = manifest(Geometry::of_shards(10).unwrap(), 20);
    let parts = [0, 1, 2].map(|extent| manifest.stripe_ids(ExtentIndex(extent)));
    assert_eq!(parts.map(<[StripeId]>::len), [9, 9, 2]);
    assert_eq!(parts.concat(), manifest.all_stripe_ids());
    assert!(manifest.stripe_ids(ExtentIndex(3)).is_empty());
}

#[test]
fn the_order_of_stripes_matters() {
    let manifest = manifest(Geometry::of_shards(10).unwrap(), 1030);
    for (one, other) in [(0, 1), (1023, 1024), (1028, 1029)] {
        let mut ids = manifest.all_stripe_ids().to_vec();
        ids.swap(one, other);
        assert_ne!(Manifest::new(manifest.layout(), ids).unwrap().id(), manifest.id());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), stripes in 1_u64..6) {
        let geometry = Geometry::of_shards(10).unwrap();
        let layout = BlobLayout::new(geometry, stripes * geometry.full_stripe_bytes() as u64);
        prop_assert!(Manifest::verify(&bytes, BlobId([0; 32]), layout).is_err());
        let shape = layout.extent_shape(ExtentIndex(0));
        let ids = vec![StripeId([0; 32]); shape.stripes()];
        prop_assert!(ExtentMetadata::parse_for(shape, &ids, &bytes).is_err());
    }
}
