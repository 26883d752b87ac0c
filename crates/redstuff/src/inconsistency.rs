//! Proving that a blob was encoded wrongly: symbols that provably belong to their slivers decode to a
//! sliver with another root than the metadata has for it. Against an honest encoding there is none.
//!
//! # Why there is always a verdict
//!
//! A holder has expanded its sliver, so it can prove *every* symbol of it. Of the n-f shards behind a
//! certificate at least n-2f are honest, so for every secondary there are n-2f proven symbols: they
//! either rebuild it or are the proof. With all secondaries held by honest shards, n-f at least, the
//! same is true of every primary. A symbol without a proof is therefore its sender's lie. Proven
//! symbols of a sliver and its root decide alone: all who have them say the same.
//!
//! # Why a holder does not take the writer's word
//!
//! It could hash the symbols it holds, and take the hashes of the rest of the expansion from the
//! writer: two to three times as fast. That binds what is held, but not what is made of it. n = 4,
//! f = 1: a writer gives a wrong hash for symbol 3 of primary 1, all else being right, while shard 0
//! is away. Shards 1 and 2, honest, and 3, which lies, confirm; then 3 falls silent. Shard 0 needs two
//! proven symbols for secondary 3, and shard 1 has no proof for its own: an honest shard is named as a
//! liar. Secondaries 0 to 2 agree with their roots, and no primary has more than two of the three
//! symbols that a proof takes. Readers who check primary 1 against its root refuse it, and are left
//! with one primary and two secondaries. Certified, yet neither read, nor healed, nor proven wrong
//! (a test below plays it). A shard that expands refuses primary 1, and there is no certificate.
//!
//! The gap could be closed: the holder keeps the writer's hashes, and a second kind of proof shows
//! that the symbols under a sliver's root extend to another root. Then every holder proves either its
//! symbol or the lie. But no sliver could be checked with the metadata alone any more; every reader,
//! healer and next owner would have to fetch those hashes with it, which become as precious as the
//! bytes, and a confirmation would no longer promise symbols that can be proven. Not worth it while
//! checking runs at hundreds of megabytes per second and core.

use std::collections::BTreeMap;

use floe_model::{Axis, ExtentShape};

use crate::error::{CodecError, SourceError, check_length};
use crate::metadata::ExtentMetadata;
use crate::rebuild::restore_sliver;
use crate::shape::Stripes;
use crate::sliver::Expanded;
use crate::symbol::{Crossing, SymbolError, SymbolProof, verify_symbols};
use crate::verified::Verified;

/// Something that proves no inconsistency.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InconsistencyError {
    /// A source's symbol is not proven: that source lies.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// Not the number of sources that rebuilds the sliver, or an index that does not exist.
    #[error(transparent)]
    Sources(#[from] SourceError),
    /// The proven symbols rebuild the very sliver that the metadata commits to.
    #[error("{axis} sliver {index} agrees with its root: no inconsistency")]
    Consistent {
        /// Which dimension.
        axis: Axis,
        /// Which sliver of it.
        index: u16,
    },
    /// Bytes or numbers that do not fit the extent.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// An axis that is neither 0 (primary) nor 1 (secondary).
    #[error("axis {0} in an inconsistency proof: 0 is primary, 1 is secondary")]
    UnknownAxis(u8),
}

/// A sliver's crossing symbols with their proofs.
#[derive(Debug, Clone, Copy)]
pub struct ProvenSource<'a> {
    /// The index of the sliver they come from, on the axis other than the rebuilt sliver's.
    pub index: u16,
    /// The symbols, concatenated over the stripes.
    pub symbols: &'a [u8],
    /// One proof for each stripe.
    pub proofs: &'a [SymbolProof],
}

/// One stripe's symbol of the sliver that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProvenSymbol {
    source: u16,
    symbol: Vec<u8>,
    proof: SymbolProof,
}

/// The proof, for one sliver of one stripe. Anyone who has the metadata can check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InconsistencyProof {
    axis: Axis,
    index: u16,
    stripe: u32,
    symbols: Vec<ProvenSymbol>,
}

