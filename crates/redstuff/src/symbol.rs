//! Crossing symbols, and proofs that they belong to the sliver they come from.

use floe_model::{Axis, ExtentShape, Geometry, Hash};

use crate::error::{CodecError, check_length};
use crate::merkle;
use crate::metadata::ExtentMetadata;
use crate::recipe::{Kitchen, Recipe, TILE_BYTES};
use crate::shape::{StripeShape, Stripes};
use crate::sliver::Expanded;
use crate::verified::Verified;

const HASH_BYTES: usize = 32;

/// Symbols that are not proven to belong to their sliver.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SymbolError {
    /// An index or a length that the extent does not have.
    #[error("symbols of {axis} sliver {index}: {source}")]
    Misshapen {
        /// The dimension of the sliver they come from.
        axis: Axis,
        /// Its index.
        index: u16,
        /// What does not fit.
        source: CodecError,
    },
    /// Not one proof for each stripe.
    #[error("{actual} proofs for symbols of {axis} sliver {index}: {expected} expected")]
    WrongProofs {
        /// The dimension of the sliver they come from.
        axis: Axis,
        /// Its index.
        index: u16,
        /// Stripes in the extent.
        expected: usize,
        /// Proofs given.
        actual: usize,
    },
    /// A proof that is longer or shorter than the tree is deep.
    #[error(
        "a proof of {actual} hashes in stripe {stripe} for {axis} sliver {index}: {expected} expected"
    )]
    WrongDepth {
        /// The dimension of the sliver the symbol comes from.
        axis: Axis,
        /// Its index.
        index: u16,
        /// The stripe, counted from the start of the extent.
        stripe: usize,
        /// Levels of the tree.
        expected: usize,
        /// Hashes given.
        actual: usize,
    },
    /// The proof leads to another root.
    #[error("symbol {target} does not belong to {axis} sliver {index} in stripe {stripe}")]
    RootMismatch {
        /// The dimension of the sliver it is said to come from.
        axis: Axis,
        /// That sliver's index.
        index: u16,
        /// The symbol's place in it: the index of the crossing sliver.
        target: u16,
        /// The stripe, counted from the start of the extent.
        stripe: usize,
    },
}

/// The Merkle siblings of one symbol in its sliver's tree, from the leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolProof {
    pub(crate) siblings: Vec<Hash>,
}

impl SymbolProof {
    /// The siblings, from the leaf to the root; 32 zero bytes where a level is padded.
    pub fn siblings(&self) -> &[Hash] {
        &self.siblings
    }

    /// Bytes of a proof: 32 for each level.
    pub const fn encoded_bytes(geometry: Geometry) -> usize {
        merkle::depth(geometry.shards() as usize) * HASH_BYTES
    }

    /// The siblings, one behind the other.
    pub fn encode(&self) -> Vec<u8> {
        self.siblings.iter().flat_map(|sibling| sibling.0).collect()
    }

    /// Reads a proof; its length must be that of this geometry's proofs.
    pub fn decode(geometry: Geometry, bytes: &[u8]) -> Result<Self, CodecError> {
        check_length("a proof", Self::encoded_bytes(geometry), bytes.len())?;
        let siblings = bytes.chunks_exact(HASH_BYTES).map(|bytes| {
            let mut sibling = Hash([0; 32]);
            sibling.0.copy_from_slice(bytes);
            sibling
        });
        Ok(Self { siblings: siblings.collect() })
    }
}

/// What a sliver holds of its crossings with slivers of the other axis: for each target index the
/// crossing symbol, concatenated over the stripes.
pub fn crossing_symbols(
    shape: ExtentShape,
    source_axis: Axis,
    source: &[u8],
    targets: &[u16],
) -> Result<Vec<Vec<u8>>, CodecError> {
    let stripes = Stripes::from(shape);
    for &target in targets {
        stripes.check_sliver(source_axis.other(), target)?;
    }
    check_length("a sliver", stripes.sliver_bytes(source_axis), source.len())?;
    let code = stripes.code(source_axis);
    let given: Vec<usize> = (0..code.originals).collect();
    let wanted = targets.iter().copied().map(usize::from).filter(|&at| at >= code.originals);
    let mut recipes = code.recipes(&given, wanted).into_iter();
    let kitchen = Kitchen::new();
    let symbols = targets.iter().copied().map(usize::from).map(|target| {
        let recipe = if target < code.originals { None } else { recipes.next() };
        crossing(
            stripes,
            source_axis,
            source,
            target,
            recipe.as_ref().map(|recipe| (&kitchen, recipe)),
        )
    });
    Ok(symbols.collect())
}

