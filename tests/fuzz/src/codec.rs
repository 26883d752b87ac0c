//! The codec: metadata, manifests, slivers, symbols, proofs.

use std::sync::LazyLock;

use floe_model::{Axis, BlobLayout, ExtentShape, Geometry, StripeId, Unverified};
use floe_redstuff::{
    EncodedExtent, ExtentMetadata, InconsistencyProof, Manifest, ProvenSource, SymbolProof,
    crossing_symbols, decode_extent, prove_inconsistent, prove_symbols, rebuild_sliver,
    verify_sliver, verify_symbols,
};

use crate::samples::{extent, slivers, small_extent};
use crate::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    Target::of_values("redstuff_metadata", metadata_seeds, metadata),
    Target::of_values("redstuff_manifest", manifest_seeds, manifest),
    // The code works in tiles of all n shards, however small they are.
    Target { base_bytes: 1 << 20, ..Target::of_values("redstuff_slivers", sliver_seeds, sliver) },
    Target::of_values("redstuff_symbols", symbol_seeds, symbols),
    Target { base_bytes: 256 << 10, ..Target::of_values("redstuff_proofs", proof_seeds, proof) },
];

static EXTENT: LazyLock<EncodedExtent> = LazyLock::new(extent);
static SMALL: LazyLock<EncodedExtent> = LazyLock::new(small_extent);

/// n u16, f u16, length u64: what a peer says of a blob.
fn said(input: &[u8]) -> Option<(BlobLayout, &[u8])> {
    let (said, rest) = input.split_first_chunk::<12>()?;
    let [n0, n1, f0, f1, length @ ..] = *said;
    let geometry = Geometry::new(u16::from_le_bytes([n0, n1]), u16::from_le_bytes([f0, f1]));
    Some((BlobLayout::new(geometry.ok()?, u64::from_le_bytes(length)), rest))
}

fn saying(shape: ExtentShape, bytes: &[u8]) -> Vec<u8> {
    let geometry = shape.geometry();
    let (n, f) = (geometry.shards().to_le_bytes(), geometry.faulty().to_le_bytes());
    [&n[..], &f, &(shape.length() as u64).to_le_bytes(), bytes].concat()
}

fn metadata_seeds() -> Vec<Vec<u8>> {
    [&EXTENT, &SMALL]
        .map(|extent| saying(extent.metadata().shape(), &extent.metadata().encode()))
        .to_vec()
}

fn metadata(input: &[u8]) {
    let Some((layout, bytes)) = said(input) else { return };
    let Ok(length) = usize::try_from(layout.length()) else { return };
    let Ok(shape) = ExtentShape::new(layout.geometry(), length) else { return };
    if let Ok(metadata) = ExtentMetadata::parse(shape, bytes) {
        assert!(metadata.encode() == bytes, "metadata that can be written in two ways");
        let ids = metadata.stripe_ids().to_vec();
        assert_eq!(ExtentMetadata::parse_for(shape, &ids, bytes).as_ref(), Ok(&metadata));
    }
    let honest = EXTENT.metadata();
    if ExtentMetadata::parse_for(honest.shape(), honest.stripe_ids(), bytes).is_ok() {
        assert!(bytes == honest.encode(), "two metadata for one id");
    }
}

fn manifest_seeds() -> Vec<Vec<u8>> {
    let of = |faulty: u16, stripes: u64| {
        let geometry = Geometry::new(10, faulty).unwrap();
        let layout = BlobLayout::new(geometry, stripes * geometry.full_stripe_bytes() as u64);
        let ids = (0..stripes).map(|at| StripeId([at.to_le_bytes()[0]; 32])).collect();
        let head = [10_u16.to_le_bytes(), faulty.to_le_bytes()].concat();
        let manifest = Manifest::new(layout, ids).unwrap();
        [&head, &layout.length().to_le_bytes()[..], &manifest.encode()].concat()
    };
    vec![of(3, 1), of(2, 1), of(3, 2), of(3, 40)]
}

fn manifest(input: &[u8]) {
    let Some((layout, bytes)) = said(input) else { return };
    if let Ok(manifest) = Manifest::decode(bytes, layout) {
        assert!(manifest.encode() == bytes, "a manifest that can be written in two ways");
        assert!(Manifest::verify(bytes, manifest.id(), layout).is_ok());
    }
}

/// Axis and index; then the bytes.
fn sliver_seeds() -> Vec<Vec<u8>> {
    let slivers = slivers(&SMALL).into_iter();
    slivers.map(|(axis, index, bytes)| [&place(axis, index), &bytes[..]].concat()).collect()
}

fn place(axis: Axis, index: u16) -> [u8; 3] {
    let [low, high] = index.to_le_bytes();
    [u8::from(axis == Axis::Secondary), low, high]
}

