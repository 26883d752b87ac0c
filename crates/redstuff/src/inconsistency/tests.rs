use floe_model::{ExtentShape, Geometry, Hash, Unverified};

use super::*;
use crate::merkle::{self, Trees};
use crate::{
    EncodedExtent, SliverError, crossing_symbols, encode_extent, prove_symbols, rebuild_sliver,
    verify_sliver,
};

const SHARDS: u16 = 7;

fn honest(length: usize) -> EncodedExtent {
    let shape = ExtentShape::new(Geometry::of_shards(SHARDS).unwrap(), length).unwrap();
    let data: Vec<u8> = (0..length).map(|at| (at * at % 251).to_le_bytes()[0]).collect();
    encode_extent(shape, &data).unwrap()
}

/// What a writer does who commits, in the last stripe, to row `row` of another blob.
fn with_foreign_row(extent: &EncodedExtent, row: u16) -> Verified<ExtentMetadata> {
    let foreign =
        encode_extent(extent.metadata().shape(), &vec![7; extent.metadata().shape().length()]);
    let foreign = foreign.unwrap().metadata().clone();
    let mut stripes = extent.metadata().stripes().to_vec();
    let last = stripes.len() - 1;
    let indices = 0..SHARDS;
    let mut primary: Vec<[u8; 32]> =
        indices.map(|index| stripes[last].sliver_root(Axis::Primary, index).0).collect();
    primary[usize::from(row)] = foreign.stripes()[last].sliver_root(Axis::Primary, row).0;
    stripes[last].set_roots(Axis::Primary, &primary);
    let shape = extent.metadata().shape();
    let written = ExtentMetadata::new(shape, stripes, Vec::new()).encode();
    ExtentMetadata::parse(shape, &written).unwrap()
}

struct Served {
    index: u16,
    symbols: Vec<u8>,
    proofs: Vec<SymbolProof>,
}

fn serve(
    extent: &EncodedExtent,
    axis: Axis,
    target: u16,
    from: impl Iterator<Item = u16>,
) -> Vec<Served> {
    let shape = extent.metadata().shape();
    from.map(|index| {
        let source = extent.sliver(axis.other(), index).unwrap();
        let symbols = crossing_symbols(shape, axis.other(), &source, &[target]).unwrap().remove(0);
        let proofs = prove_symbols(shape, axis.other(), &source, target).unwrap();
        Served { index, symbols, proofs }
    })
    .collect()
}

fn proven(served: &[Served]) -> Vec<ProvenSource<'_>> {
    served
        .iter()
        .map(|Served { index, symbols, proofs }| ProvenSource { index: *index, symbols, proofs })
        .collect()
}

#[test]
fn a_wrong_row_is_proven_and_the_proof_travels() {
    let extent = honest(491_520 + 1000);
    let shape = extent.metadata().shape();
    assert_eq!(shape.stripes(), 2);
    for row in [1, 5] {
        let metadata = with_foreign_row(&extent, row);
        let served = serve(&extent, Axis::Primary, row, 2..7);
        let plain: Vec<_> = served.iter().map(|it| (it.index, it.symbols.as_slice())).collect();
        let mismatch =
            crate::RebuildError::RootMismatch { axis: Axis::Primary, index: row, stripe: 1 };
        assert_eq!(rebuild_sliver(&metadata, Axis::Primary, row, &plain), Err(mismatch));
        let proof = prove_inconsistent(&metadata, Axis::Primary, row, &proven(&served)).unwrap();
        assert_eq!((proof.axis(), proof.index(), proof.stripe()), (Axis::Primary, row, 1));
        let proof = InconsistencyProof::decode(shape, &proof.encode()).unwrap();
        assert_eq!(proof.verify(&metadata), Ok(()));
        let consistent = InconsistencyError::Consistent { axis: Axis::Primary, index: row };
        assert_eq!(proof.verify(extent.metadata()), Err(consistent));
    }
}

#[test]
fn an_honest_blob_cannot_be_accused() {
    let extent = honest(3_000);
    let metadata = extent.metadata();
    for axis in Axis::BOTH {
        for index in 0..SHARDS {
            let served = serve(&extent, axis, index, 0..SHARDS);
            let consistent = InconsistencyError::Consistent { axis, index };
            assert_eq!(
                prove_inconsistent(metadata, axis, index, &proven(&served)),
                Err(consistent)
            );
        }
    }
}