/// Looks for the first stripe in which proven symbols of a sliver contradict its root.
///
/// `sources` as for [`crate::rebuild_sliver`]. A source whose proof fails is named in the error.
pub fn prove_inconsistent(
    metadata: &Verified<ExtentMetadata>,
    axis: Axis,
    index: u16,
    sources: &[ProvenSource<'_>],
) -> Result<InconsistencyProof, InconsistencyError> {
    let stripes = Stripes::from(metadata.shape());
    for source in sources {
        let ProvenSource { index: from, symbols, proofs } = *source;
        verify_symbols(metadata, axis.other(), from, index, symbols, proofs)?;
    }
    let plain: Vec<(u16, &[u8])> =
        sources.iter().map(|source| (source.index, source.symbols)).collect();
    let chosen = stripes.code(axis).choose(&plain, stripes.crossing_bytes())?;
    for stripe in 0..stripes.count {
        let range = stripes.crossing_range(stripe);
        let symbols = chosen.keys().filter_map(|&index| {
            let source = sources.iter().find(|source| source.index == index)?;
            let proof = source.proofs.get(stripe)?.clone();
            Some(ProvenSymbol {
                source: index,
                symbol: source.symbols[range.clone()].to_vec(),
                proof,
            })
        });
        let number = u32::try_from(stripe).unwrap_or(u32::MAX);
        let proof = InconsistencyProof { axis, index, stripe: number, symbols: symbols.collect() };
        if proof.contradicts(metadata)? {
            return Ok(proof);
        }
    }
    Err(InconsistencyError::Consistent { axis, index })
}

impl InconsistencyProof {
    /// Which dimension the contradicted sliver belongs to.
    pub const fn axis(&self) -> Axis {
        self.axis
    }

    /// Which sliver of its axis is contradicted.
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// The stripe, counted from the start of the extent.
    pub const fn stripe(&self) -> u32 {
        self.stripe
    }

    /// `Ok` if the extent is proven to be encoded wrongly.
    pub fn verify(&self, metadata: &Verified<ExtentMetadata>) -> Result<(), InconsistencyError> {
        let stripes = Stripes::from(metadata.shape());
        let stripe = self.stripe as usize;
        if stripe >= stripes.count {
            return Err(CodecError::NoSuchStripe { stripe, stripes: stripes.count }.into());
        }
        for proven in &self.symbols {
            let crossing =
                Crossing { axis: self.axis.other(), index: proven.source, target: self.index };
            let expected = stripes.symbol_bytes(stripe);
            check_length("a symbol", expected, proven.symbol.len())
                .map_err(|source| crossing.misshapen(source))?;
            crossing.verify(metadata, stripe, &proven.symbol, &proven.proof)?;
        }
        if self.contradicts(metadata)? {
            Ok(())
        } else {
            Err(InconsistencyError::Consistent { axis: self.axis, index: self.index })
        }
    }

    /// Whether the symbols, taken as proven, lead to another root than the committed one. They must
    /// be exactly as many as are needed, all different.
    fn contradicts(&self, metadata: &Verified<ExtentMetadata>) -> Result<bool, InconsistencyError> {
        let stripe = self.stripe as usize;
        let stripes = Stripes::from(metadata.shape()).only(stripe);
        stripes.check_sliver(self.axis, self.index)?;
        let code = stripes.code(self.axis);
        let symbols: BTreeMap<u16, &[u8]> =
            self.symbols.iter().map(|proven| (proven.source, proven.symbol.as_slice())).collect();
        if self.symbols.len() != code.originals || symbols.len() != code.originals {
            let have = symbols.len().min(self.symbols.len());
            return Err(SourceError::NotEnough { have, need: code.originals }.into());
        }
        let sliver = restore_sliver(stripes, self.axis, &symbols);
        let root = Expanded::new(stripes, self.axis, &sliver)?.root();
        let committed = metadata.stripe(stripe);
        let committed = committed.map(|committed| committed.sliver_root(self.axis, self.index));
        Ok(Some(root) != committed)
    }

    /// Axis u8 (0 primary, 1 secondary), index u16, stripe u32; then for each symbol its source u16,
    /// its bytes and its proof. Little endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![match self.axis {
            Axis::Primary => 0,
            Axis::Secondary => 1,
        }];
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&self.stripe.to_le_bytes());
        for proven in &self.symbols {
            bytes.extend_from_slice(&proven.source.to_le_bytes());
            bytes.extend_from_slice(&proven.symbol);
            bytes.extend_from_slice(&proven.proof.encode());
        }
        bytes
    }

    /// Reads a proof about an extent of this shape; it proves nothing before [`Self::verify`].
    pub fn decode(shape: ExtentShape, bytes: &[u8]) -> Result<Self, InconsistencyError> {
        let stripes = Stripes::from(shape);
        let head = bytes.split_first_chunk::<7>();
        let Some((&[axis, index_0, index_1, stripe @ ..], rest)) = head else {
            let what = "the head of an inconsistency proof";
            return Err(CodecError::WrongLength { what, expected: 7, actual: bytes.len() }.into());
        };
        let axis = match axis {
            0 => Axis::Primary,
            1 => Axis::Secondary,
            other => return Err(InconsistencyError::UnknownAxis(other)),
        };
        let stripe = u32::from_le_bytes(stripe);
        if stripe as usize >= stripes.count {
            let stripe = stripe as usize;
            return Err(CodecError::NoSuchStripe { stripe, stripes: stripes.count }.into());
        }
        let symbol_bytes = stripes.symbol_bytes(stripe as usize);
        let proof_bytes = SymbolProof::encoded_bytes(shape.geometry());
        let entry_bytes = 2 + symbol_bytes + proof_bytes;
        let expected = stripes.sliver_symbols(axis) * entry_bytes;
        check_length("the symbols of an inconsistency proof", expected, rest.len())?;
        let symbols = rest.chunks_exact(entry_bytes).map(|entry| {
            let (source, rest) = entry.split_at(2);
            let (symbol, proof) = rest.split_at(symbol_bytes);
            let source = u16::from_le_bytes([source[0], source[1]]);
            let proof = SymbolProof::decode(shape.geometry(), proof)?;
            Ok(ProvenSymbol { source, symbol: symbol.to_vec(), proof })
        });
        let symbols = symbols.collect::<Result<_, CodecError>>()?;
        Ok(Self { axis, index: u16::from_le_bytes([index_0, index_1]), stripe, symbols })
    }
}

#[cfg(test)]
mod tests;