fn placed(input: &[u8]) -> Option<(Axis, u16, &[u8])> {
    let (&[axis, low, high], bytes) = input.split_first_chunk::<3>()?;
    let axis = if axis % 2 == 0 { Axis::Primary } else { Axis::Secondary };
    Some((axis, u16::from_le_bytes([low, high]), bytes))
}

fn sliver(input: &[u8]) {
    let Some((axis, index, bytes)) = placed(input) else { return };
    let metadata = SMALL.metadata();
    let shape = metadata.shape();
    if verify_sliver(metadata, axis, index, Unverified::new(bytes.to_vec())).is_ok() {
        assert!(SMALL.sliver(axis, index).unwrap() == bytes, "two slivers of one root");
    }
    // Unchecked bytes, cut in equal parts, as slivers of this axis and as symbols of one of the other.
    let parts = shape.sliver_bytes(axis).max(1);
    let indices = (0..).map(|number| index.wrapping_add(number));
    let parts: Vec<(u16, &[u8])> = indices.zip(bytes.chunks(parts)).collect();
    let _ = decode_extent(shape, axis, &parts);
    let _ = crossing_symbols(shape, axis, bytes, &[index, 0, 6]);
    let _ = prove_symbols(shape, axis, bytes, index);
    let symbols: Vec<(u16, &[u8])> = (0..).zip(bytes.chunks(shape.symbol_bytes(0))).collect();
    if let Ok(rebuilt) = rebuild_sliver(metadata, axis, index, &symbols) {
        assert!(SMALL.sliver(axis, index).unwrap() == rebuilt.bytes());
    }
}

/// Axis and index of the source, target; symbol; proof.
fn symbol_seeds() -> Vec<Vec<u8>> {
    let shape = SMALL.metadata().shape();
    let of = |(axis, index, sliver): (Axis, u16, Vec<u8>)| {
        let target = (index + 3) % 7;
        let symbol = crossing_symbols(shape, axis, &sliver, &[target]).unwrap().remove(0);
        let proofs = prove_symbols(shape, axis, &sliver, target).unwrap();
        let target = target.to_le_bytes();
        [&place(axis, index), &target[..], &symbol, &proofs[0].encode()].concat()
    };
    slivers(&SMALL).into_iter().map(of).collect()
}

fn symbols(input: &[u8]) {
    let Some((axis, index, rest)) = placed(input) else { return };
    let Some((target, rest)) = rest.split_first_chunk::<2>() else { return };
    let target = u16::from_le_bytes(*target);
    let metadata = SMALL.metadata();
    let shape = metadata.shape();
    let Some((symbol, proof)) = rest.split_at_checked(shape.symbol_bytes(0)) else { return };
    let Ok(proof) = SymbolProof::decode(shape.geometry(), proof) else { return };
    let proofs = [proof];
    if verify_symbols(metadata, axis, index, target, symbol, &proofs).is_ok() {
        let sliver = SMALL.sliver(axis, index).unwrap();
        let honest = crossing_symbols(shape, axis, &sliver, &[target]).unwrap().remove(0);
        assert!(honest == symbol, "two symbols of one root");
    }
    let source = ProvenSource { index, symbols: symbol, proofs: &proofs };
    let accused = prove_inconsistent(metadata, axis.other(), target, &[source]);
    assert!(accused.is_err(), "an honest blob is accused");
}

/// Accusations of another blob: they hold against wrong metadata only.
fn proof_seeds() -> Vec<Vec<u8>> {
    let honest = SMALL.metadata();
    let shape = honest.shape();
    let mut seeds = Vec::new();
    for (axis, index, need) in [(Axis::Primary, 1, 5), (Axis::Secondary, 5, 3)] {
        let pair = shape.geometry().pair_of_sliver(axis, index).0;
        let mut roots = honest.encode();
        roots[usize::from(pair) * 64 + usize::from(axis == Axis::Secondary) * 32] ^= 1;
        let wrong = ExtentMetadata::parse(shape, &roots).unwrap();
        let served: Vec<_> = (0..need)
            .map(|source| {
                let sliver = SMALL.sliver(axis.other(), source).unwrap();
                let symbols =
                    crossing_symbols(shape, axis.other(), &sliver, &[index]).unwrap().remove(0);
                let proofs = prove_symbols(shape, axis.other(), &sliver, index).unwrap();
                (source, symbols, proofs)
            })
            .collect();
        let sources: Vec<ProvenSource<'_>> = served
            .iter()
            .map(|(index, symbols, proofs)| ProvenSource { index: *index, symbols, proofs })
            .collect();
        seeds.push(prove_inconsistent(&wrong, axis, index, &sources).unwrap().encode());
    }
    seeds
}

fn proof(input: &[u8]) {
    let metadata = SMALL.metadata();
    let Ok(proof) = InconsistencyProof::decode(metadata.shape(), input) else { return };
    assert!(proof.encode() == input, "a proof that can be written in two ways");
    assert!(proof.verify(metadata).is_err(), "an honest blob is accused");
}