#[test]
fn no_altered_proof_convinces_against_an_honest_blob() {
    let extent = honest(300);
    let shape = extent.metadata().shape();
    let metadata = with_foreign_row(&extent, 3);
    let served = serve(&extent, Axis::Primary, 3, 0..5);
    let accusation = prove_inconsistent(&metadata, Axis::Primary, 3, &proven(&served)).unwrap();
    let bytes = accusation.encode();
    assert!(accusation.verify(&metadata).is_ok());
    for at in 0..bytes.len() {
        for bit in [1, 0x10, 0x80] {
            let mut altered = bytes.clone();
            altered[at] ^= bit;
            let proof = InconsistencyProof::decode(shape, &altered);
            let verdict = proof.and_then(|proof| proof.verify(extent.metadata()));
            assert!(verdict.is_err(), "byte {at} bit {bit}");
        }
    }
    assert!(InconsistencyProof::decode(shape, &bytes[1..]).is_err());
    assert!(InconsistencyProof::decode(shape, &[&bytes[..], &[0]].concat()).is_err());
    assert!(InconsistencyProof::decode(shape, &bytes[..5]).is_err());
}

#[test]
fn one_symbol_twice_is_not_two() {
    let extent = honest(300);
    let metadata = with_foreign_row(&extent, 3);
    let served = serve(&extent, Axis::Primary, 3, 0..5);
    let mut proof = prove_inconsistent(&metadata, Axis::Primary, 3, &proven(&served)).unwrap();
    proof.symbols[1] = proof.symbols[0].clone();
    let few = SourceError::NotEnough { have: 4, need: 5 };
    assert_eq!(proof.verify(&metadata), Err(few.into()));
    proof.symbols.pop();
    assert!(matches!(proof.verify(&metadata), Err(InconsistencyError::Sources(_))));
}

#[test]
fn a_lying_source_is_named() {
    let extent = honest(3_000);
    let mut served = serve(&extent, Axis::Secondary, 2, 1..4);
    served[1].symbols[0] ^= 1;
    let lie = SymbolError::RootMismatch { axis: Axis::Primary, index: 2, target: 2, stripe: 0 };
    let outcome = prove_inconsistent(extent.metadata(), Axis::Secondary, 2, &proven(&served));
    assert_eq!(outcome, Err(lie.into()));
}

/// The leaves of a sliver's expansion.
fn leaves(extent: &EncodedExtent, axis: Axis, index: u16) -> Vec<Hash> {
    let sliver = extent.sliver(axis, index).unwrap();
    Expanded::new(Stripes::from(extent.metadata().shape()), axis, &sliver).unwrap().leaves()
}

/// Shards 1 and 2 of four hold what they were sent, shard 0 was away, shard 3 is silent.
#[test]
fn a_holder_that_took_the_writers_word_could_prove_neither_its_symbol_nor_the_lie() {
    let shape = ExtentShape::new(Geometry::of_shards(4).unwrap(), 1000).unwrap();
    let data: Vec<u8> = (0..1000_u16).map(|at| at.to_le_bytes()[0]).collect();
    let extent = encode_extent(shape, &data).unwrap();
    let mut told = leaves(&extent, Axis::Primary, 1);
    told[3] = Hash([9; 32]);
    let metadata = {
        let stripe = &extent.metadata().stripes()[0];
        let mut roots = [0, 1, 2, 3].map(|index| stripe.sliver_root(Axis::Primary, index).0);
        roots[1] = Trees::new().roots(told.iter().map(|leaf| leaf.0), 4)[0];
        let mut stripe = stripe.clone();
        stripe.set_roots(Axis::Primary, &roots);
        let written = ExtentMetadata::new(shape, vec![stripe], Vec::new()).encode();
        ExtentMetadata::parse(shape, &written).unwrap()
    };

    // It expands, and refuses: no certificate.
    let sent = Unverified::new(extent.sliver(Axis::Primary, 1).unwrap());
    let refused = SliverError::RootMismatch { axis: Axis::Primary, index: 1, stripe: 0 };
    assert_eq!(verify_sliver(&metadata, Axis::Primary, 1, sent), Err(refused));

    // Had it not, this is all that honest shards could say about any sliver.
    for index in 0..4 {
        let mut served = serve(&extent, Axis::Secondary, index, 1..3);
        served[0].proofs[0].siblings = merkle::siblings(&told, usize::from(index));
        let outcome = prove_inconsistent(&metadata, Axis::Secondary, index, &proven(&served));
        let expected = if index < 3 {
            InconsistencyError::Consistent { axis: Axis::Secondary, index }
        } else {
            let (axis, target) = (Axis::Primary, 3);
            SymbolError::RootMismatch { axis, index: 1, target, stripe: 0 }.into()
        };
        assert_eq!(outcome, Err(expected));
        let served = serve(&extent, Axis::Primary, index, 1..3);
        let few = SourceError::NotEnough { have: 2, need: 3 };
        let outcome = prove_inconsistent(&metadata, Axis::Primary, index, &proven(&served));
        assert_eq!(outcome, Err(few.into()));
    }
}
