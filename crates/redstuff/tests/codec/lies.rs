//! Writers that encode wrongly on purpose: they are caught, and all honest parties say the same.
//!
//! A lie is a matrix that differs from the honest one in a symbol, a row or a column, committed to as
//! a liar would: every sliver's root over the symbols that the liar shows for it; or a root that
//! nothing leads to.

use std::collections::BTreeMap;

use floe_model::{Axis, ExtentShape, Geometry, Hash, Unverified};
use floe_redstuff::{
    CheckError, EncodedExtent, ExtentMetadata, InconsistencyError, InconsistencyProof,
    ProvenSource, ReadCheck, RebuildError, SymbolProof, Verified, check_decoded, decode_extent,
    prove_inconsistent, rebuild_sliver, verify_sliver,
};

use crate::plain::Tree;
use crate::sample::{Draw, Sample, borrow, sets_of};
use crate::slow;

/// What every sliver of a liar's blob expands to, as the liar shows it.
struct Lie {
    shape: ExtentShape,
    /// By row; a symbol is the same for both of its slivers.
    symbols: Vec<Vec<Vec<u8>>>,
    /// Roots committed to in place of those that the symbols lead to.
    roots: BTreeMap<(Axis, u16), Hash>,
}

impl Lie {
    fn around(extent: &EncodedExtent) -> Self {
        let shape = extent.metadata().shape();
        let geometry = shape.geometry();
        let all: Vec<u16> = (0..geometry.shards()).collect();
        let row = |index| {
            let sliver = extent.sliver(Axis::Primary, index).unwrap();
            floe_redstuff::crossing_symbols(shape, Axis::Primary, &sliver, &all).unwrap()
        };
        let symbols = all.iter().copied().map(row).collect();
        Self { shape, symbols, roots: BTreeMap::new() }
    }

    fn shards(&self) -> u16 {
        self.shape.geometry().shards()
    }

    fn expansion(&self, axis: Axis, index: u16) -> Vec<Vec<u8>> {
        let index = usize::from(index);
        match axis {
            Axis::Primary => self.symbols[index].clone(),
            Axis::Secondary => self.symbols.iter().map(|row| row[index].clone()).collect(),
        }
    }

    fn metadata(&self) -> Verified<ExtentMetadata> {
        let root = |axis, index| {
            let committed = self.roots.get(&(axis, index)).copied();
            committed.unwrap_or_else(|| Tree::new(&self.expansion(axis, index)).root())
        };
        let pairs = (0..self.shards()).flat_map(|pair| {
            let secondary = self.shards() - 1 - pair;
            [root(Axis::Primary, pair).0, root(Axis::Secondary, secondary).0]
        });
        ExtentMetadata::parse(self.shape, pairs.collect::<Vec<_>>().as_flattened()).unwrap()
    }

    fn sliver(&self, axis: Axis, index: u16) -> Vec<u8> {
        let symbols = self.expansion(axis, index);
        symbols[..self.shape.geometry().sliver_symbols(axis)].concat()
    }

    /// Every honest node's verdict on every sliver it was sent.
    fn refused(&self, metadata: &Verified<ExtentMetadata>) -> Vec<(Axis, u16)> {
        let mut refused = Vec::new();
        for axis in Axis::BOTH {
            for index in 0..self.shards() {
                let sliver = Unverified::new(self.sliver(axis, index));
                if verify_sliver(metadata, axis, index, sliver).is_err() {
                    refused.push((axis, index));
                }
            }
        }
        refused
    }

    /// What nodes with verified slivers of the other axis can prove about a sliver.
    fn prove(
        &self,
        metadata: &Verified<ExtentMetadata>,
        (axis, index): (Axis, u16),
        from: &[u16],
    ) -> Result<InconsistencyProof, InconsistencyError> {
        let served: Vec<(u16, Vec<u8>, SymbolProof)> = from
            .iter()
            .map(|&source| {
                let expansion = self.expansion(axis.other(), source);
                let siblings = Tree::new(&expansion).siblings(usize::from(index));
                let bytes: Vec<u8> = siblings.iter().flat_map(|Hash(bytes)| *bytes).collect();
                let proof = SymbolProof::decode(self.shape.geometry(), &bytes).unwrap();
                (source, expansion[usize::from(index)].clone(), proof)
            })
            .collect();
        let sources: Vec<ProvenSource<'_>> = served
            .iter()
            .map(|(source, symbol, proof)| ProvenSource {
                index: *source,
                symbols: symbol,
                proofs: std::slice::from_ref(proof),
            })
            .collect();
        prove_inconsistent(metadata, axis, index, &sources)
    }
}