/// One symbol of a sliver's expansion, of all stripes: stored in it, or made by a recipe.
fn crossing(
    stripes: Stripes,
    axis: Axis,
    sliver: &[u8],
    target: usize,
    recipe: Option<(&Kitchen, &Recipe)>,
) -> Vec<u8> {
    let mut crossing = vec![0; stripes.crossing_bytes()];
    for stripe in 0..stripes.count {
        let part = &sliver[stripes.sliver_range(axis, stripe)];
        let symbol = &mut crossing[stripes.crossing_range(stripe)];
        let symbol_bytes = symbol.len();
        match recipe {
            None => symbol.copy_from_slice(&part[target * symbol_bytes..][..symbol_bytes]),
            Some((kitchen, recipe)) => {
                for (tile, made) in symbol.chunks_mut(TILE_BYTES).enumerate() {
                    let (at, bytes) = (tile * TILE_BYTES, made.len());
                    let source = |number| &part[number * symbol_bytes + at..][..bytes];
                    kitchen.make(recipe, source, made);
                }
            }
        }
    }
    crossing
}

/// A proof for each stripe that its symbol `target` belongs to the source sliver's expansion.
pub fn prove_symbols(
    shape: ExtentShape,
    source_axis: Axis,
    source: &[u8],
    target: u16,
) -> Result<Vec<SymbolProof>, CodecError> {
    let stripes = Stripes::from(shape);
    check_length("a sliver", stripes.sliver_bytes(source_axis), source.len())?;
    let parts = (0..stripes.count).map(|stripe| {
        let part = &source[stripes.sliver_range(source_axis, stripe)];
        prove(stripes.only(stripe), source_axis, part, target).map(|(_, proof)| proof)
    });
    parts.collect()
}

/// The same for a single stripe, with the symbol.
pub fn prove_stripe_symbol(
    shape: StripeShape,
    source_axis: Axis,
    source: &[u8],
    target: u16,
) -> Result<(Vec<u8>, SymbolProof), CodecError> {
    prove(Stripes::from(shape), source_axis, source, target)
}

fn prove(
    stripe: Stripes,
    source_axis: Axis,
    source: &[u8],
    target: u16,
) -> Result<(Vec<u8>, SymbolProof), CodecError> {
    stripe.check_sliver(source_axis.other(), target)?;
    let expanded = Expanded::new(stripe, source_axis, source)?;
    let target = usize::from(target);
    let siblings = merkle::siblings(&expanded.leaves(), target);
    let symbol = expanded.symbols().nth(target).unwrap_or_default().to_vec();
    Ok((symbol, SymbolProof { siblings }))
}

/// Checks that symbols, concatenated over the stripes, are those at `target` in the source sliver's
/// expansion, with one proof for each stripe.
pub fn verify_symbols(
    metadata: &Verified<ExtentMetadata>,
    source_axis: Axis,
    source_index: u16,
    target: u16,
    symbols: &[u8],
    proofs: &[SymbolProof],
) -> Result<(), SymbolError> {
    let stripes = Stripes::from(metadata.shape());
    let crossing = Crossing { axis: source_axis, index: source_index, target };
    check_length("a crossing", stripes.crossing_bytes(), symbols.len())
        .map_err(|source| crossing.misshapen(source))?;
    if proofs.len() != stripes.count {
        return Err(SymbolError::WrongProofs {
            axis: source_axis,
            index: source_index,
            expected: stripes.count,
            actual: proofs.len(),
        });
    }
    for (stripe, proof) in proofs.iter().enumerate() {
        crossing.verify(metadata, stripe, &symbols[stripes.crossing_range(stripe)], proof)?;
    }
    Ok(())
}

/// Where two slivers cross, seen from the one that serves the symbol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossing {
    pub(crate) axis: Axis,
    pub(crate) index: u16,
    pub(crate) target: u16,
}

impl Crossing {
    pub(crate) const fn misshapen(self, source: CodecError) -> SymbolError {
        SymbolError::Misshapen { axis: self.axis, index: self.index, source }
    }

    /// Checks one stripe's symbol, whose length the caller has checked.
    pub(crate) fn verify(
        self,
        metadata: &Verified<ExtentMetadata>,
        stripe: usize,
        symbol: &[u8],
        proof: &SymbolProof,
    ) -> Result<(), SymbolError> {
        let Self { axis, index, target } = self;
        let stripes = Stripes::from(metadata.shape());
        stripes.check_sliver(axis, index).map_err(|source| self.misshapen(source))?;
        stripes.check_sliver(axis.other(), target).map_err(|source| self.misshapen(source))?;
        let committed = metadata.stripe(stripe).ok_or_else(|| {
            self.misshapen(CodecError::NoSuchStripe { stripe, stripes: stripes.count })
        })?;
        let expected = merkle::depth(stripes.shards);
        let actual = proof.siblings.len();
        if actual != expected {
            return Err(SymbolError::WrongDepth { axis, index, stripe, expected, actual });
        }
        let leaf = merkle::leaf(symbol);
        let root = merkle::climb(leaf, usize::from(target), &proof.siblings);
        if root != committed.sliver_root(axis, index) {
            return Err(SymbolError::RootMismatch { axis, index, target, stripe });
        }
        Ok(())
    }
}
