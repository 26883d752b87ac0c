//! Slivers rebuilt one by one from whole verified slivers, where decoding and encoding again leads to
//! other roots: what agrees with its root is kept, what does not is the proof that the writer erred.

use std::collections::BTreeMap;

use floe_model::{Axis, PairIndex};
use floe_redstuff::{
    ExtentMetadata, ExtentSliver, InconsistencyProof, ProvenSource, RebuildError, SymbolProof,
    Verified, crossing_symbols, prove_inconsistent, prove_symbols, rebuild_sliver,
};

/// Verified slivers of one axis, by index.
pub(super) type Slivers = BTreeMap<u16, Verified<ExtentSliver>>;

/// Why a sliver was not rebuilt.
#[derive(Debug)]
pub(super) enum Failure {
    /// The writer encoded the extent wrongly.
    Inconsistent(Box<InconsistencyProof>),
    /// This node erred.
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// Rebuilds what is missing of an extent from slivers of `axis` that are enough to decode it. The
/// same number of slivers decodes an extent and rebuilds any sliver across, so nothing more is read.
pub(super) fn rebuild(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    slivers: &Slivers,
    missing: &[(PairIndex, Axis)],
) -> Result<Vec<(PairIndex, Verified<ExtentSliver>)>, Failure> {
    let geometry = metadata.shape().geometry();
    let across = axis.other();
    let mut made = Slivers::new();
    let along_is_missing = missing.iter().any(|(_, wanted)| *wanted == axis);
    if along_is_missing {
        // Slivers of the axis that was read come back from slivers across.
        for index in (0..geometry.shards()).take(geometry.slivers_to_decode(across)) {
            made.insert(index, one(metadata, across, index, slivers)?);
        }
    }
    let rebuilt = missing.iter().map(|&(pair, wanted)| {
        let sources = if wanted == axis { &made } else { slivers };
        let index = geometry.sliver_of_pair(wanted, pair);
        one(metadata, wanted, index, sources).map(|sliver| (pair, sliver))
    });
    rebuilt.collect()
}

/// One sliver from its crossings with verified slivers of the other axis.
fn one(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    index: u16,
    sources: &Slivers,
) -> Result<Verified<ExtentSliver>, Failure> {
    let shape = metadata.shape();
    let mut symbols: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    for (&from, sliver) in sources {
        let crossing = crossing_symbols(shape, axis.other(), sliver.bytes(), &[index]);
        symbols.extend(crossing.map_err(failed)?.pop().map(|crossing| (from, crossing)));
    }
    let given: Vec<(u16, &[u8])> =
        symbols.iter().map(|(from, symbols)| (*from, symbols.as_slice())).collect();
    match rebuild_sliver(metadata, axis, index, &given) {
        Ok(sliver) => Ok(sliver),
        Err(RebuildError::RootMismatch { .. }) => {
            Err(prove(metadata, (axis, index), sources, &symbols).unwrap_or_else(failed))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Every source was verified whole, so each of its symbols can be proven here.
fn prove(
    metadata: &Verified<ExtentMetadata>,
    (axis, index): (Axis, u16),
    sources: &Slivers,
    symbols: &BTreeMap<u16, Vec<u8>>,
) -> Result<Failure, String> {
    let shape = metadata.shape();
    let mut proofs: BTreeMap<u16, Vec<SymbolProof>> = BTreeMap::new();
    for (&from, sliver) in sources {
        let proven = prove_symbols(shape, axis.other(), sliver.bytes(), index);
        proofs.insert(from, proven.map_err(|error| error.to_string())?);
    }
    let proven = symbols.iter().zip(proofs.values());
    let proven: Vec<ProvenSource<'_>> =
        proven.map(|((&index, symbols), proofs)| ProvenSource { index, symbols, proofs }).collect();
    let proof = prove_inconsistent(metadata, axis, index, &proven);
    proof.map(|proof| Failure::Inconsistent(Box::new(proof))).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use floe_model::{ExtentShape, Geometry, Unverified};
    use floe_redstuff::{EncodedExtent, encode_extent, verify_sliver};

    use super::*;

    const LENGTH: usize = 3000;

    fn encode(byte: u8) -> EncodedExtent {
        let shape = ExtentShape::new(Geometry::of_shards(7).unwrap(), LENGTH).unwrap();
        encode_extent(shape, &[byte; LENGTH]).unwrap()
    }

    /// The metadata of the extent with one root of another's.
    fn with_foreign_root(axis: Axis, pair: PairIndex) -> Verified<ExtentMetadata> {
        let (body, tail) = (encode(1), encode(2));
        let mut bytes = body.metadata().encode();
        let start = usize::from(pair.0) * 64 + if axis == Axis::Primary { 0 } else { 32 };
        let root = start..start + 32;
        bytes[root.clone()].copy_from_slice(&tail.metadata().encode()[root]);
        ExtentMetadata::parse(body.metadata().shape(), &bytes).unwrap()
    }

    fn sources(metadata: &Verified<ExtentMetadata>, axis: Axis) -> Slivers {
        let geometry = metadata.shape().geometry();
        let body = encode(1);
        let last = geometry.shards() - 2;
        let first = last - u16::try_from(geometry.slivers_to_decode(axis)).unwrap();
        let verified = (first..last).map(|index| {
            let bytes = Unverified::new(body.sliver(axis, index).unwrap());
            (index, verify_sliver(metadata, axis, index, bytes).unwrap())
        });
        verified.collect()
    }

    #[test]
    fn a_wrong_root_is_proven_whichever_axis_was_read() {
        let geometry = Geometry::of_shards(7).unwrap();
        for read in Axis::BOTH {
            for wrong in Axis::BOTH {
                let pair = geometry.pair_of_sliver(wrong, 6);
                let metadata = with_foreign_root(wrong, pair);
                let slivers = sources(&metadata, read);
                let both = Axis::BOTH.map(|axis| (pair, axis));
                match rebuild(&metadata, read, &slivers, &both) {
                    Err(Failure::Inconsistent(proof)) => {
                        proof.verify(&metadata).unwrap();
                        assert_eq!((proof.axis(), proof.index()), (wrong, 6), "read {read}");
                    }
                    other => panic!("read {read}, wrong {wrong}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_agrees_with_its_root_is_rebuilt() {
        let metadata = with_foreign_root(Axis::Primary, PairIndex(6));
        for read in Axis::BOTH {
            let slivers = sources(&metadata, read);
            let missing = [(PairIndex(0), Axis::Secondary), (PairIndex(0), Axis::Primary)];
            let rebuilt = rebuild(&metadata, read, &slivers, &missing).unwrap();
            let axes: Vec<Axis> = rebuilt.iter().map(|(_, sliver)| sliver.axis()).collect();
            assert_eq!(axes, [Axis::Secondary, Axis::Primary]);
        }
    }
}