/// All that honest nodes and readers say about a lie; they must agree. Panics if the lie passes.
fn caught(lie: &Lie, honest: &Sample, draw: &mut Draw) {
    let metadata = lie.metadata();
    let shards = lie.shards();
    let refused = lie.refused(&metadata);
    assert!(!refused.is_empty(), "no node noticed");
    for axis in Axis::BOTH {
        let geometry = lie.shape.geometry();
        let held: Vec<u16> =
            (0..shards).filter(|&index| !refused.contains(&(axis.other(), index))).collect();
        let need = geometry.sliver_symbols(axis);
        for &(_, index) in refused.iter().filter(|(refused, _)| *refused == axis) {
            if held.len() < need {
                let outcome = lie.prove(&metadata, (axis, index), &held);
                assert!(matches!(outcome, Err(InconsistencyError::Sources(_))), "not enough");
                continue;
            }
            // Whoever asks whomever: either all rebuild what was committed to, or all can prove.
            for from in askable(&held, need, draw) {
                agree_on(lie, &metadata, (axis, index), &from, honest);
            }
        }
    }
    readers_agree(lie, &metadata, &refused, draw);
}

/// Sets of sources that nodes may ask: all of them where they are few, else two.
fn askable(held: &[u16], need: usize, draw: &mut Draw) -> Vec<Vec<u16>> {
    if held.len() <= 7 {
        return sets_of(held, need);
    }
    let picks = draw.some_of(u16::try_from(held.len()).unwrap(), need);
    let other = picks.into_iter().map(|at| held[usize::from(at)]).collect();
    vec![held[..need].to_vec(), other]
}

fn agree_on(
    lie: &Lie,
    metadata: &Verified<ExtentMetadata>,
    (axis, index): (Axis, u16),
    from: &[u16],
    honest: &Sample,
) {
    let symbols: Vec<(u16, Vec<u8>)> = from
        .iter()
        .map(|&source| (source, lie.expansion(axis.other(), source)[usize::from(index)].clone()))
        .collect();
    let rebuilt = rebuild_sliver(metadata, axis, index, &borrow(&symbols));
    assert!(matches!(rebuilt, Err(RebuildError::RootMismatch { .. })), "{axis} {index} {from:?}");
    let proof = lie.prove(metadata, (axis, index), from).unwrap();
    let proof = InconsistencyProof::decode(lie.shape, &proof.encode()).unwrap();
    assert_eq!(proof.verify(metadata), Ok(()), "a proof needs the metadata alone");
    assert!(proof.verify(honest.extent.metadata()).is_err(), "it accuses the honest blob");
}

/// Default readers get the same bytes or an error; strict ones never get any.
fn readers_agree(
    lie: &Lie,
    metadata: &Verified<ExtentMetadata>,
    refused: &[(Axis, u16)],
    draw: &mut Draw,
) {
    let geometry = lie.shape.geometry();
    let mut read: Option<Vec<u8>> = None;
    for axis in Axis::BOTH {
        let held: Vec<u16> =
            (0..lie.shards()).filter(|&index| !refused.contains(&(axis, index))).collect();
        let need = geometry.slivers_to_decode(axis);
        if held.len() < need {
            continue;
        }
        for _ in 0..3 {
            let picks = draw.some_of(u16::try_from(held.len()).unwrap(), need);
            let slivers: Vec<(u16, Vec<u8>)> = picks
                .into_iter()
                .map(|at| (held[usize::from(at)], lie.sliver(axis, held[usize::from(at)])))
                .collect();
            let data = decode_extent(lie.shape, axis, &borrow(&slivers)).unwrap();
            let strict = check_decoded(metadata, &data, ReadCheck::Strict);
            assert!(matches!(strict, Err(CheckError::IdMismatch { .. })));
            if check_decoded(metadata, &data, ReadCheck::Default).is_ok() {
                assert!(read.get_or_insert_with(|| data.clone()) == &data, "two readers differ");
            }
        }
    }
}

fn sample(shards: u16, seed: u64) -> Sample {
    let geometry = Geometry::of_shards(shards).unwrap();
    Sample::new(geometry, geometry.rows() * geometry.columns() * 6 - 1, seed)
}

