//! Commitments: the two sliver roots of every pair, and the stripe id over them.

use floe_model::{Axis, ExtentShape, Hash, StripeId};

use crate::merkle::Trees;
use crate::verified::Verified;

/// RS2's number among Walrus's encodings.
const ENCODING_TYPE: u8 = 1;
const HASH_BYTES: usize = 32;
const PAIR_BYTES: usize = 2 * HASH_BYTES;

/// Metadata that does not fit its extent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not 64·n bytes per stripe.
    #[error("metadata of {actual} bytes: {expected} expected")]
    WrongLength {
        /// Bytes that the shape asks for.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// Expected ids of another number of stripes.
    #[error("{actual} stripe ids for an extent of {expected} stripes")]
    WrongStripes {
        /// Stripes in the extent.
        expected: usize,
        /// Ids given.
        actual: usize,
    },
    /// The roots lead to another id.
    #[error("metadata of stripe {stripe} belongs to {actual}, not to {expected}")]
    WrongId {
        /// The stripe, counted from the start of the extent.
        stripe: usize,
        /// The id wanted.
        expected: StripeId,
        /// The id that the roots lead to.
        actual: StripeId,
    },
}

/// The roots of a sliver pair: primary i and secondary n-1-i.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairRoots {
    /// Over the expanded primary sliver.
    pub primary: Hash,
    /// Over the expanded secondary sliver.
    pub secondary: Hash,
}

impl PairRoots {
    fn to_bytes(self) -> [u8; PAIR_BYTES] {
        let mut bytes = [0; PAIR_BYTES];
        let (primary, secondary) = bytes.split_at_mut(HASH_BYTES);
        primary.copy_from_slice(&self.primary.0);
        secondary.copy_from_slice(&self.secondary.0);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut roots = Self { primary: Hash([0; 32]), secondary: Hash([0; 32]) };
        let (primary, secondary) = bytes.split_at(HASH_BYTES);
        roots.primary.0.copy_from_slice(primary);
        roots.secondary.0.copy_from_slice(secondary);
        roots
    }
}

/// The roots of all n pairs of one stripe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StripeMetadata {
    pairs: Vec<PairRoots>,
}

impl StripeMetadata {
    /// Takes the roots of all slivers of one axis, in order.
    pub(crate) fn set_roots(&mut self, axis: Axis, roots: &[[u8; HASH_BYTES]]) {
        let none = Hash([0; HASH_BYTES]);
        self.pairs.resize(roots.len(), PairRoots { primary: none, secondary: none });
        let pairs = self.pairs.iter_mut();
        match axis {
            Axis::Primary => pairs.zip(roots).for_each(|(pair, root)| pair.primary = Hash(*root)),
            Axis::Secondary => {
                pairs.rev().zip(roots).for_each(|(pair, root)| pair.secondary = Hash(*root));
            }
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        Self { pairs: bytes.chunks_exact(PAIR_BYTES).map(PairRoots::from_bytes).collect() }
    }

    /// By pair index.
    pub fn pairs(&self) -> &[PairRoots] {
        &self.pairs
    }

    /// As it stands in the metadata of its extent: the roots in pair order, primary before secondary.
    pub fn encode(&self) -> impl Iterator<Item = u8> + '_ {
        self.pairs.iter().flat_map(|pair| pair.to_bytes())
    }

    /// The root of a sliver; `index` is below n.
    pub(crate) fn sliver_root(&self, axis: Axis, index: u16) -> Hash {
        let index = usize::from(index);
        match axis {
            Axis::Primary => self.pairs[index].primary,
            Axis::Secondary => self.pairs[self.pairs.len() - 1 - index].secondary,
        }
    }

    /// The Merkle root over the pairs.
    pub fn root(&self) -> Hash {
        self.root_with(&mut Trees::new(), &mut Vec::new())
    }