#[test]
fn every_lie_about_one_symbol_is_caught() {
    let mut draw = Draw(31);
    for shards in [4, 7] {
        let honest = sample(shards, 3);
        for row in 0..usize::from(shards) {
            for column in 0..usize::from(shards) {
                let mut lie = Lie::around(&honest.extent);
                lie.symbols[row][column][draw.below(6)] ^= 1 << draw.below(8);
                caught(&lie, &honest, &mut draw);
            }
        }
    }
}

#[test]
fn random_lies_about_one_symbol_are_caught() {
    let (mut draw, lies) = (Draw(32), if slow() { 2_500 } else { 8 });
    for shards in [10, 13, 16, 31] {
        let honest = sample(shards, 4);
        for _ in 0..lies {
            let mut lie = Lie::around(&honest.extent);
            let (row, column) = (draw.below(shards.into()), draw.below(shards.into()));
            lie.symbols[row][column][draw.below(6)] ^= 1 << draw.below(8);
            caught(&lie, &honest, &mut draw);
        }
    }
}

#[test]
fn a_foreign_row_or_column_is_caught() {
    let mut draw = Draw(33);
    for shards in [4, 7, 10] {
        let (honest, foreign) = (sample(shards, 5), sample(shards, 6));
        let foreign = Lie::around(&foreign.extent);
        for line in 0..usize::from(shards) {
            let mut row = Lie::around(&honest.extent);
            row.symbols[line].clone_from(&foreign.symbols[line]);
            caught(&row, &honest, &mut draw);
            let mut column = Lie::around(&honest.extent);
            for (mine, other) in column.symbols.iter_mut().zip(&foreign.symbols) {
                mine[line].clone_from(&other[line]);
            }
            caught(&column, &honest, &mut draw);
        }
    }
}

/// Metadata that does not match: a root of nothing, or that of another sliver.
#[test]
fn a_root_that_no_sliver_has_is_caught() {
    let mut draw = Draw(36);
    for shards in [4, 7, 10] {
        let honest = sample(shards, 9);
        for axis in Axis::BOTH {
            for index in 0..shards {
                let mut lie = Lie::around(&honest.extent);
                let mut root = Tree::new(&lie.expansion(axis, index)).root();
                root.0[draw.below(32)] ^= 1 << draw.below(8);
                lie.roots.insert((axis, index), root);
                caught(&lie, &honest, &mut draw);
                assert_eq!(lie.refused(&lie.metadata()), [(axis, index)]);
                let next = (index + 1) % shards;
                let swapped = [(index, next), (next, index)]
                    .map(|(to, from)| ((axis, to), Tree::new(&lie.expansion(axis, from)).root()));
                lie.roots = BTreeMap::from(swapped);
                caught(&lie, &honest, &mut draw);
            }
        }
    }
}

#[test]
fn an_honest_blob_is_accused_of_nothing() {
    let mut draw = Draw(34);
    for shards in [4, 7, 10, 16] {
        let honest = sample(shards, 7);
        let truth = Lie::around(&honest.extent);
        let metadata = truth.metadata();
        assert_eq!(&metadata, honest.extent.metadata());
        assert_eq!(truth.refused(&metadata), []);
        for axis in Axis::BOTH {
            for index in 0..shards {
                let need = honest.shape.geometry().sliver_symbols(axis);
                let from = draw.some_of(shards, need);
                let consistent = Err(InconsistencyError::Consistent { axis, index });
                assert_eq!(truth.prove(&metadata, (axis, index), &from), consistent);
            }
        }
    }
}

/// Lies told to readers of an honest blob: symbols or siblings altered, sources swapped.
#[test]
fn no_altered_testimony_accuses_an_honest_blob() {
    let (mut draw, tries) = (Draw(35), if slow() { 20_000 } else { 400 });
    for shards in [4, 7, 10] {
        let honest = sample(shards, 8);
        let truth = Lie::around(&honest.extent);
        let metadata = truth.metadata();
        for _ in 0..tries {
            let axis = Axis::BOTH[draw.below(2)];
            let index = draw.some_of(shards, 1)[0];
            let from = draw.some_of(shards, honest.shape.geometry().sliver_symbols(axis));
            let mut lie =
                Lie { shape: truth.shape, symbols: truth.symbols.clone(), roots: BTreeMap::new() };
            for _ in 0..=draw.below(3) {
                let (row, column) = (draw.below(shards.into()), draw.below(shards.into()));
                lie.symbols[row][column][draw.below(6)] ^= 1 << draw.below(8);
            }
            assert!(lie.prove(&metadata, (axis, index), &from).is_err());
        }
    }
}