    fn root_with(&self, trees: &mut Trees, pairs: &mut Vec<[u8; PAIR_BYTES]>) -> Hash {
        pairs.clear();
        pairs.extend(self.pairs.iter().map(|pair| pair.to_bytes()));
        let leaves = pairs.iter().map(<[u8; PAIR_BYTES]>::as_slice);
        Hash(trees.roots_of(leaves, self.pairs.len()).first().copied().unwrap_or_default())
    }

    /// `H(type u8 ‖ length u64 ‖ root)`, little endian.
    pub fn id(&self, length: usize) -> StripeId {
        self.id_with(length, &mut Trees::new(), &mut Vec::new())
    }

    /// The id, in memory used before.
    pub(crate) fn id_with(
        &self,
        length: usize,
        trees: &mut Trees,
        pairs: &mut Vec<[u8; PAIR_BYTES]>,
    ) -> StripeId {
        let length = (length as u64).to_le_bytes();
        let root = self.root_with(trees, pairs);
        StripeId(floe_model::hash(&[&[ENCODING_TYPE], &length, &root.0]).0)
    }
}

/// The commitments of every stripe of an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentMetadata {
    shape: ExtentShape,
    stripes: Vec<StripeMetadata>,
    ids: Vec<StripeId>,
}

impl ExtentMetadata {
    /// One metadata and id for each stripe of the shape.
    pub(crate) const fn new(
        shape: ExtentShape,
        stripes: Vec<StripeMetadata>,
        ids: Vec<StripeId>,
    ) -> Self {
        Self { shape, stripes, ids }
    }

    /// What lies in the extent.
    pub const fn shape(&self) -> ExtentShape {
        self.shape
    }

    /// The ids of its stripes, in order.
    pub fn stripe_ids(&self) -> &[StripeId] {
        &self.ids
    }

    /// The id that decides which shard holds which pair of the extent.
    pub fn first_stripe(&self) -> &StripeId {
        &self.ids[0]
    }

    /// The roots of a stripe, if the extent has it.
    pub fn stripe(&self, stripe: usize) -> Option<&StripeMetadata> {
        self.stripes.get(stripe)
    }

    pub(crate) fn stripes(&self) -> &[StripeMetadata] {
        &self.stripes
    }

    /// Stripe after stripe: see [`StripeMetadata::encode`].
    pub fn encode(&self) -> Vec<u8> {
        self.stripes.iter().flat_map(StripeMetadata::encode).collect()
    }

    /// Bytes of the metadata of an extent: 64·n per stripe.
    pub fn encoded_bytes(shape: ExtentShape) -> usize {
        shape.stripes() * usize::from(shape.geometry().shards()) * PAIR_BYTES
    }

    /// Reads metadata and computes whose it is: any roots are the metadata of some stripe ids. For an
    /// upload, before its manifest is known.
    pub fn parse(shape: ExtentShape, bytes: &[u8]) -> Result<Verified<Self>, MetadataError> {
        let expected = Self::encoded_bytes(shape);
        if bytes.len() != expected {
            return Err(MetadataError::WrongLength { expected, actual: bytes.len() });
        }
        let stripes: Vec<StripeMetadata> =
            bytes.chunks_exact(expected / shape.stripes()).map(StripeMetadata::parse).collect();
        let ids = stripes.iter().enumerate();
        let ids = ids.map(|(number, stripe)| stripe.id(shape.stripe_bytes(number).len())).collect();
        Ok(Verified::new(Self { shape, stripes, ids }))
    }

    /// Reads metadata that must be that of these stripes.
    pub fn parse_for(
        shape: ExtentShape,
        expected: &[StripeId],
        bytes: &[u8],
    ) -> Result<Verified<Self>, MetadataError> {
        if expected.len() != shape.stripes() {
            let actual = expected.len();
            return Err(MetadataError::WrongStripes { expected: shape.stripes(), actual });
        }
        let metadata = Self::parse(shape, bytes)?;
        for (stripe, (&expected, &actual)) in expected.iter().zip(&metadata.ids).enumerate() {
            if expected != actual {
                return Err(MetadataError::WrongId { stripe, expected, actual });
            }
        }
        Ok(metadata)
    }
}
